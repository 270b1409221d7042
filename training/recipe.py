"""Recipes: what a run does, as typed and documented values read from YAML and overridden on the command line."""

import difflib
import itertools
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from affecthub.media.files import write_file
from affecthub.modeling.modalities import AUDIO, VIDEO
from affecthub.training.augmentation import AudioAugmentation, FrameAugmentation, SpecAugment

RECIPE_FILE = "recipe.yaml"
"""In a run's folder: the recipe that it was started with, overrides included."""

RECIPES = Path(__file__).resolve().parent.parent / "recipes"

UNKNOWN_OPTION = re.compile(
    r"unrecognized arguments: --(?P<option>[\w.]+)"
    r"|group '(?P<group>[\w.]+)' does not accept option '(?P<key>[\w.]+)'"
    r"|option '(?P<field>\w+)' is not accepted",
    re.IGNORECASE,
)
"""The ways in which jsonargparse says that there is no such key: as an option, in a section, in an entry of a list."""


@dataclass(frozen=True)
class DataRecipe:
    """Where the rows come from, what is learned from them, and how much of each is decoded."""

    dataset: Literal["sample_meld", "meld", "sample_genex", "genex"] = "sample_meld"
    """`sample_...`: a synthetic data set, rendered on first use; `meld`, `genex`: your copy or study, at `root`."""
    root: str | None = None
    """Folder of the data set, or of what `affecthub prepare` made of it; for a synthetic one, where to render it
    (default: the cache)."""
    target: Literal["emotion", "attention", "attention_level", "affect"] | None = None
    """Of an utterance: emotion (default). Of a recording: attention, high or not (default); attention_level, 0..1; or
    affect, the 17 affect targets."""
    twin_policy: str = "prefer_final"
    """Which of two clips of one MELD test utterance is right; see the MELD builder."""
    train_rows: int = 800
    """Synthetic corpus only: utterances to render for training."""
    validation_rows: int = 200
    """Synthetic corpus only: utterances to render for validation."""
    test_rows: int = 300
    """Synthetic corpus only: utterances to render for testing."""
    limit: int | None = None
    """At most this many rows of each split; for a quick try."""
    study: str | None = None
    """Recordings only: YAML that renames a study's columns, expressions and files (default: GENEX's names)."""
    every: int = 30
    """Recordings only: take every so-many-th frame."""
    crop_faces: bool = True
    """Recordings only: see the face alone, found by MTCNN."""
    attention_source: Literal["frame", "summary"] = "frame"
    """Recordings only: attention second by second, or one value a participant, as the reference experiments had it."""
    colour_variants: bool = False
    """Recordings only: each frame in four more colourings, as the reference experiments had it."""
    physio_steps: int = 1
    """Recordings only: feature vectors that lead up to a frame; 1 for its own alone."""
    seconds: int = 60
    """Synthetic study only: length of each recording, in seconds."""
    frame_size: int = 224
    """Recordings only: pixels of a frame's side for a frame encoder from scratch."""
    num_frames: int = 8
    """Frames that the model sees: of an utterance, uniformly spread; of a recording, those that lead up to a frame, 1
    for that frame alone."""
    max_seconds: float = 15.0
    """Seconds: of a longer utterance only the beginning is decoded; of a recording, so much sound before a frame."""
    max_text_tokens: int = 128
    """Longer texts are cut there."""
    preload: bool = False
    """Decode everything once, into memory, before training; for small sets, and without temporal jitter."""
    streaming: bool = False
    """Prepared utterances only: read the training split from its shards in turn, without a second copy on disk."""
    shuffle_buffer: int = 1000
    """Streaming only: rows, besides whole shards, among which the order is random; so many are held in memory."""


@dataclass(frozen=True)
class SplitRecipe:
    """Which rows learn and which judge, and which leaks of that division are known and accepted."""

    protocol: Literal["fixed", "by_row", "by_recording", "leave_one_participant_out", "grouped_k_fold"] = "fixed"
    """fixed: as the data set's authors split it; the others divide recordings. by_row is for comparison with
    published figures only."""
    fold: int = 0
    """Which fold is the test, from 0."""
    folds: int = 5
    """How many folds, where the protocol lets one choose."""
    accept: list[str] = field(default_factory=list)
    """Severe findings of the leakage audit, by name, that do not stop the run; the card reports them."""


