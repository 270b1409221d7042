"""The model folder: what `AutoModel.from_pretrained` needs, the card, the figures; written whole or not at all."""

import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from safetensors import SafetensorError
from transformers import PreTrainedModel, ProcessorMixin, Trainer

from affecthub.datasets_scripts.corpus import Corpus, DataCard
from affecthub.evaluation.learned_from import LearnedFrom
from affecthub.evaluation.pictures import SCORES_PICTURE, plot_ablation, plot_curves, plot_reliability, plot_scores
from affecthub.evaluation.private import Pseudonyms, public_words, roots_of
from affecthub.evaluation.results import Results, write_results
from affecthub.hub.card import CardFacts, write_card
from affecthub.hub.publish import load_saved
from affecthub.hub.remote_code import add_travelling_code
from affecthub.inference.model_check import CHECK_FILE, checks_of
from affecthub.media.files import write_file
from affecthub.training.environment import hardware
from affecthub.training.from_recipe import pretrained_audio
from affecthub.training.history import history_of
from affecthub.training.recipe import Recipe

LIBRARIES = ("affecthub", "torch", "transformers", "datasets", "accelerate", "evaluate")

MAX_SHARD = "5GB"
"""Of weights in one file."""

FULL = "free space there, or choose another --output_dir; the previous folder, if there was one, is untouched."


@dataclass
class Finished:
    """A run's outcome, as the folder and the card need it."""

    trainer: Trainer
    model: PreTrainedModel
    """All of it, of which the trainer's may be a part."""
    processor: ProcessorMixin
    corpus: Corpus
    recipe: Recipe
    results: Results
    seconds: float
    learned: LearnedFrom | None = None
    """Digests of what it learned from."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Name -> pseudonym, of people and recordings."""


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder`; it takes `folder`'s place at the end, and is gone when anything fails.

    Raises:
        OSError: a full disk and the like, naming `folder` and the remedy.
    """
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        beside.mkdir(parents=True)
        yield beside
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OSError(getattr(error, "errno", None), f"{folder} was not written ({reason}): {FULL}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def save_run(folder: Path, run: Finished) -> None:
    """The model folder: weights, processor, code, figures, pictures, card; whole or not at all."""
    with replacing_folder(folder) as beside:
        run.model.save_pretrained(beside, max_shard_size=MAX_SHARD)
        run.processor.save_pretrained(beside)
        add_travelling_code(beside)
        run = publishable(run)
        write_results(run.results, beside / "metrics.json")
        if run.learned is not None:
            run.learned.write(beside)
        pictures = draw(beside, run)
        write_card(beside, card_facts(run, pictures))
        write_check(beside)
        for weights in beside.glob("*.safetensors"):  # which safetensors writes for the owner alone
            weights.chmod((beside / "config.json").stat().st_mode)


def write_check(folder: Path) -> None:
    """Write `check.json`: what the folder's weights are, and what its model says to a made sample."""
    found = json.dumps(checks_of(folder, *load_saved(folder)), indent=1)
    write_file(folder / CHECK_FILE, f"{found}\n".encode())


def publishable(run: Finished) -> Finished:
    """A run whose folder may be published: what it says of its data holds pseudonyms, and no path of this machine."""
    corpus, settings = run.corpus, json.loads(json.dumps(run.recipe.to_dict(), default=str))
    found = corpus.names()
    found["participant"] = [*found.get("participant", ()), *chain(*getattr(run.recipe.data, "raters", {}).values())]
    said = {name: value for name, value in run.results.items() if name in ("data", "audit")}
    names = Pseudonyms(corpus.name).table(found, [said, settings, asdict(corpus.card)])
    roots = roots_of(settings)
    said = public_words(said, names, roots)
    said["data"]["name"] = corpus.public_name
    card = DataCard(**public_words(asdict(corpus.card), names, roots))
    return replace(run, results=run.results | said, corpus=replace(corpus, card=card), names=names)


def draw(folder: Path, run: Finished) -> dict[str, str]:
    """The pictures of the card: caption -> file name."""
    synthetic = run.corpus.synthetic
    plot_curves(run.trainer.state.log_history, folder / "curves.png", synthetic=synthetic)
    pictures = {"Training curves": "curves.png"}
    for split, tasks in run.results["results"].items():
        for task, scores in tasks.items():
            stem, what = SCORES_PICTURE[scores["kind"]]
            named = re.sub(r"[^\w-]+", "_", task)
            name, caption = f"{stem}_{split}_{named}.png", f"{what}, {split}, {task}"
            plot_scores(scores, folder / name, caption, synthetic=synthetic)
            pictures[caption] = name
            if "reliability" in scores:
                name, caption = f"reliability_{split}_{named}.png", f"Reliability, {split}, {task}"
                plot_reliability(scores, folder / name, caption, synthetic=synthetic)
                pictures[caption] = name
    if "ablation" in run.results:
        plot_ablation(run.results["ablation"], folder / "ablation.png", synthetic=synthetic)
        pictures["The same model given only some modalities"] = "ablation.png"
    return pictures


def card_facts(run: Finished, pictures: dict[str, str]) -> CardFacts:
    """What the card says beyond the figures."""
    model, recipe, corpus = run.model, run.recipe, run.corpus
    return CardFacts(
        model_name=f"affecthub-{recipe.name}".replace("_", "-"),
        architecture=model.config.model_type,
        description=(type(model).__doc__ or "").strip().partition("\n")[0],
        modalities=tuple(model.config.modalities),
        results=run.results,
        license=corpus.card.license,
        language=corpus.card.language,
        base_models=tuple(
            name
            for name in (recipe.model.text_encoder, recipe.model.vision_encoder, pretrained_audio(recipe.model))
            if name
        ),
        dataset_id=corpus.card.hub_id,
        data=corpus.card,
        physio_size=getattr(model.config, "physio_size", 0),
        parameters={key: value for key, value in run.results.get("model", {}).items() if isinstance(value, int)},
        recipe_name=recipe.name,
        recipe=public_words(json.loads(json.dumps(_told(recipe), default=str)), run.names),
        authors=tuple(recipe.card.authors),
        contact=recipe.card.contact,
        log=_log(run),
        pictures=pictures,
        versions={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
        hardware=hardware(),
        seconds=run.seconds,
    )


def _told(recipe: Recipe) -> dict[str, object]:
    """A recipe for its card, which says elsewhere what it is called and by whom it was made."""
    return {name: value for name, value in recipe.told().items() if name not in ("name", "card")}


def _log(run: Finished) -> tuple[dict[str, float], ...]:
    """What the card tells of each epoch: losses, and the metric by which the best one was chosen."""
    chosen = run.trainer.args.metric_for_best_model
    columns = ["epoch", "loss", *dict.fromkeys(["eval_loss", f"eval_{(chosen or 'loss').removeprefix('eval_')}"])]
    history = history_of(run.trainer.state.log_history)
    rows = history.reindex(columns=columns).dropna(axis="columns", how="all").to_dict("records")
    return tuple({name: value for name, value in row.items() if value == value} for row in rows)
