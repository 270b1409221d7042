"""What the configurations of all architectures share: modalities, tasks, losses."""

import math
from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal, TypeGuard, cast, get_args

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .modalities import MODALITIES

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
PROBLEM_TYPES: tuple[ProblemType, ...] = get_args(ProblemType)


POOLING_TYPES = ("mean", "attention")


@dataclass(frozen=True)
class Task:
    """Something that a model says of a sample."""

    name: str
    labels: tuple[str, ...]
    """In the order of the logits."""
    problem_type: str = PROBLEM_TYPES[0]
    weight: float = 1.0
    """Of its loss in the sum."""


@strict
class AffectConfig(PreTrainedConfig):
    """Base of the configurations.

    A model has a main task, whose labels are `id2label` and whose kind is `problem_type`, and any number of further
    ones beside it.

    Args:
        modalities: the modalities that this model has encoders for, in the order of `MODALITIES`.
        modality_dropout: probability with which training hides a present modality (never a sample's last one).
        task: name of the main task.
        task_weight: weight of its loss.
        further_tasks: the other tasks, each a dictionary of the fields of `Task`: name and labels, and problem_type
            and weight where they are not a single label and 1.
        class_weights: of a main task of a single label, weight of each label in its loss, or None.
        pos_weight: of a main task of several labels (or of one that is there or not), how much the presence of each
            counts in the loss, where its absence counts 1; or None.
        focal_gamma: focusing parameter of the main task's focal loss (Lin et al. 2017); 0 = plain cross-entropy.
        pooling: how tokens, frames and steps in time become one vector: "mean", or "attention", learned weights of the
            steps (`AttentionPooling`).
        initializer_range: standard deviation of freshly drawn weights.
        calibration: what turns logits into the probabilities and labels that are told, by the name of a task, as
            {"emotion": {"temperature": 1.3}}: logits are divided by the temperature (Guo et al. 2017), and of several
            labels, or of one that is there or not, "thresholds" say by label which probability it has to exceed;
            None: 1 and 0.5. `forward` gives logits as they are.
    """

    _auto_class = "AutoConfig"  # saving copies the code, for those who do not have this package
    allowed_modalities: ClassVar[tuple[str, ...]] = MODALITIES
    any_subset = False
    """Whether a model may be built of fewer modalities than the architecture allows."""
    default_num_labels = 1
    default_problem_type: ClassVar[ProblemType] = PROBLEM_TYPES[0]

    modalities: list[str] = field(default_factory=list)
    modality_dropout: float | int = 0.0
    task: str = "label"
    task_weight: float | int = 1.0
    further_tasks: list[dict] = field(default_factory=list)
    class_weights: list[float] | None = None
    pos_weight: list[float] | None = None
    focal_gamma: float | int = 0.0
    pooling: str = "mean"
    initializer_range: float | int = 0.02
    calibration: dict[str, dict] | None = None

    def __post_init__(self, **kwargs):
        if self.id2label is None and self.num_labels is None:
            kwargs.setdefault("num_labels", self.default_num_labels)
        self.problem_type = self.problem_type or self.default_problem_type
        super().__post_init__(**kwargs)

    @property
    def tasks(self) -> list[Task]:
        """What the model says of a sample, the main task first."""
        names = cast(dict[int, str], self.id2label)
        assert self.problem_type is not None
        main = Task(self.task, tuple(names[i] for i in range(len(names))), self.problem_type, self.task_weight)
        return [main, *(Task(**{**entry, "labels": tuple(entry["labels"])}) for entry in self.further_tasks)]

    @property
    def num_outputs(self) -> int:
        """Width of a classifier's last layer: the labels of all tasks."""
        return sum(len(task.labels) for task in self.tasks)

    def validate_modalities(self) -> None:
        """Refuse modalities that are unknown, repeated or out of order."""
        allowed = list(self.allowed_modalities)
        if not self.modalities or self.modalities != [name for name in allowed if name in self.modalities]:
            raise ValueError(
                f"modalities={self.modalities!r}: name one or more of {allowed}, once each, in that order."
            )

    def validate_pooling(self) -> None:
        """Refuse a way of pooling that there is not."""
        if self.pooling not in POOLING_TYPES:
            raise ValueError(f"pooling={self.pooling!r}: choose one of {list(POOLING_TYPES)}.")

    def validate_tasks(self) -> None:
        """Refuse tasks that are no tasks, or that could not be told apart."""
        known = [entry.name for entry in fields(Task)]
        for entry in self.further_tasks:
            if not set(known[:2]) <= set(entry) <= set(known):
                raise ValueError(f"further_tasks: {entry!r}: name and labels are needed, and may have {known[2:]}.")
            if not isinstance(entry["labels"], list | tuple):
                raise ValueError(f"further_tasks: labels={entry['labels']!r} of {entry['name']!r}: a list is needed.")
        for task in self.tasks:
            _check_task(task)
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError(f"task and further_tasks are named {names}: each needs a name of its own.")
        if foreign := [name for name in self.calibration or {} if name not in names]:
            raise ValueError(f"calibration of {foreign[0]!r}: the tasks are {names}.")
        for task in self.tasks:
            _check_calibration(task, (self.calibration or {}).get(task.name, {"temperature": 1}))

    def validate_losses(self) -> None:
        """Refuse weights or probabilities that no loss could use."""
        for name, needed in {"class_weights": PROBLEM_TYPES[0], "pos_weight": PROBLEM_TYPES[1]}.items():
            weights = getattr(self, name)
            if weights is None:
                continue
            if self.problem_type != needed:
                raise ValueError(f"{name} with problem_type={self.problem_type!r}: they are for {needed!r}.")
            if len(weights) != self.num_labels:
                raise ValueError(f"{len(weights)} {name} for {self.num_labels} labels: give one a label.")
            if not all(0 <= weight < float("inf") for weight in weights):
                raise ValueError(f"{name}={weights}: numbers of at least 0 are needed.")
        if not 0 <= self.modality_dropout < 1:
            raise ValueError(f"modality_dropout={self.modality_dropout}: a probability in [0, 1) is needed.")