@dataclass(frozen=True)
class ModelRecipe:
    """Which architecture, with which encoders."""

    architecture: Literal[
        "unimodal_baseline",
        "trimodal_late_fusion",
        "trimodal_ensemble",
        "frame_cnn",
        "frame_vit",
        "frame_resnet",
        "temporal_vit",
        "physio_concat",
        "physio_cross_attention",
        "physio_pretrained_fusion",
        "audio_visual_fusion",
    ] = "trimodal_ensemble"
    """`model_type` of the architecture."""
    modalities: list[str] | None = None
    """Modalities that an utterance model uses (default: all that the architecture has)."""
    text_encoder: str | None = None
    """Folder or Hub id of a pretrained BERT-like model; none: from scratch by `text_config`."""
    vision_encoder: str | None = None
    """Folder or Hub id of a pretrained CLIP-like model; none: from scratch by `vision_config`."""
    text_config: dict[str, Any] | None = None
    """Configuration of a text encoder from scratch; its word pieces are learned from the training split."""
    vision_config: dict[str, Any] | None = None
    """Configuration of a vision encoder from scratch; for recordings, what differs from the architecture's own."""
    config: dict[str, Any] = field(default_factory=dict)
    """Further fields of the model's configuration, such as `modality_dropout`."""
    multitask: bool = False
    """Learn sentiment beside emotion."""
    imbalance: Literal["none", "class_weights", "focal"] = "none"
    """Loss for rare classes: plain; weighted by inverse training frequency; focal with gamma 2."""


@dataclass(frozen=True)
class Phase:
    """From an epoch on, which part of the pretrained encoders learns."""

    start_epoch: int
    """First epoch of the phase, from 0."""
    encoder_layers: int | Literal["all"] = "all"
    """0: the encoders are frozen; N: their N topmost layers learn; all: everything learns."""


@dataclass(frozen=True)
class TrainingRecipe:
    """How it learns."""

    epochs: int = 10
    """Passes over the training split."""
    batch_size: int = 32
    """Rows a step on each process."""
    gradient_accumulation: int = 1
    """Steps whose gradients are summed before an update."""
    learning_rate: float = 1e-4
    """Peak rate of everything but the encoders."""
    encoder_learning_rate: float = 1e-5
    """Peak rate of the encoders."""
    scale_learning_rate: bool = False
    """Multiply both rates by the rows of an update, over all processes and accumulated steps, divided by
    `batch_size`."""
    weight_decay: float = 0.01
    """AdamW's weight decay (not on biases and norms)."""
    scheduler: str = "linear"
    """Name of a transformers scheduler, such as `cosine`, `cosine_with_min_lr`, `reduce_lr_on_plateau`; or
    `cosine_warm_restarts`, PyTorch's, whose cycles are counted in epochs."""
    scheduler_options: dict[str, Any] = field(default_factory=dict)
    """Its options, such as `{factor: 0.5, patience: 3, mode: max}` or `{T_0: 10, T_mult: 2, eta_min: 1.0e-6}`."""
    warmup: float = 0.0
    """Warm-up in steps, or as a share of all steps when below 1."""
    max_gradient_norm: float = 1.0
    """Gradients are clipped to this norm."""
    phases: list[Phase] = field(default_factory=list)
    """Freezing and unfreezing of the encoders over the epochs; none: everything learns from the start."""
    best_metric: str = "f1_weighted"
    """Validation metric by which the best epoch is kept and by which training stops early."""
    patience: int | None = None
    """Stop after so many epochs without a better `best_metric`; none: never."""
    min_delta: float = 0.0
    """What counts as better."""
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    """auto: fp16 on a CUDA GPU; elsewhere bf16 where the hardware computes in it, else fp32."""
    group_by_length: bool = False
    """Batches of utterances of about the same length: less padding, and so less time, where lengths differ much."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    compile: bool = False
    """`torch.compile` the model."""
    attention: Literal["auto", "sdpa", "eager"] = "auto"
    """How encoders attend: sdpa, by PyTorch's fused kernels; eager, step by step; auto: by sdpa where an encoder has
    it."""
    num_workers: int = 2
    """Processes that decode."""
    encoder_cache: bool = True
    """Where the encoders are frozen for the whole run: encode every sample once, and keep what they gave on disk.
    `--no-cache` is short for false."""
    seed: int = 0
    """Seed of weights, order, dropout and augmentation."""


@dataclass(frozen=True)
class AugmentationRecipe:
    """Random changes of the training inputs; everything is off unless it is switched on."""

    temporal_jitter: bool = False
    """Draw each frame within its segment of the clip, rather than its middle."""
    audio: AudioAugmentation = field(default_factory=AudioAugmentation)
    """On the waveform."""
    frames: FrameAugmentation = field(default_factory=FrameAugmentation)
    """On the frames, one draw a clip."""
    features: SpecAugment = field(default_factory=SpecAugment)
    """On the log-mel features."""

    @property
    def changed(self) -> list[str]:
        """The modalities whose sound or frames are changed; what masks the features is not meant."""
        changed = {
            AUDIO: self.audio != AudioAugmentation(),
            VIDEO: self.frames != FrameAugmentation() or self.temporal_jitter,
        }
        return [name for name, value in changed.items() if value]


@dataclass(frozen=True)
class Recipe:
    """All values of a run."""

    name: str = "custom"
    """Name of the recipe."""
    data: DataRecipe = field(default_factory=DataRecipe)
    split: SplitRecipe = field(default_factory=SplitRecipe)
    model: ModelRecipe = field(default_factory=ModelRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    augmentation: AugmentationRecipe = field(default_factory=AugmentationRecipe)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the YAML file."""
        return asdict(self)


