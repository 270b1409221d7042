"""Configuration of the unimodal baselines (C.1): one encoder, one classifier."""

from dataclasses import field

from huggingface_hub.dataclasses import strict

from .configuration_trimodal import TrimodalConfig
from .modalities import TEXT


@strict
class UnimodalBaselineConfig(TrimodalConfig):
    """A `TrimodalConfig` with exactly one modality.

    Example:

    ```python
    >>> from affecthub import UnimodalBaselineConfig
    >>> UnimodalBaselineConfig(modalities=["audio"]).num_labels
    7

    ```
    """

    model_type = "unimodal_baseline"

    modalities: list[str] = field(default_factory=lambda: [TEXT])

    def validate_single_modality(self) -> None:
        """Refuse anything but one modality."""
        if len(self.modalities) != 1:
            raise ValueError(
                f"modalities={self.modalities!r}: a unimodal baseline has exactly one; for more, use "
                "trimodal_late_fusion or trimodal_ensemble."
            )


__all__ = ["UnimodalBaselineConfig"]
