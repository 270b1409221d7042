"""What the configurations of all architectures share: modalities, labels, losses."""

from dataclasses import field

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .modalities import MODALITIES

PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")


@strict
class AffectConfig(PreTrainedConfig):
    """Base of the configurations.

    Args:
        modalities: the modalities that this model has encoders for, in the order of `MODALITIES`.
        modality_dropout: probability with which training hides a present modality (never a sample's last one).
        class_weights: weight of each label in the loss, or None.
        focal_gamma: focusing parameter of the focal loss (Lin et al. 2017); 0 = plain cross-entropy.
        initializer_range: standard deviation of freshly drawn weights.
    """

    allowed_modalities = MODALITIES
    default_num_labels = 1
    default_problem_type = PROBLEM_TYPES[0]

    modalities: list[str] = field(default_factory=list)
    modality_dropout: float | int = 0.0
    class_weights: list[float] | None = None
    focal_gamma: float | int = 0.0
    initializer_range: float | int = 0.02

    def __post_init__(self, **kwargs):
        if self.id2label is None and self.num_labels is None:
            kwargs.setdefault("num_labels", self.default_num_labels)
        self.problem_type = self.problem_type or self.default_problem_type
        super().__post_init__(**kwargs)

    def validate_modalities(self) -> None:
        """Refuse modalities that are unknown, repeated or out of order."""
        allowed = list(self.allowed_modalities)
        if not self.modalities or self.modalities != [name for name in allowed if name in self.modalities]:
            raise ValueError(
                f"modalities={self.modalities!r}: name one or more of {allowed}, once each, in that order."
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


__all__ = ["AffectConfig"]
