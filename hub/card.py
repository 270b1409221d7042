"""The model card: front matter with a model-index, and a page, both made from a run's own results.

`python -m affecthub.hub.card MODEL_FOLDER ...` keeps the cards of model folders in `model_cards/`, one an
architecture, each with the facts that it was made from; of `model_cards/*.json`, it makes them anew.
"""

import argparse
import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..datasets_scripts.corpus import DataCard
from ..evaluation.answers import Kind
from ..evaluation.metrics import METRICS
from ..evaluation.private import LOCAL_PATH, TOKEN, is_place, public_words, roots_of, without_places
from ..evaluation.report import CardPart
from ..evaluation.results import (
    USUAL,
    Results,
    ablation_metrics,
    ablation_table,
    baseline_name,
    interval_note,
    metric_rows,
    remarks,
    rows_left_out,
    units_of,
)
from ..evaluation.scores import Scores, headline
from ..inference.onnx_model import ONNX_FILES
from ..media.files import write_file
from ..media.forms import VERSION, check_version
from .markdown import all_plain, fenced, plain

if TYPE_CHECKING:  # it loads what trains
    from ..insight.thresholds import Suggested

logger = logging.getLogger(__name__)

CARDS = Path(__file__).resolve().parent.parent / "model_cards"

TEMPLATE = CARDS / "template.md"

FACTS = "card.json"
"""In a model folder: what its card was made from."""

HUB_TASKS: dict[tuple[str, ...], str] = {("text",): "text-classification", ("audio",): "audio-classification"}
"""The Hub has no task for text + audio + video; every other set of modalities is found under video-classification."""

WIDGET = [{"text": "I can't believe you came!", "example_title": "A line of a conversation"}]
"""Only of a model that sees text alone: of all else an example would be a recording of somebody."""


def hub_task(modalities: Iterable[str]) -> str:
    """The Hub's task of a model of some modalities."""
    return HUB_TASKS.get(tuple(modalities), "video-classification")


