"""What the configurations of all utterance (text, audio, video) models share."""

from dataclasses import field

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .modalities import MODALITIES, TEXT, VIDEO

PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")


@strict
class TrimodalConfig(PreTrainedConfig):
    """Base of the utterance models' configurations: encoders, embedding, losses.

    Args:
        modalities: the modalities this model has encoders for, in the order text, audio, video.
        text_config: any BERT-like text model of transformers (default: BERT-base).
        vision_config: any CLIP-like vision model of transformers (default: CLIP ViT-B/32 with its 512-d projection).
        num_mel_bins: mel bands of the log-mel input.
        audio_channels: channels of the two convolutions over time.
        hidden_size: size of each modality's embedding.
        classifier_hidden_size: hidden units of each classifier.
        dropout: dropout inside the classifiers.
        modality_dropout: probability with which training hides a present modality (never a sample's last one).
        sentiment_id2label: names of the second task's classes; None = a single task.
        sentiment_loss_weight: weight of the second task's loss.
        class_weights: weight of each label in the loss, or None.
        focal_gamma: focusing parameter of the focal loss (Lin et al. 2017); 0 = plain cross-entropy.
        initializer_range: standard deviation of freshly drawn weights.
    """

    sub_configs_defaults = {
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="bert", optional=True),
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="clip_vision_model", optional=True),
    }

    text_config: PreTrainedConfig | dict | None = None
    vision_config: PreTrainedConfig | dict | None = None
    modalities: list[str] = field(default_factory=lambda: list(MODALITIES))
    num_mel_bins: int = 40
    audio_channels: list[int] = field(default_factory=lambda: [64, 128])
    hidden_size: int = 256
    classifier_hidden_size: int = 128
    dropout: float | int = 0.3
    modality_dropout: float | int = 0.0
    sentiment_id2label: dict | None = None
    sentiment_loss_weight: float | int = 0.5
    class_weights: list[float] | None = None
    focal_gamma: float | int = 0.0
    initializer_range: float | int = 0.02

    def __post_init__(self, **kwargs):
        if self.id2label is None and self.num_labels is None:
            kwargs.setdefault("num_labels", 7)  # the seven emotions
        self.problem_type = self.problem_type or PROBLEM_TYPES[0]
        if self.sentiment_id2label is not None:  # JSON turns integer keys into strings
            self.sentiment_id2label = {int(key): value for key, value in self.sentiment_id2label.items()}
        # An unused modality has no encoder, and so no configuration; a used one has at least the default.
        self.text_config = (self.text_config or {}) if TEXT in self.modalities else None
        self.vision_config = (self.vision_config or {}) if VIDEO in self.modalities else None
        super().__post_init__(**kwargs)

    @property
    def num_sentiments(self) -> int:
        """Classes of the sentiment task; 0 for a single-task model."""
        return len(self.sentiment_id2label or {})

    @property
    def num_outputs(self) -> int:
        """Width of a classifier's last layer: the labels, then the sentiments."""
        return self.num_labels + self.num_sentiments

    def validate_modalities(self) -> None:
        """Refuse modalities that are unknown, repeated or out of order."""
        if not self.modalities or self.modalities != [name for name in MODALITIES if name in self.modalities]:
            raise ValueError(
                f"modalities={self.modalities!r}: name one or more of {list(MODALITIES)}, once each, in that order."
            )

    def validate_losses(self) -> None:
        """Refuse a problem type, class weights or probabilities that no loss could use."""
        if self.problem_type not in PROBLEM_TYPES:
            raise ValueError(f"problem_type={self.problem_type!r}: choose one of {list(PROBLEM_TYPES)}.")
        if self.class_weights is not None and len(self.class_weights) != self.num_labels:
            raise ValueError(
                f"{len(self.class_weights)} class_weights for {self.num_labels} labels: give one a label."
            )
        if not 0 <= self.modality_dropout < 1:
            raise ValueError(f"modality_dropout={self.modality_dropout}: a probability in [0, 1) is needed.")


__all__ = ["TrimodalConfig"]