@dataclass(frozen=True)
class Run:
    """A recipe and what to do with it."""

    recipe: Recipe
    output_dir: Path
    resume: bool
    eval_only: bool
    push_to_hub: str | None
    """ "owner/name" to publish the finished model as."""


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def parse_run(arguments: list[str] | None = None) -> Run:
    """Read the command line of `train.py`; exits with a message of one paragraph when it is wrong.

    Args:
        arguments: the command line; None = that of this process.
    """
    parser = _parser()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        arguments = _with_recipe_file(arguments)
        run = parser.instantiate(parser.parse_args(arguments))
    except (ArgumentError, ValueError) as error:
        print(
            f"train.py: {_explain(str(error), parser)}\nThe command line was: {' '.join(arguments)}", file=sys.stderr
        )
        raise SystemExit(2) from None
    recipe = Recipe(run.name, run.data, run.split, run.model, run.training, run.augmentation)
    return Run(recipe, Path(run.output_dir or f"runs/{recipe.name}"), run.resume, run.eval_only, run.push_to_hub)


def write_recipe(recipe: Recipe, output_dir: Path) -> None:
    """Keep a run's recipe in its folder, where --resume and --eval_only find it again."""
    output_dir.mkdir(parents=True, exist_ok=True)
    write_file(output_dir / RECIPE_FILE, yaml.safe_dump(recipe.to_dict(), sort_keys=False).encode())


def load_recipe(name: str, *overrides: str) -> Recipe:
    """A recipe that comes with the package, or a YAML file, with overrides such as `--training.epochs=1`."""
    return parse_run([f"--recipe={name}", *overrides]).recipe


def _parser() -> ArgumentParser:
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog="train.py",
        description=(
            "Train, evaluate and save an emotion model. Every value of the recipe can be overridden, "
            "for example --training.epochs=3 --model.multitask=true."
        ),
        epilog=f"Recipes: {', '.join(recipe_names())}. Start with `accelerate launch train.py` (recipe quickstart).",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--recipe", action="config", help="name of a recipe, or a YAML file (default: quickstart)")
    parser.add_argument("--output_dir", type=str | None, default=None, help="default: runs/<name of the recipe>")
    parser.add_argument("--resume", type=bool, default=False, help="continue the newest checkpoint of the output_dir")
    parser.add_argument("--eval_only", type=bool, default=False, help="evaluate the model of the output_dir again")
    parser.add_argument(
        "--push_to_hub", type=str | None, default=None, help="owner/name: publish the finished model, privately"
    )
    parser.add_class_arguments(Recipe)
    return parser