@dataclass(frozen=True)
class CardFacts:
    """What the card says beyond the results. A field left empty leaves its sentence or section out."""

    model_name: str
    """Name of the folder, and of the repository on the Hub."""
    architecture: str
    """`config.model_type`."""
    description: str
    """One or two sentences: what the network is."""
    modalities: tuple[str, ...]
    """Of "text", "audio", "video", "physio", in this order."""
    results: Results
    license: str
    """The Hub's identifier of the weights' licence, such as "apache-2.0"; "other" is one."""
    language: tuple[str, ...] = ()
    repo_id: str | None = None
    """"owner/name" once it is known; the snippet names it."""
    base_models: tuple[str, ...] = ()
    """Encoders that the training began from: Hub ids are linked; folders are counted, never named."""
    dataset_id: str | None = None
    """Hub id of the training data, where it has one."""
    data: DataCard = DataCard()
    """What the data set says of itself."""
    physio_size: int = 0
    """Numeric features that it takes; 0: none."""
    parameters: dict[str, int] = field(default_factory=dict)
    """Counts by name, such as {"total": 1200000, "trainable": 1000000}."""
    recipe_name: str | None = None
    recipe: dict[str, object] = field(default_factory=dict)
    """What the run did otherwise than by default; anything that JSON can hold, paths too, which are not published."""
    pictures: dict[str, str] = field(default_factory=dict)
    """Caption -> name of a PNG file in the model folder."""
    versions: dict[str, str] = field(default_factory=dict)
    """Library -> version."""
    hardware: str | None = None
    seconds: float | None = None
    """Wall time of the training."""
    log: tuple[dict[str, float], ...] = ()
    """An epoch an entry: "epoch", "loss", and what was measured on validation, with "eval_" before its name."""
    authors: tuple[str, ...] = ()
    contact: str | None = None
    """Where questions go."""
    report: CardPart | None = None
    """What `affecthub report` says of it and of its other folds and seeds."""
    quality: "Suggested | None" = None
    """Its errors by the quality of recordings, and the thresholds that they support."""

    @property
    def pipeline_tag(self) -> str:
        """The Hub's task."""
        return hub_task(self.modalities)

    @property
    def hub_base_models(self) -> list[str]:
        """Those of `base_models` that the Hub can know: "name" or "owner/name", and no folder here."""
        return [model for model in self.base_models if not is_place("encoder", model) and model != LOCAL_PATH]

    @property
    def unpublished_encoders(self) -> int:
        """How many of `base_models` the Hub cannot know."""
        return len(self.base_models) - len(self.hub_base_models)

    @property
    def kinds(self) -> dict[str, Kind]:
        """How its tasks are judged, by their names."""
        return {task: scores["kind"] for _, task, scores in _all_scores(self.results)}

    @property
    def metrics(self) -> list[str]:
        """Metrics that there are figures of, by their keys in the table, in its order."""
        found = {name for *_, scores in _all_scores(self.results) for name in headline(scores)}
        return [name for name in METRICS if name in found]

    @property
    def usual(self) -> str:
        """What the baseline always answers with."""
        words = {task: USUAL[kind] for task, kind in self.kinds.items()}
        if len(set(words.values())) == 1:
            return next(iter(words.values()))
        return ", ".join(f"{answer} ({task})" for task, answer in words.items())

    @property
    def unit(self) -> str:
        """What a row of the data is: "utterances", "clips", "images" or "frames"."""
        return self.results["data"].get("unit", "utterances")

    @property
    def synthetic(self) -> bool:
        """Whether the model was trained on rendered people."""
        return self.results["data"]["synthetic"]

    def to_json(self) -> str:
        """As JSON, without local paths and access tokens."""
        return json.dumps({"version": VERSION, **asdict(self.cleaned())}, indent=1, ensure_ascii=False) + "\n"

    def cleaned(self) -> "CardFacts":
        """The same as JSON holds it, without local paths and access tokens: what may be published."""
        recipe = json.loads(json.dumps(self.recipe, default=str))
        roots = roots_of({"recipe": recipe, "encoders": [{"encoder": model} for model in self.base_models]})
        models = [*self.hub_base_models, *[LOCAL_PATH] * self.unpublished_encoders]
        values = asdict(replace(self, recipe={}, base_models=models))
        values = public_words(json.loads(json.dumps(values, default=str)), {}, roots)
        recipe = public_words(without_places(recipe), {}, roots)
        return CardFacts.from_json(json.dumps(values | {"recipe": recipe}))

    @classmethod
    def from_json(cls, text: str) -> "CardFacts":
        """What `to_json` gave.

        Raises:
            ValueError: no JSON, of a newer version, or not the fields of a card.
        """
        values = json.loads(text)
        if isinstance(values, dict):
            check_version(values, "the card's facts")
            values.pop("version", None)
        names = {entry.name for entry in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= names:
            raise ValueError(f"no facts of a card: they are a JSON object of {', '.join(sorted(names))}.")
        found = _tuples(values)
        found["data"] = DataCard(**_tuples(values.get("data", {})))
        return cls(**found)


def write_card(folder: str | Path, facts: CardFacts) -> Path:
    """Write `README.md` into the model folder, and beside it the facts as `card.json`, each whole or not at all.

    Local paths and access tokens are blanked wherever they come from, with a warning that counts them. What a data set
    calls things is escaped in Markdown and HTML.

    Raises:
        FileNotFoundError: a picture is not in the folder.
        OSError: the file cannot be written; named, with the remedy.
    """
    folder = Path(folder)
    if missing := [name for name in facts.pictures.values() if not (folder / name).is_file()]:
        raise FileNotFoundError(f"{folder}: no pictures {missing}; draw them into the folder before the card.")
    for name, text in ((FACTS, facts.to_json()), ("README.md", render_card(facts, exports_in(folder)).content)):
        write_file(folder / name, text.encode())
    return folder / "README.md"


def exports_in(folder: Path) -> list[str]:
    """Of the files that `affecthub export` writes, those that a model folder carries."""
    return [name for name in ONNX_FILES.values() if (folder / name).is_file()]


def is_as_rendered(folder: Path) -> bool:
    """Whether a model folder's card says what its facts give: written by this version, and by nobody's hand since."""
    card = folder / "README.md"
    if not (card.is_file() and (folder / FACTS).is_file()):
        return False
    return card.read_text(encoding="utf-8") == render_card(read_facts(folder / FACTS), exports_in(folder)).content


def read_facts(path: str | Path) -> CardFacts:
    """The facts in a JSON file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no facts of a card; give a model folder that train.py wrote.")
    try:
        return CardFacts.from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def keep_card(source: str | Path, cards: str | Path = CARDS) -> Path:
    """Keep a card as ARCHITECTURE.md and its facts as ARCHITECTURE.json, without pictures.

    Args:
        source: a model folder, or a file of facts.
        cards: the folder to keep it in.

    Raises:
        FileNotFoundError, ValueError: as `read_facts`.
    """
    source = Path(source)
    facts = replace(read_facts(source / FACTS if source.is_dir() else source), pictures={})
    kept = Path(cards) / f"{facts.architecture}.md"
    for path, text in ((kept.with_suffix(".json"), facts.to_json()), (kept, render_card(facts).content)):
        write_file(path, text.encode())
    return kept


def render_card(facts: CardFacts, exports: Sequence[str] = ()) -> ModelCard:
    """The card as huggingface_hub's object, parsed from its own text.

    Args:
        facts: what it says.
        exports: files beside the card that `affecthub export` wrote.
    """
    cleaned = facts.cleaned()
    if blanked := _blanks(cleaned) - _blanks(facts):
        logger.warning("The card of %s had %d local paths and tokens: blanked.", facts.model_name, blanked)
    words = {name: all_plain(getattr(cleaned, name)) for name in ("model_name", "description", "results", "hardware")}
    words |= {name: all_plain(getattr(cleaned, name)) for name in ("parameters", "pictures", "versions")}
    words |= {name: all_plain(getattr(cleaned, name)) for name in ("log", "authors", "contact")}
    shown = replace(cleaned, data=DataCard(**all_plain(asdict(cleaned.data))), **words)
    return ModelCard.from_template(
        _card_data(cleaned, shown),
        template_path=str(TEMPLATE),
        facts=shown,
        exports=exports,
        results=shown.results,
        repository=json.dumps(cleaned.repo_id or cleaned.model_name),
        main_task=json.dumps(next(iter(cleaned.kinds), "")),
        recipe=_recipe_yaml(cleaned.recipe),
        citation=cleaned.data.citation,
        fenced=fenced,
        plain=plain,
        metric_rows=metric_rows,
        baseline_name=baseline_name,
        remarks=remarks,
        rows_left_out=rows_left_out,
        interval_note=interval_note,
        units_of=units_of,
        ablation_table=ablation_table,
        ablation_metrics=ablation_metrics,
    )


def _blanks(facts: CardFacts) -> int:
    """How many paths and tokens were taken out of facts."""
    text = json.dumps(asdict(facts), default=str)
    return text.count(LOCAL_PATH) + text.count(TOKEN)


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Values of fields, lists among them as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _card_data(facts: CardFacts, shown: CardFacts) -> ModelCardData:
    """The front matter; `shown` has the words of the data set as a page may hold them."""
    tags = ["affecthub", "emotion-recognition", "custom_code", facts.architecture, *facts.modalities]
    if len(facts.modalities) > 1:
        tags.append("multimodal")
    if facts.synthetic:
        tags.append("synthetic")
    widget: dict[str, Any] = {"widget": WIDGET} if tuple(facts.modalities) == ("text",) else {}
    return ModelCardData(
        model_name=facts.model_name,
        library_name="transformers",
        pipeline_tag=facts.pipeline_tag,
        tags=tags,
        language=list(facts.language) or None,
        license=facts.license,
        base_model=facts.hub_base_models or None,
        datasets=[facts.dataset_id] if facts.dataset_id else None,
        metrics=list(dict.fromkeys(hub for name in facts.metrics if (hub := METRICS[name].hub))),
        eval_results=_eval_results(shown) or None,
        inference=False,  # the hosted API runs no custom code: without this the page shows a widget that fails
        **widget,
    )


def _all_scores(results: Results) -> list[tuple[str, str, Scores]]:
    """Split, task and figures, one after the other."""
    return [(split, task, scores) for split, tasks in results["results"].items() for task, scores in tasks.items()]


def _eval_results(facts: CardFacts) -> list[EvalResult]:
    """Every metric of every split and task, as the model-index holds them; then F1 of each label."""
    results = []
    for split, task, scores in _all_scores(facts.results):
        for name, value in headline(scores).items():
            metric = METRICS[name]
            results.append(_eval_result(facts, split, metric.hub or name, f"{task}: {metric.name}", value))
        for label, of in scores.get("per_class", {}).items():
            results.append(_eval_result(facts, split, "f1", f"{task}: F1 {label}", of["f1"]))
    return results


def _eval_result(facts: CardFacts, split: str, metric_type: str, metric_name: str, value: float) -> EvalResult:
    """One figure; which F1 it is, is in the name: the Hub knows only "f1"."""
    name = facts.results["data"]["name"]
    return EvalResult(
        task_type=facts.pipeline_tag,
        task_name="Affect recognition",
        dataset_type=facts.dataset_id or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        dataset_name=f"{name} (synthetic)" if facts.synthetic and "synthetic" not in name.lower() else name,
        dataset_split=split,
        metric_type=metric_type,
        metric_name=metric_name,
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Keep the cards of what is named."""
    parser = argparse.ArgumentParser(
        prog="python -m affecthub.hub.card", description="Keep the cards of model folders, one an architecture."
    )
    parser.add_argument(
        "sources", nargs="+", metavar="MODEL_FOLDER", help="written by train.py, such as RUN/model; or a card's .json"
    )
    parser.add_argument("--to", default=CARDS, type=Path, metavar="FOLDER", help="where to (default: model_cards)")
    options = parser.parse_args(arguments)
    try:
        for source in options.sources:
            print(keep_card(source, options.to))
    except (OSError, ValueError) as error:
        parser.error(str(error))


__all__ = ["CardFacts", "keep_card", "read_facts", "render_card", "write_card"]

if __name__ == "__main__":
    main()