def _check_calibration(task: Task, fitted: dict) -> None:
    """ValueError for a temperature or thresholds that no probability could be made or judged by."""
    if unknown := sorted(set(fitted) - {"temperature", "thresholds"}):
        raise ValueError(f"calibration of {task.name!r} has {unknown}: there are temperature and thresholds.")
    temperature, thresholds = fitted.get("temperature"), fitted.get("thresholds")
    if not (_is_number(temperature) and temperature > 0):
        raise ValueError(f"calibration of {task.name!r}: temperature={temperature!r}: a number above 0 is needed.")
    if thresholds is None:
        return
    if task.problem_type != PROBLEM_TYPES[1]:
        raise ValueError(f"calibration of {task.name!r}: thresholds are for problem_type={PROBLEM_TYPES[1]!r}.")
    if len(thresholds) != len(task.labels) or not all(_is_number(value) and 0 <= value < 1 for value in thresholds):
        raise ValueError(
            f"calibration of {task.name!r}: thresholds={thresholds}: {len(task.labels)} numbers in [0, 1) are needed, "
            "one a label."
        )


def _is_number(value: object) -> TypeGuard[float]:
    """Whether it is one, and finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_task(task: Task) -> None:
    """ValueError for a task that nothing could be learned from."""
    if not isinstance(task.name, str) or not task.name:
        raise ValueError(f"task={task.name!r}: a name is needed.")
    if task.problem_type not in PROBLEM_TYPES:
        raise ValueError(f"problem_type={task.problem_type!r} of {task.name!r}: choose one of {list(PROBLEM_TYPES)}.")
    if not task.labels or len(set(task.labels)) < len(task.labels):
        raise ValueError(f"labels={list(task.labels)} of {task.name!r}: one or more are needed, each once.")
    if not isinstance(task.weight, int | float) or not 0 <= task.weight < float("inf"):
        raise ValueError(f"weight={task.weight!r} of {task.name!r}: a number of at least 0 is needed.")


__all__ = ["AffectConfig"]
