"""What the configurations of all utterance (text, audio, video) models share."""

from dataclasses import field

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .configuration_base import AffectConfig
from .modalities import TEXT, UTTERANCE_MODALITIES, VIDEO


@strict
class TrimodalConfig(AffectConfig):
    """Base of the utterance models' configurations, an `AffectConfig` with encoders and the embedding.

    Args:
        modalities: the modalities this model has encoders for, in the order text, audio, video.
        text_config: any BERT-like text model of transformers (default: BERT-base).
        vision_config: any CLIP-like vision model of transformers (default: CLIP ViT-B/32 with its 512-d projection).
        num_mel_bins: mel bands of the log-mel input.
        audio_channels: channels of the two convolutions over time.
        hidden_size: size of each modality's embedding.
        classifier_hidden_size: hidden units of each classifier.
        dropout: dropout inside the classifiers.
    """

    sub_configs_defaults = {
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="bert", optional=True),
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="clip_vision_model", optional=True),
    }

    allowed_modalities = UTTERANCE_MODALITIES
    any_subset = True
    default_num_labels = 7  # the seven emotions

    text_config: PreTrainedConfig | dict | None = None
    vision_config: PreTrainedConfig | dict | None = None
    modalities: list[str] = field(default_factory=lambda: list(UTTERANCE_MODALITIES))
    num_mel_bins: int = 40
    audio_channels: list[int] = field(default_factory=lambda: [64, 128])
    hidden_size: int = 256
    classifier_hidden_size: int = 128
    dropout: float | int = 0.3

    def __post_init__(self, **kwargs):
        # An unused modality has no encoder, and so no configuration; a used one has at least the default.
        self.text_config = (self.text_config or {}) if TEXT in self.modalities else None
        self.vision_config = (self.vision_config or {}) if VIDEO in self.modalities else None
        super().__post_init__(**kwargs)


__all__ = ["TrimodalConfig"]
