"""What the configurations of all utterance (text, audio, video) models share."""

from dataclasses import field

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .configuration_base import AffectConfig
from .modalities import AUDIO, TEXT, UTTERANCE_MODALITIES, VIDEO

AUDIO_CHANNELS = {"cnn": (64, 128), "cnn2d": (16, 32, 64, 96), "functionals": ()}
"""Audio encoder -> channels of its convolutions; the first is the reference's."""

SOUND_ENCODERS = (
    "wav2vec2",
    "hubert",
    "wavlm",
    "data2vec-audio",
    "whisper",
    "audio-spectrogram-transformer",
    "wav2vec2-bert",
)
"""`model_type` of transformers' encoders of sound that serve in place of those that learn from scratch."""


@strict
class TrimodalConfig(AffectConfig):
    """Base of the utterance models' configurations, an `AffectConfig` with encoders and the embedding.

    Args:
        modalities: the modalities this model has encoders for, in the order text, audio, video.
        text_config: any BERT-like text model of transformers (default: BERT-base).
        vision_config: any CLIP-like vision model of transformers (default: CLIP ViT-B/32 with its 512-d projection).
        audio_config: an encoder of sound of transformers, of `SOUND_ENCODERS`; none: `audio_encoder`.
        num_mel_bins: mel bands of the log-mel input.
        audio_encoder: without an `audio_config`: "cnn", the reference's two convolutions over time; "cnn2d", 2-D
            convolutions over bands and frames with statistics over time; or "functionals", statistics of cepstrum,
            pitch and voicing, for few clips. All learn from scratch.
        audio_channels: channels of each convolution (default: `AUDIO_CHANNELS` of the encoder).
        hidden_size: size of each modality's embedding.
        classifier_hidden_size: hidden units of each classifier.
        dropout: dropout inside the classifiers and behind "cnn2d".
    """

    sub_configs_defaults = {
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="bert", optional=True),
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="clip_vision_model", optional=True),
        "audio_config": SubConfigSpec(config_class=AutoConfig, model_type="wavlm", optional=True),
    }

    allowed_modalities = UTTERANCE_MODALITIES
    any_subset = True
    default_num_labels = 7  # the seven emotions

    text_config: PreTrainedConfig | dict | None = None
    vision_config: PreTrainedConfig | dict | None = None
    audio_config: PreTrainedConfig | dict | None = None
    modalities: list[str] = field(default_factory=lambda: list(UTTERANCE_MODALITIES))
    num_mel_bins: int = 40
    audio_encoder: str = "cnn"
    audio_channels: list[int] | None = None
    hidden_size: int = 256
    classifier_hidden_size: int = 128
    dropout: float | int = 0.3

    def __post_init__(self, **kwargs):
        # An unused modality has no encoder, and so no configuration; a used one has at least the default.
        self.text_config = (self.text_config or {}) if TEXT in self.modalities else None
        self.vision_config = (self.vision_config or {}) if VIDEO in self.modalities else None
        self.audio_config = self.audio_config if AUDIO in self.modalities else None
        if self.audio_channels is None:
            self.audio_channels = list(AUDIO_CHANNELS.get(self.audio_encoder, ()))
        super().__post_init__(**kwargs)

    def validate_audio(self) -> None:
        """Refuse an audio encoder that there is not, one without layers, and one of something else than sound."""
        if isinstance(self.audio_config, PreTrainedConfig) and self.audio_config.model_type not in SOUND_ENCODERS:
            raise ValueError(
                f"audio_config of a {self.audio_config.model_type} model: choose one of {list(SOUND_ENCODERS)}."
            )
        if self.audio_encoder not in AUDIO_CHANNELS:
            raise ValueError(f"audio_encoder={self.audio_encoder!r}: choose one of {list(AUDIO_CHANNELS)}.")
        if AUDIO_CHANNELS[self.audio_encoder] and not self.audio_channels:
            raise ValueError(f"audio_channels={self.audio_channels}: name the channels of one convolution or more.")


__all__ = ["TrimodalConfig"]
