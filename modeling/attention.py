"""Transformer blocks over tokens of which some are padding; torch's attention (SDPA) inside."""

from torch import Tensor, nn

from .checkpointing import CheckpointedLayer
from .tokens import Stream, stand_in


class MaskedAttention(nn.Module):
    """Multi-head attention to the real keys; a sample that has none gets 0."""

    def __init__(self, size: int, num_heads: int, dropout: float):
        super().__init__()
        self.attention = nn.MultiheadAttention(size, num_heads, dropout=dropout, batch_first=True)

    def forward(
        self, queries: Tensor, keys: Tensor, key_mask: Tensor, output_attentions: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            queries (batch, queries, size).
            keys (batch, keys, size): also the values.
            key_mask (batch, keys), bool: 1 = real.
            output_attentions: also return the weights.

        Returns:
            (batch, queries, size), and the weights (batch, heads, queries, keys) or None.
        """
        some = key_mask.any(dim=1, keepdim=True)
        ignored = ~key_mask & some  # a softmax over no key at all would be NaN
        output, weights = self.attention(
            queries,
            keys,
            keys,
            key_padding_mask=ignored,
            need_weights=output_attentions,
            average_attn_weights=False,
        )
        output = output * some.unsqueeze(-1)
        return output, None if weights is None else weights * some.view(-1, 1, 1, 1)


def feed_forward(size: int, dropout: float) -> nn.Sequential:
    """Linear to four times the size, GELU, Linear back, Dropout: (..., size) -> (..., size)."""
    return nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size), nn.Dropout(dropout))


class TransformerLayer(CheckpointedLayer):
    """Pre-norm self-attention and feed-forward (x4), each with a residual connection.

    Parameters: 4 (d^2 + d) attention + 8 d^2 + 5 d feed-forward + 4 d norms = 12 d^2 + 13 d.
    """

    def __init__(self, size: int, num_heads: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(size)
        self.attention = MaskedAttention(size, num_heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.feed_forward = feed_forward(size, dropout)

    def forward(self, hidden: Tensor, mask: Tensor, output_attentions: bool = False) -> tuple[Tensor, Tensor | None]:
        """`hidden` (batch, tokens, size), `mask` bool (batch, tokens) -> the same shape, and the weights or None."""
        normed = self.attention_norm(hidden)
        attended, weights = self.attention(normed, normed, mask, output_attentions)
        hidden = hidden + self.dropout(attended)
        return hidden + self.feed_forward(self.feed_forward_norm(hidden)), weights


class CrossAttentionLayer(CheckpointedLayer):
    """Pre-norm cross-attention and feed-forward (x4): one modality asks, another answers.

    A sample without queries goes on with the keys, one without keys with its queries alone.
    """

    def __init__(self, size: int, num_heads: int, dropout: float):
        super().__init__()
        self.query_norm = nn.LayerNorm(size)
        self.key_norm = nn.LayerNorm(size)
        self.attention = MaskedAttention(size, num_heads, dropout)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.feed_forward = feed_forward(size, dropout)

    def forward(
        self, queries: Tensor, query_mask: Tensor, keys: Tensor, key_mask: Tensor, output_attentions: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Fuse.

        Args:
            queries (batch, queries, size), query_mask (batch, queries), bool.
            keys (batch, keys, size), key_mask (batch, keys), bool.
            output_attentions: also return the weights.

        Returns:
            hidden (batch, queries + keys, size), its mask, and the weights (batch, heads, queries, keys) or None.
        """
        keys = self.key_norm(keys)
        attended, weights = self.attention(self.query_norm(queries), keys, key_mask, output_attentions)
        asked = Stream(queries + self.dropout(attended), query_mask)
        hidden, mask, _ = stand_in(asked, Stream(keys, key_mask))
        return hidden + self.feed_forward(self.feed_forward_norm(hidden)), mask, weights


class TemporalTransformer(nn.Module):
    """Learned positions and transformer layers over steps in time."""

    def __init__(self, size: int, num_layers: int, num_heads: int, max_steps: int, dropout: float):
        super().__init__()
        self.positions = nn.Embedding(max_steps, size)
        self.layers = nn.ModuleList(TransformerLayer(size, num_heads, dropout) for _ in range(num_layers))

    def forward(
        self, hidden: Tensor, mask: Tensor, output_attentions: bool = False
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """`hidden` (batch, steps, size), `mask` bool (batch, steps) -> the same shape, and each layer's weights.

        Raises:
            ValueError: more steps than there are positions.
        """
        steps = hidden.shape[1]
        if steps > self.positions.num_embeddings:
            raise ValueError(
                f"{steps} steps in time, but the model has positions for {self.positions.num_embeddings}: pass fewer, "
                "or configure more."
            )
        hidden = hidden + self.positions.weight[:steps]
        attentions = ()
        for layer in self.layers:
            hidden, weights = layer(hidden, mask, output_attentions)
            attentions += (weights,) if output_attentions else ()
        return hidden, attentions
