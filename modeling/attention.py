"""Transformer blocks over tokens of which some are padding; they attend as the configuration says."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.core_model_loading import Chunk, WeightConverter, WeightRenaming
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.vit.modeling_vit import eager_attention_forward

from .checkpointing import CheckpointedLayer
from .tokens import Stream, stand_in

FROM_TORCH_ATTENTION = [
    *(
        WeightConverter(
            rf"attention\.attention\.in_proj_{kind}",
            [f"attention.{name}_proj.{kind}" for name in "qkv"],
            operations=[Chunk(dim=0)],
        )
        for kind in ("weight", "bias")
    ),
    WeightRenaming(r"attention\.attention\.out_proj", "attention.o_proj"),
]
"""Weights that were saved when `nn.MultiheadAttention` stood inside, to be loaded into `MaskedAttention`."""


class MaskedAttention(nn.Module):
    """Multi-head attention to the real keys; a sample that has none gets 0.

    It goes through transformers' attention interface: eager, SDPA and what else `attn_implementation` may name.
    """

    is_causal = False

    def __init__(self, config: PreTrainedConfig, size: int, num_heads: int, dropout: float):
        super().__init__()
        self.config = config
        self.head_dim = size // num_heads
        self.dropout = dropout
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(size, size) for _ in range(4))

    def forward(self, queries: Tensor, keys: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            queries (batch, queries, size).
            keys (batch, keys, size): also the values.
            key_mask (batch, keys), bool: 1 = real.

        Returns:
            (batch, queries, size), and the weights (batch, heads, queries, keys) where the implementation has them.
        """
        some = key_mask.any(dim=1, keepdim=True)
        attended = key_mask | ~some  # a softmax over no key at all would be NaN
        mask = create_bidirectional_mask(self.config, queries, attended, encoder_hidden_states=keys)
        kind = self.config._attn_implementation
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(kind, eager_attention_forward)  # pyright: ignore[reportArgumentType]
        output, weights = attend(
            self,
            self._heads(self.q_proj(queries)),
            self._heads(self.k_proj(keys)),
            self._heads(self.v_proj(keys)),
            mask,
            dropout=self.dropout if self.training else 0.0,
            scaling=self.head_dim**-0.5,
        )
        output = self.o_proj(output.flatten(2)) * some.unsqueeze(-1)
        return output, None if weights is None else weights * some.view(-1, 1, 1, 1)

    def _heads(self, values: Tensor) -> Tensor:
        """(batch, tokens, size) -> (batch, heads, tokens, size of a head)."""
        return values.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)


def feed_forward(size: int, dropout: float) -> nn.Sequential:
    """Linear to four times the size, GELU, Linear back, Dropout: (..., size) -> (..., size)."""
    return nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size), nn.Dropout(dropout))


class TransformerLayer(CheckpointedLayer):
    """Pre-norm self-attention and feed-forward (x4), each with a residual connection.

    Parameters: 4 (d^2 + d) attention + 8 d^2 + 5 d feed-forward + 4 d norms = 12 d^2 + 13 d.
    """

    def __init__(self, config: PreTrainedConfig, size: int, num_heads: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(size)
        self.attention = MaskedAttention(config, size, num_heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.feed_forward = feed_forward(size, dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """`hidden` (batch, tokens, size), `mask` bool (batch, tokens) -> the same shape as `hidden`."""
        normed = self.attention_norm(hidden)
        attended, _ = self.attention(normed, normed, mask)
        hidden = hidden + self.dropout(attended)
        return hidden + self.feed_forward(self.feed_forward_norm(hidden))


class CrossAttentionLayer(CheckpointedLayer):
    """Pre-norm cross-attention and feed-forward (x4): one modality asks, another answers.

    A sample without queries goes on with the keys, one without keys with its queries alone.
    """

    def __init__(self, config: PreTrainedConfig, size: int, num_heads: int, dropout: float):
        super().__init__()
        self.query_norm = nn.LayerNorm(size)
        self.key_norm = nn.LayerNorm(size)
        self.attention = MaskedAttention(config, size, num_heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.feed_forward = feed_forward(size, dropout)

    def forward(self, queries: Tensor, query_mask: Tensor, keys: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse.

        Args:
            queries (batch, queries, size), query_mask (batch, queries), bool.
            keys (batch, keys, size), key_mask (batch, keys), bool.

        Returns:
            hidden (batch, queries + keys, size), and its mask.
        """
        keys = self.key_norm(keys)
        attended, _ = self.attention(self.query_norm(queries), keys, key_mask)
        asked = Stream(queries + self.dropout(attended), query_mask)
        hidden, mask, _ = stand_in(asked, Stream(keys, key_mask))
        return hidden + self.feed_forward(self.feed_forward_norm(hidden)), mask


class LatentLayer(CrossAttentionLayer):
    """Pre-norm attention of latents to themselves and to tokens, and feed-forward (x4)."""

    def forward(self, latents: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """`latents` (batch, latents, size), `tokens` (batch, tokens, size), `mask` bool (batch, tokens) -> latents."""
        queries = self.query_norm(latents)
        keys = torch.cat([queries, self.key_norm(tokens)], dim=1)
        real = torch.cat([mask.new_ones(queries.shape[:2]), mask], dim=1)
        attended, _ = self.attention(queries, keys, real)
        hidden = latents + self.dropout(attended)
        return hidden + self.feed_forward(self.feed_forward_norm(hidden))


class Positions(nn.Embedding):
    """Learned positions, added to steps in time."""

    def forward(self, hidden: Tensor) -> Tensor:
        """`hidden` (batch, steps, size) -> the same shape.

        Raises:
            ValueError: more steps than there are positions.
        """
        steps = hidden.shape[1]
        if steps > self.num_embeddings:
            raise ValueError(
                f"{steps} steps in time, but the model has positions for {self.num_embeddings}: pass fewer, or "
                "configure more."
            )
        return hidden + self.weight[:steps]


class TemporalTransformer(nn.Module):
    """Learned positions and transformer layers over steps in time."""

    def __init__(
        self, config: PreTrainedConfig, size: int, num_layers: int, num_heads: int, max_steps: int, dropout: float
    ):
        super().__init__()
        self.positions = Positions(max_steps, size)
        self.layers = nn.ModuleList(TransformerLayer(config, size, num_heads, dropout) for _ in range(num_layers))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """`hidden` (batch, steps, size), `mask` bool (batch, steps) -> the same shape as `hidden`."""
        hidden = self.positions(hidden)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        return hidden
