"""Configuration of late fusion (C.2): one classifier a modality, averaged over those that are present."""

from huggingface_hub.dataclasses import strict

from .configuration_trimodal import TrimodalConfig


@strict
class TrimodalLateFusionConfig(TrimodalConfig):
    """A `TrimodalConfig`; late fusion adds nothing to it."""

    model_type = "trimodal_late_fusion"


__all__ = ["TrimodalLateFusionConfig"]
