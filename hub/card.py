"""The model card: front matter with a model-index, and a page, both made from a run's own results."""

import json
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..evaluation.metrics import scalars
from ..evaluation.report import Results, metric_rows, percent, replacing

logger = logging.getLogger(__name__)

TEMPLATE = Path(__file__).resolve().parent.parent / "model_cards" / "template.md"

PIPELINE_TAGS = {("text",): "text-classification", ("audio",): "audio-classification"}
"""The Hub has no tag for text + audio + video; every other set of modalities is found under video-classification."""

METRIC_NAMES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
"""Readable names of what is not an F1."""

LOCAL_PATHS = re.compile(r"(?<![\w/.<])(?:file://|~/|\.{1,2}/|[A-Za-z]:\\|(?=/\w))[\w./\\-]*[\w/\\-]")
"""Absolute and relative POSIX paths, home folders, Windows drives and file addresses; web addresses are none."""

TOKENS = re.compile(r"\bhf_[A-Za-z0-9]{16,}")
"""Access tokens of the Hub."""


@dataclass(frozen=True)
class CardFacts:
    """What the card says beyond the results. A field left empty leaves its sentence or section out."""

    model_name: str
    """Name of the folder, and of the repository on the Hub."""
    architecture: str
    """`config.model_type`."""
    description: str
    """One or two sentences: what the network is."""
    auto_model: str
    """The Auto class with the classification head, such as "AutoModelForVideoClassification"."""
    modalities: tuple[str, ...]
    """Of "text", "audio", "video", in this order."""
    results: Results
    license: str
    """The Hub's identifier of the weights' licence, such as "apache-2.0"; "other" is one."""
    language: tuple[str, ...] = ("en",)
    repo_id: str | None = None
    """"owner/name" once it is known; the snippet names it."""
    base_models: tuple[str, ...] = ()
    """Encoders that the training began from: Hub ids are linked; folders are counted, never named."""
    dataset_id: str | None = None
    """Hub id of the training data, where it has one."""
    data_notes: tuple[str, ...] = ()
    """Sentences on the data: source, policies (such as which twin clips were taken), repairs."""
    parameters: dict[str, int] = field(default_factory=dict)
    """Counts by name, such as {"total": 1200000, "trainable": 1000000}."""
    recipe_name: str | None = None
    recipe: dict[str, object] = field(default_factory=dict)
    """The values that the run used; anything that JSON can hold, paths too (they are blanked)."""
    pictures: dict[str, str] = field(default_factory=dict)
    """Caption -> name of a PNG file in the model folder."""
    versions: dict[str, str] = field(default_factory=dict)
    """Library -> version."""
    hardware: str | None = None
    seconds: float | None = None
    """Wall time of the training."""

    @property
    def pipeline_tag(self) -> str:
        """The Hub's task."""
        return PIPELINE_TAGS.get(tuple(self.modalities), "video-classification")

    @property
    def hub_base_models(self) -> list[str]:
        """Those of `base_models` that the Hub can know: "name" or "owner/name", and no folder here."""
        hub_id = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
        return [model for model in self.base_models if hub_id.fullmatch(model) and not Path(model).exists()]

    @property
    def synthetic(self) -> bool:
        """Whether the model was trained on rendered people."""
        return self.results["data"]["synthetic"]

    @property
    def on_meld(self) -> bool:
        """Whether it was trained on the real MELD, whose licence and citation belong into the card."""
        return self.results["data"]["name"].lower().startswith("meld") and not self.synthetic


def write_card(folder: str | Path, facts: CardFacts) -> Path:
    """Write `README.md` into the model folder, whole or not at all.

    Local paths and access tokens are blanked wherever they come from, with a warning that counts them.

    Raises:
        FileNotFoundError: a picture is not in the folder.
        OSError: the file cannot be written; named, with the remedy.
    """
    folder = Path(folder)
    if missing := [name for name in facts.pictures.values() if not (folder / name).is_file()]:
        raise FileNotFoundError(f"{folder}: no pictures {missing}; draw them into the folder before the card.")
    with replacing(folder / "README.md") as temporary:
        temporary.write_text(render_card(facts).content, encoding="utf-8")
    return folder / "README.md"


def render_card(facts: CardFacts) -> ModelCard:
    """The card as huggingface_hub's object, parsed from its own text."""
    card = ModelCard.from_template(
        _card_data(facts),
        template_path=str(TEMPLATE),
        facts=facts,
        results=facts.results,
        recipe=_recipe_yaml(facts.recipe),
        metric_rows=metric_rows,
        percent=percent,
    )
    content, paths = LOCAL_PATHS.subn("(local path)", card.content)
    content, tokens = TOKENS.subn("(token)", content)
    if paths or tokens:
        logger.warning("The card of %s had %d local paths and %d tokens: blanked.", facts.model_name, paths, tokens)
    return ModelCard(content)


def _card_data(facts: CardFacts) -> ModelCardData:
    """The front matter."""
    tags = ["affecthub", "emotion-recognition", "custom_code", facts.architecture, *facts.modalities]
    if len(facts.modalities) > 1:
        tags.append("multimodal")
    if facts.synthetic:
        tags.append("synthetic")
    return ModelCardData(
        model_name=facts.model_name,
        library_name="transformers",
        pipeline_tag=facts.pipeline_tag,
        tags=tags,
        language=list(facts.language),
        license=facts.license,
        base_model=facts.hub_base_models or None,
        datasets=[facts.dataset_id] if facts.dataset_id else None,
        metrics=["accuracy", "f1"],
        eval_results=_eval_results(facts) or None,
        inference=False,  # the hosted API runs no custom code: without this the page shows a widget that fails
    )


def _eval_results(facts: CardFacts) -> list[EvalResult]:
    """Every metric of every split and task, as the model-index holds them."""
    return [
        _eval_result(facts, split, task, metric, value)
        for split, tasks in facts.results["results"].items()
        for task, scores in tasks.items()
        for metric, value in scalars(scores).items()
    ]


def _eval_result(facts: CardFacts, split: str, task: str, metric: str, value: float) -> EvalResult:
    """One figure; `metric` is a key of `scalars`. The kind of F1 is in the name: the Hub knows only "f1"."""
    name = facts.results["data"]["name"]
    kind = metric if metric in METRIC_NAMES else "f1"
    return EvalResult(
        task_type=facts.pipeline_tag,
        task_name="Emotion recognition",
        dataset_type=facts.dataset_id or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        dataset_name=f"{name} (synthetic)" if facts.synthetic and "synthetic" not in name.lower() else name,
        dataset_split=split,
        metric_type=kind,
        metric_name=f"{task}: {METRIC_NAMES.get(metric, 'F1 ' + metric.removeprefix('f1_'))}",
        metric_value=round(value, 4),
    )


def _recipe_yaml(recipe: dict[str, object]) -> str:
    """The recipe for a reader, as YAML; values that are None say nothing and stay out."""
    plain = json.loads(json.dumps(recipe, default=str))
    return yaml.safe_dump(_without_none(plain), sort_keys=False, allow_unicode=True) if plain else ""


def _without_none(value: object) -> object:
    """Dictionaries without the keys whose value is None, at any depth."""
    if isinstance(value, dict):
        return {key: _without_none(entry) for key, entry in value.items() if entry is not None}
    return value


__all__ = ["CardFacts", "render_card", "write_card"]