def _with_recipe_file(arguments: list[str]) -> list[str]:
    """The command line with `--recipe NAME` first and replaced by its file, and bare switches spelled out."""
    spelled = [re.sub(r"^--(output|eval|push-to)-(dir|only|hub)\b", _with_underscores, a) for a in arguments]
    spelled = [f"{a}=true" if a in ("--resume", "--eval_only") else a for a in spelled]
    spelled = ["--training.encoder_cache=false" if a == "--no-cache" else a for a in spelled]
    name, rest, take = _recipe_of_run(spelled), [], False
    for argument in spelled:
        if take or argument.startswith("--recipe="):
            name, take = argument.removeprefix("--recipe="), False
        elif argument == "--recipe":
            take = True
        else:
            rest.append(argument)
    if take:
        raise ValueError(f"--recipe needs a name, one of {', '.join(recipe_names())}, or the path of a .yaml file.")
    return [f"--recipe={_recipe_file(name)}", *rest]


def _with_underscores(option: re.Match) -> str:
    return "--" + option.group().removeprefix("--").replace("-", "_")


def _recipe_of_run(arguments: list[str]) -> str:
    """The recipe where none is named: of a run that is resumed or evaluated, its own; else the quick start's."""
    pairs = itertools.pairwise([*arguments, ""])  # --option=value, or --option value
    values = {name: value or following for (name, _, value), following in ((a.partition("="), f) for a, f in pairs)}
    kept = Path(values.get("--output_dir", "runs/quickstart"), RECIPE_FILE)
    again = any(values.get(switch) == "true" for switch in ("--resume", "--eval_only"))
    return str(kept) if again and kept.is_file() else "quickstart"


def _recipe_file(name: str) -> Path:
    """The file of a recipe's name or path; ValueError when there is none, or when it is no YAML mapping."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(
            f"there is no recipe {name!r}{_did_you_mean(name, recipe_names())} "
            f"Recipes: {', '.join(recipe_names())}; or give the path of a .yaml file."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no readable YAML file: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no recipe: expected `key: value` lines, found {type(content).__name__}.")
    _check_keys(content, path)
    return path


def _check_keys(content: dict[str, Any], path: Path) -> None:
    """ValueError that names the first key of a recipe file which does not exist, with the nearest that does."""
    known = _known_keys(_parser())
    sections = {key.rpartition(".")[0] for key in known} - {""}
    for key, value in _flat_items(content, known):
        if key in sections:
            raise ValueError(f"{path}: {key}: {value!r} is no section; expected `key: value` lines below it.")
        if key not in known and not any(key.startswith(f"{free}.") for free in known):
            raise ValueError(f"{path}: unknown key {key!r}{_did_you_mean(key, [*known, *sections])}")


def _known_keys(parser: ArgumentParser) -> list[str]:
    """Every key that a recipe can set, dotted; sections, which other keys lie below, left out."""
    internal = ("help", "print_config", "recipe")
    keys = [action.dest for action in parser._actions if not action.dest.split(".")[-1].startswith(internal)]
    return [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]


def _flat_items(content: dict[str, Any], known: list[str], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys of a nested mapping and their values, down to the keys that are known or no mapping."""
    items = []
    for name, value in content.items():
        key = f"{prefix}{name}"
        is_section = any(other.startswith(f"{key}.") for other in known)
        items += _flat_items(value, known, f"{key}.") if is_section and isinstance(value, dict) else [(key, value)]
    return items


def _explain(message: str, parser: ArgumentParser) -> str:
    """An error of the parser, with the nearest known key when one was misspelled."""
    found = UNKNOWN_OPTION.search(message)
    if not found:
        return message
    if found["field"]:
        known = [entry.name for entry in fields(Phase)]  # the only entries of a list that have keys
        return f"training.phases: unknown key {found['field']!r}{_did_you_mean(found['field'], known)}"
    key = found["option"] or f"{found['group']}.{found['key']}"
    return f"unknown option --{key}{_did_you_mean(key, _known_keys(parser), '--')}"


def _did_you_mean(wrong: str, known: Iterable[str], prefix: str = "") -> str:
    """The end of a sentence: the nearest known name, where one is near."""
    close = difflib.get_close_matches(wrong, known, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else "; see --help."
