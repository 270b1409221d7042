"""Configuration of token fusion: latents that read text, sound, pictures and feature sequences token by token."""

from dataclasses import field

from huggingface_hub.dataclasses import strict

from .configuration_trimodal import TrimodalConfig
from .modalities import MODALITIES


@strict
class TokenFusionConfig(TrimodalConfig):
    """A `TrimodalConfig` with features as a fourth modality, and the latents.

    Args:
        physio_size: how many features a step has.
        hidden_size: width of tokens and latents.
        num_latents: how many there are.
        num_fusion_layers: how often they read every modality.
        num_attention_heads: heads of each layer.
        fusion_dropout: dropout on the tokens and inside the layers.
        modality_loss_weight: weight of the loss of what is said to each modality alone.
    """

    model_type = "token_fusion"
    allowed_modalities = MODALITIES

    modalities: list[str] = field(default_factory=lambda: list(MODALITIES))
    physio_size: int = 33
    hidden_size: int = 128
    num_latents: int = 4
    num_fusion_layers: int = 2
    num_attention_heads: int = 4
    fusion_dropout: float | int = 0.1
    modality_loss_weight: float | int = 1.0

    def validate_fusion(self) -> None:
        """Refuse what no latent could read with."""
        for name in ("physio_size", "num_latents", "num_fusion_layers", "num_attention_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: 1 or more are needed.")
        if self.pooling != "mean":
            raise ValueError(f"pooling={self.pooling!r}: latents attend to each token of a modality; leave it out.")
        if not 0 <= self.modality_loss_weight < float("inf"):
            raise ValueError(f"modality_loss_weight={self.modality_loss_weight}: a number of at least 0 is needed.")
        if self.hidden_size % self.num_attention_heads or self.hidden_size % 2:
            raise ValueError(
                f"hidden_size={self.hidden_size} cannot be shared by num_attention_heads={self.num_attention_heads}: "
                "choose an even multiple."
            )


__all__ = ["TokenFusionConfig"]
