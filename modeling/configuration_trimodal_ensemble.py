"""Configuration of the ensemble (C.3): an early and a late fusion path under two learned weights."""

from dataclasses import field

from huggingface_hub.dataclasses import strict

from .configuration_trimodal import TrimodalConfig


@strict
class TrimodalEnsembleConfig(TrimodalConfig):
    """A `TrimodalConfig` with the early path's layers.

    Args:
        fusion_sizes: widths of the early path's hidden layers.
        fusion_dropouts: dropout after each of them.
    """

    model_type = "trimodal_ensemble"

    fusion_sizes: list[int] = field(default_factory=lambda: [512, 256])
    fusion_dropouts: list[float] = field(default_factory=lambda: [0.4, 0.3])

    def validate_fusion(self) -> None:
        """Refuse layers without a dropout, and dropouts without a layer."""
        if len(self.fusion_sizes) != len(self.fusion_dropouts) or not self.fusion_sizes:
            raise ValueError(
                f"fusion_sizes={self.fusion_sizes}, fusion_dropouts={self.fusion_dropouts}: one dropout a layer."
            )


__all__ = ["TrimodalEnsembleConfig"]
