"""What the configurations of all models of recordings (frames, clips, physiology, waveforms) share."""

from dataclasses import field
from typing import ClassVar

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .configuration_base import AffectConfig
from .modalities import VIDEO

TINY_VIT = {
    "model_type": "vit",
    "image_size": 224,
    "patch_size": 16,
    "hidden_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 768,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "qkv_bias": True,
}
"""A ViT 224/16 to be trained from scratch. Parameters without its classifier, with d = 192 and 4 layers:

patches 768 d + d, class token d, positions 197 d, layers 12 d^2 + 13 d each (with qkv bias, 3 d of it), last norm 2 d:
1,965,504; without qkv bias 1,963,200.
"""


@strict
class RecordingConfig(AffectConfig):
    """Base of the configurations: an `AffectConfig` with a frame encoder and a head.

    A frame is a clip of one frame, so one model class serves frames and clips.

    Args:
        vision_config: the frame encoder, any ViT-like model of transformers; None = the architecture's default. A
            dictionary is taken whole (with its `model_type`), and not merged into the default.
        head_sizes: widths of the classifier's hidden layers; none for a linear one.
        head_dropouts: dropout before each of its linear layers, one more than there are hidden ones.
        head_activation: after each hidden layer.
        dropout: in the blocks between encoder and classifier.
    """

    sub_configs_defaults = {
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="vit", optional=True),
    }
    default_vision: ClassVar[dict | None] = None
    """Of an architecture that has a frame encoder."""
    default_problem_type = "multi_label_classification"  # with one label that is binary

    vision_config: PreTrainedConfig | dict | None = None
    modalities: list[str] = field(default_factory=lambda: [VIDEO])
    head_sizes: list[int] = field(default_factory=list)
    head_dropouts: list[float | int] = field(default_factory=lambda: [0.0])
    head_activation: str = "gelu"
    dropout: float | int = 0.1

    def __post_init__(self, **kwargs):
        if self.vision_config is None and self.default_vision is not None:
            self.vision_config = dict(self.default_vision)
        super().__post_init__(**kwargs)

    @property
    def stream_size(self) -> int:
        """Width of a modality's tokens where modalities meet."""
        assert isinstance(self.vision_config, PreTrainedConfig)
        return self.vision_config.hidden_size

    @property
    def embedding_size(self) -> int:
        """Width of the vector that the head sees."""
        return self.stream_size

    def validate_modalities(self) -> None:
        """Refuse anything but the architecture's own modalities; which of them a sample has is the input's affair."""
        if self.modalities != list(self.allowed_modalities):
            raise ValueError(
                f"modalities={self.modalities!r}: a {self.model_type} model has {list(self.allowed_modalities)}; "
                "leave a modality out of the inputs instead."
            )

    def validate_head(self) -> None:
        """Refuse a head whose dropouts do not go with its layers."""
        if len(self.head_dropouts) != len(self.head_sizes) + 1:
            raise ValueError(
                f"head_sizes={self.head_sizes}, head_dropouts={self.head_dropouts}: one dropout before each linear "
                "layer, so one more than there are hidden layers."
            )


__all__ = ["RecordingConfig"]
