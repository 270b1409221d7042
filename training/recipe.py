"""Recipes: what a run does, as typed and documented values read from YAML and overridden on the command line."""

import contextlib
import difflib
import functools
import itertools
import json
import math
import pkgutil
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace, set_parsing_settings

from affecthub.datasets_scripts.catalog import DATASETS, DEFAULT
from affecthub.datasets_scripts.corpus import DataOptions
from affecthub.datasets_scripts.splits import SplitOptions
from affecthub.datasets_scripts.yaml_files import read_yaml
from affecthub.evaluation import RECIPE_FILE
from affecthub.media.files import write_file
from affecthub.training.augmentation import AudioAugmentation, FrameAugmentation, SpecAugment

RECIPES = Path(__file__).resolve().parent.parent / "recipes"

SWITCHES = ("--resume", "--eval_only")
"""Options of the command line that need no value."""

WARM_RESTARTS = "cosine_warm_restarts"
"""Name of the schedule that transformers lacks: cosine annealing with restarts whose cycles grow."""

BY_METRIC = ("reduce_lr_on_plateau", "greedy")
"""Schedules that follow `best_metric`, and not the updates done."""

MOST_INPUTS = {
    "num_frames": 100_000,
    "frame_size": 4096,
    "max_seconds": 86_400.0,
    "max_text_tokens": 1_000_000,
    "physio_steps": 100_000,
}
"""Of one row; more is taken for a slip of the finger."""

UNKNOWN_OPTION = re.compile(
    r"unrecognized arguments: --(?P<option>[\w.]+)"
    r"|group '(?P<group>[\w.]+)' does not accept option '(?P<key>[\w.]+)'"
    r"|option '(?P<field>\w+)' is not accepted",
    re.IGNORECASE,
)
"""The ways in which jsonargparse says that there is no such key: as an option, in a section, in an entry of a list."""

OF_DATA = re.compile(r"given class_path '(?:[\w.]*\.)?(\w+)'")
UNKNOWN_DATA = re.compile(
    r"Parser key \"data\".*?(?:Expected a dot import path string: |No module named |Import path )'?([\w.]+)", re.DOTALL
)
"""Its words for an option that a data set lacks, and for a data set that there is not."""


@dataclass(frozen=True)
class InputRecipe:
    """How much of each row a model sees, and how that is read."""

    num_frames: int = 8
    """Frames that the model sees: of a clip, uniformly spread; of a moment of a recording, those that lead up to it, 1
    for that one alone."""
    frame_size: int = 224
    """Pixels of a frame's side, for a frame encoder from scratch."""
    max_seconds: float = 15.0
    """Seconds: of a longer clip only the beginning is decoded; of a moment, so much sound before it."""
    max_text_tokens: int = 128
    """Longer texts are cut there."""
    turns_before: int = 0
    """Turns before a row in its conversation, by the columns dialogue and turn, that are read with it: by a dialogue
    model each with all that it holds; by the text encoder of any other before the row's own text, as far as
    `max_text_tokens` have room."""
    turns_after: int = 0
    """Turns after it, for a dialogue model; 0 for live use."""
    speakers: Literal["none", "neutral", "names"] = "none"
    """What the text encoder reads before each turn: nothing; "A:" before what the row's speaker says, "B:" and so on
    before the others'; or their names. A dialogue model tells speakers apart without it."""
    shuffle_turns: bool = False
    """Control: give each row the turns of other conversations; what context adds has to vanish by it."""
    physio_steps: int = 1
    """Feature vectors that lead up to a moment of a recording; 1 for its own alone."""
    preload: bool = False
    """Decode everything once, into memory, before training; for small sets, and without temporal jitter."""
    streaming: bool = False
    """Prepared clips: read the training split from its shards in turn, without a second copy on disk."""
    shuffle_buffer: int = 1000
    """Streaming: rows, besides whole shards, among which the order is random; so many are held in memory."""

    def __post_init__(self):
        for name, most in MOST_INPUTS.items():
            _check_number(f"inputs.{name}", getattr(self, name), most=most, above=True)
        for name in ("turns_before", "turns_after"):
            _check_number(f"inputs.{name}", getattr(self, name), most=1000)
        if self.streaming and self.preload:
            raise ValueError("inputs.streaming and inputs.preload exclude each other: set one of them to false.")


@dataclass(frozen=True)
class SplitRecipe(SplitOptions):
    """Which rows learn and which judge, and which leaks of that division are known and accepted."""

    accept: list[str] = field(default_factory=list)
    """Severe findings of the leakage audit, by name, that do not stop the run; the card reports them."""


@dataclass(frozen=True)
class ModelRecipe:
    """Which architecture, with which encoders."""

    architecture: str = "trimodal_ensemble"
    """`model_type` of the architecture; of one of your own `my_module.its_model_type`."""
    modalities: list[str] | None = None
    """Modalities that the model uses (default: all that the architecture takes and the data hold)."""
    text_encoder: str | None = None
    """Folder or Hub id of a pretrained BERT-like model; none: from scratch by `text_config`."""
    vision_encoder: str | None = None
    """Folder or Hub id of a pretrained CLIP-like model; none: from scratch by `vision_config`."""
    audio_encoder: str | None = None
    """Folder or Hub id of a pretrained encoder of sound, such as WavLM, HuBERT or Whisper; or `cnn` or `cnn2d`, which
    learn from log-mel features; none: from scratch by `audio_config`, or else `cnn`."""
    text_config: dict[str, Any] | None = None
    """Configuration of a text encoder from scratch; its word pieces are learned from the training split."""
    vision_config: dict[str, Any] | None = None
    """Configuration of a vision encoder from scratch; for recordings, what differs from the architecture's own."""
    audio_config: dict[str, Any] | None = None
    """Configuration of an encoder of sound of transformers from scratch, such as `{model_type: wavlm}`."""
    config: dict[str, Any] = field(default_factory=dict)
    """Further fields of the model's configuration, such as `modality_dropout`."""
    task_weights: dict[str, float] = field(default_factory=dict)
    """Weight of each target in the loss, by its name; 1 where nothing is said."""
    imbalance: Literal["none", "class_weights", "focal"] = "none"
    """Loss for rare classes: plain; class_weights: classes weighted by inverse training frequency, and where there are
    several labels a row, or one that is there or not, its presence by negatives over positives; focal with gamma 2.
    Which is best is to be seen on the validation split."""

    def __post_init__(self):
        for name, weight in self.task_weights.items():
            _check_number(f"model.task_weights.{name}", weight)


@dataclass(frozen=True)
class Phase:
    """From an epoch on, which part of the pretrained encoders learns."""

    start_epoch: int
    """First epoch of the phase, from 0."""
    encoder_layers: int | Literal["all"] = "all"
    """0: the encoders are frozen; N: their N topmost layers learn; all: everything learns."""

    def __post_init__(self):
        _check_number("training.phases: start_epoch", self.start_epoch)
        if self.encoder_layers != "all":
            _check_number("training.phases: encoder_layers", self.encoder_layers)


@dataclass(frozen=True)
class TrainingRecipe:
    """How it learns."""

    epochs: int = 10
    """Passes over the training split, at most; `patience` may end it before."""
    batch_size: int = 32
    """Rows a step on each process."""
    gradient_accumulation: int = 1
    """Steps whose gradients are summed before an update."""
    learning_rate: float = 1e-4
    """Peak rate of everything but the encoders."""
    encoder_learning_rate: float = 1e-5
    """Peak rate of the encoders. A layer that `phases` unfreeze later has it at the start of that phase."""
    scale_learning_rate: bool = False
    """Multiply both rates by the rows of an update, over all processes and accumulated steps, divided by
    `batch_size`."""
    weight_decay: float = 0.01
    """AdamW's weight decay (not on biases and norms)."""
    scheduler: str = "linear"
    """Name of a transformers scheduler, such as `cosine`, `cosine_with_min_lr`, `reduce_lr_on_plateau`; or
    `cosine_warm_restarts`, whose cycles are counted in epochs. It runs from the first update to the last; of a layer
    that is frozen at first, from the start of the phase that unfreezes it, without warm-up."""
    scheduler_options: dict[str, Any] = field(default_factory=dict)
    """Its options, such as `{factor: 0.5, patience: 3}` or `{T_0: 10, T_mult: 2, eta_min: 1.0e-6}`. A floor (`min_lr`,
    `eta_min`) is the rate, as a figure, at which head and encoders both end. A plateau's `mode` is that of
    `best_metric`."""
    warmup: float = 0.0
    """Warm-up in steps, or as a share of all steps when below 1."""
    max_gradient_norm: float = 1.0
    """Gradients are clipped to this norm; 0: never."""
    phases: list[Phase] = field(default_factory=list)
    """Freezing and unfreezing of the encoders over the epochs; none: everything learns from the start."""
    best_metric: str | None = None
    """Validation metric by which the best epoch is kept and by which training stops early; none: the main target's
    own, such as accuracy, f1_macro, kl_divergence or mae."""
    patience: int | None = None
    """Stop after so many epochs of the last phase without a better `best_metric` than that phase has had; none: never.
    The epoch that is kept may be of any phase."""
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
    report_to: list[str] = field(default_factory=list)
    """Trackers that get losses, metrics and rates, by transformers' names, such as `[tensorboard]`, `[wandb]`,
    `[mlflow]` or `[trackio]`; each needs its package, and is set up by its own environment variables. Losses and
    metrics go to whatever service it is set up for."""
    seed: int = 0
    """Seed of weights, order, dropout and augmentation."""

    def __post_init__(self):
        for name in ("epochs", "batch_size", "gradient_accumulation"):
            _check_number(f"training.{name}", getattr(self, name), 1)
        for name in ("learning_rate", "encoder_learning_rate"):
            _check_number(f"training.{name}", getattr(self, name), above=True)
        for name in ("weight_decay", "warmup", "max_gradient_norm", "min_delta", "num_workers"):
            _check_number(f"training.{name}", getattr(self, name))
        _check_number("training.seed", self.seed, most=2**32 - 1)  # as NumPy takes them
        if self.patience is not None:
            _check_number("training.patience", self.patience, 1)
        self._check_names()
        starts = [phase.start_epoch for phase in self.phases]
        if len(set(starts)) < len(starts):
            raise ValueError(f"training.phases: start_epoch {starts}: each phase needs one of its own.")

    def _check_names(self) -> None:
        """By what transformers has, which takes seconds to load: only where there is something to look up."""
        if self.scheduler not in (TrainingRecipe.scheduler, WARM_RESTARTS):
            from transformers import SchedulerType

            known = [*(kind.value for kind in SchedulerType), WARM_RESTARTS]
            _check_choice("training.scheduler", self.scheduler, known)
        if self.report_to:
            from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

            for tracker in self.report_to:
                _check_choice("training.report_to", tracker, list(INTEGRATION_TO_CALLBACK))


def _check_number(name: str, value: float, least: float = 0, most: float = math.inf, above: bool = False) -> None:
    """ValueError unless a finite number lies within its limits.

    Args:
        name: of the recipe's key.
        value: of it.
        least: the lowest that is allowed.
        most: the highest.
        above: whether `least` itself is too low.
    """
    if not least <= value <= most or (above and value == least) or not math.isfinite(value):
        wanted = f"above {least}" if above else f"{least} or more"
        raise ValueError(f"{name}={value}: it has to be {wanted}{f', up to {most}' if most < math.inf else ''}.")


def _check_choice(name: str, value: str, known: list[str]) -> None:
    """ValueError, with the nearest that there is, for a word of a recipe that is none of those known."""
    if value not in known:
        close = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ValueError(f"{name}={value}: {hint}Choose one of {', '.join(known)}.")


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
            "audio": self.audio != AudioAugmentation(),
            "video": self.frames != FrameAugmentation() or self.temporal_jitter,
        }
        return [name for name, value in changed.items() if value]


@dataclass(frozen=True)
class CardRecipe:
    """What the model's card says of who made it; published with the model."""

    authors: list[str] = field(default_factory=list)
    """People or groups, such as [Jane Doe]."""
    contact: str | None = None
    """Where questions go: an address of mail or the web."""


@dataclass(frozen=True)
class Recipe:
    """All values of a run."""

    name: str = "custom"
    """Name of the recipe."""
    data: DataOptions = field(default_factory=DEFAULT)
    """Which data set; each has options of its own, see --data.help=CLASS."""
    inputs: InputRecipe = field(default_factory=InputRecipe)
    split: SplitRecipe = field(default_factory=SplitRecipe)
    model: ModelRecipe = field(default_factory=ModelRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    augmentation: AugmentationRecipe = field(default_factory=AugmentationRecipe)
    card: CardRecipe = field(default_factory=CardRecipe)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the YAML file."""
        kind = type(self.data)
        path = kind.__name__ if kind in DATASETS.values() else f"{kind.__module__}.{kind.__qualname__}"
        return asdict(self) | {"data": {"class_path": path, "init_args": asdict(self.data)}}

    def told(self) -> dict[str, Any]:
        """The same without what is so by default, here and of its data set."""
        told = _differing(self.to_dict(), Recipe(data=type(self.data)()).to_dict())
        told["data"] = {"class_path": self.to_dict()["data"]["class_path"]} | told.get("data", {})
        return told


def _differing(values: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """What is not as usual, at any depth; sections of which nothing is left are left out."""
    told = {}
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(usual.get(name), dict):
            value = _differing(value, usual[name])
            if value:
                told[name] = value
        elif name not in usual or value != usual[name]:
            told[name] = value
    return told


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


def parse_run(arguments: list[str] | None = None, program: str = "train.py") -> Run:
    """Read the command line of `train.py`; exits with a message of one paragraph when it is wrong.

    Args:
        arguments: the command line; None = that of this process.
        program: what it is the command line of.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return read_run(arguments, program)
    except ValueError as error:
        print(f"{program}: {error}\nThe command line was: {' '.join(arguments)}", file=sys.stderr)
        raise SystemExit(2) from None


def read_run(arguments: list[str], program: str = "train.py") -> Run:
    """As `parse_run`; ValueError where the command line is wrong."""
    parser = _parser(program)
    try:
        values = parser.parse_args(_with_recipe_file(arguments))
        _check_nulls(values, parser)
        run = parser.instantiate(values)
    except (ArgumentError, ValueError) as error:
        raise ValueError(_explain(str(error), parser)) from None
    recipe = Recipe(run.name, run.data, run.inputs, run.split, run.model, run.training, run.augmentation, run.card)
    seeds = recipe.split.fold, recipe.split.seed, recipe.training.seed
    folder = Path(run.output_dir) if run.output_dir else default_folder(recipe.name, *seeds)
    return Run(recipe, folder, run.resume, run.eval_only, run.push_to_hub)


def default_folder(name: str, fold: object, split_seed: object, seed: object) -> Path:
    """Where a run goes that names no folder: one a recipe, fold and seed, so that no fold takes another's place.

    Args:
        name: of the recipe.
        fold: that judges.
        split_seed: which dealt the folds.
        seed: of the training.
    """
    parts = {"fold": fold, "split": split_seed, "seed": seed}
    return Path("runs", "-".join([name, *(f"{part}{value}" for part, value in parts.items() if str(value) != "0")]))


def write_recipe(recipe: Recipe, output_dir: Path, name: str = RECIPE_FILE) -> None:
    """Keep a run's recipe in its folder, where --resume and --eval_only find it again."""
    output_dir.mkdir(parents=True, exist_ok=True)
    write_file(output_dir / name, yaml.safe_dump(recipe.to_dict(), sort_keys=False).encode())


def load_recipe(name: str, *overrides: str) -> Recipe:
    """A recipe that comes with the package, or a YAML file, with overrides such as `--training.epochs=1`."""
    return parse_run([f"--recipe={name}", *overrides]).recipe


def _parser(program: str = "train.py") -> ArgumentParser:
    set_parsing_settings(docstring_parse_attribute_docstrings=True, subclasses_enabled=[DataOptions])
    parser = ArgumentParser(
        prog=program,
        description=(
            "Train, evaluate and save an emotion model. Every value of the recipe can be overridden, "
            "for example --training.epochs=3 --model.task_weights.sentiment=0.5."
        ),
        epilog=f"Recipes: {', '.join(recipe_names())}. Start with `accelerate launch train.py` (recipe quickstart).",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--recipe", action="config", help="name of a recipe, or a YAML file (default: quickstart)")
    parser.add_argument(
        "--output_dir", type=str | None, default=None, help="default: runs/<name of the recipe>, with fold and seeds"
    )
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
    spelled = _with_values(spelled)
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
    return [f"--recipe={yaml.safe_dump(_for_data(_recipe_content(name), rest))}", *rest]


def _with_values(arguments: list[str]) -> list[str]:
    """`--resume` and `--resume true` as `--resume=true`, and `--eval_only` likewise."""
    spelled = []
    for argument in arguments:
        if spelled and spelled[-1] in SWITCHES and argument.lower() in ("true", "false"):
            spelled[-1] += f"={argument.lower()}"
        else:
            spelled.append(argument)
    return [f"{argument}=true" if argument in SWITCHES else argument for argument in spelled]


def _for_data(content: dict[str, Any], arguments: list[str]) -> dict[str, Any]:
    """A recipe's content with all options of its data set, or of another one that the command line names.

    A target, a protocol, or a leak that was accepted says nothing about other data. Of the same family, such as a
    study and the synthetic one, they stay.
    """
    data = content.get("data")
    written, given = (data.get("class_path", ""), data.get("init_args")) if isinstance(data, dict) else ("", {})
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise ValueError(f"data.init_args: {given!r} is no section; expected `key: value` lines below it.")
    chosen = _options(arguments).get("--data", written)
    one, other = _data_class(written), _data_class(chosen)
    if other is None:
        return content  # what there is not is refused where it is parsed
    values = json.loads(json.dumps(asdict(other())))
    if one and (issubclass(one, other) or issubclass(other, one)):
        values |= {name: value for name, value in given.items() if name in values or one is other}
    else:
        content = {name: value for name, value in content.items() if name != "split"}
    return content | {"data": {"class_path": chosen, "init_args": values}}


def _data_class(path: object) -> type[DataOptions] | None:
    """A data set by its name or import path; None where there is none."""
    if "." not in str(path):
        return next((kind for kind in _data_classes() if kind.__name__ == path), None)
    with contextlib.suppress(ImportError, AttributeError, ValueError):
        kind = pkgutil.resolve_name(str(path))
        return kind if isinstance(kind, type) and issubclass(kind, DataOptions) else None


def _with_underscores(option: re.Match) -> str:
    return "--" + option.group().removeprefix("--").replace("-", "_")


def _options(arguments: list[str]) -> dict[str, str]:
    """Each option's last value, of `--option=value` and `--option value`."""
    pairs = itertools.pairwise([*arguments, ""])
    return {name: value or following for (name, _, value), following in ((a.partition("="), f) for a, f in pairs)}


def _recipe_of_run(arguments: list[str]) -> str:
    """The recipe where none is named: of a run that is resumed or evaluated, its own; else the quick start's."""
    values = _options(arguments)
    seeds = [values.get(name, 0) for name in ("--split.fold", "--split.seed", "--training.seed")]
    kept = Path(values.get("--output_dir", default_folder("quickstart", *seeds)), RECIPE_FILE)
    again = any(values.get(switch) == "true" for switch in SWITCHES)
    return str(kept) if again and kept.is_file() else "quickstart"


def _recipe_content(name: str) -> dict[str, Any]:
    """What a recipe of this name or path says; ValueError when there is none, or it holds what no recipe does."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(
            f"there is no recipe {name!r}{_did_you_mean(name, recipe_names())} "
            f"Recipes: {', '.join(recipe_names())}; or give the path of a .yaml file."
        )
    content = read_yaml(path)
    if not content:
        raise ValueError(f"{path} holds no recipe: it is empty; write `key: value` lines.")
    _check_keys(content, path)
    return content


def _check_keys(content: dict[str, Any], path: Path) -> None:
    """ValueError that names the first key of a recipe file which does not exist, with the nearest that does."""
    known = _recipe_keys()
    sections = {key.rpartition(".")[0] for key in known} - {""}
    for key, value in _flat_items(content, known):
        if key in sections:
            raise ValueError(f"{path}: {key}: {value!r} is no section; expected `key: value` lines below it.")
        if key not in known and not any(key.startswith(f"{free}.") for free in known):
            raise ValueError(f"{path}: unknown key {key!r}{_did_you_mean(key, [*known, *sections])}")


@functools.cache
def _recipe_keys() -> tuple[str, ...]:
    """Every key of a recipe, dotted; a parser takes half a second to make."""
    return tuple(_known_keys(_parser()))


def _check_nulls(values: Namespace, parser: ArgumentParser) -> None:
    """ValueError for a key that is null and may not be, which jsonargparse lets through."""
    hints = {action.dest: getattr(action, "_typehint", None) for action in parser._actions}
    if kind := _data_class(values.get("data.class_path")):
        hints |= {f"data.init_args.{name}": hint for name, hint in get_type_hints(kind).items()}
    for key, hint in hints.items():
        if hint and type(None) not in get_args(hint) and key in values and values[key] is None:
            raise ValueError(
                f"{key.replace('.init_args', '')} is null; leave it out for its default, or give a value."
            )


def _known_keys(parser: ArgumentParser) -> list[str]:
    """Every key that a recipe can set, dotted; sections, which other keys lie below, left out."""
    internal = ("help", "print_config", "recipe")
    keys = [action.dest for action in parser._actions if not action.dest.split(".")[-1].startswith(internal)]
    return [key for key in keys if not any(other.startswith(f"{key}.") for other in keys)]


def _flat_items(content: dict[str, Any], known: Sequence[str], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys of a nested mapping and their values, down to the keys that are known or no mapping."""
    items = []
    for name, value in content.items():
        key = f"{prefix}{name}"
        is_section = any(other.startswith(f"{key}.") for other in known)
        items += _flat_items(value, known, f"{key}.") if is_section and isinstance(value, dict) else [(key, value)]
    return items


def _explain(message: str, parser: ArgumentParser) -> str:
    """An error of the parser, with the nearest known key when one was misspelled."""
    if wrong := UNKNOWN_DATA.search(message):
        names = [data.__name__ for data in DATASETS.values()]
        return (
            f"there is no data set {wrong[1]!r}{_did_you_mean(wrong[1], names)} Data sets: {', '.join(names)}; or the "
            "import path of a class of your own."
        )
    found = UNKNOWN_OPTION.search(message)
    if not found:
        return message
    of_data = OF_DATA.search(message) if found["field"] else None
    if kind := next((kind for kind in _data_classes() if of_data and kind.__name__ == of_data[1]), None):
        known = [entry.name for entry in fields(kind)]
        near = _did_you_mean(found["field"], known, "--data.")
        return f"unknown option --data.{found['field']} of {kind.__name__}{near}"
    if found["field"]:
        known = [entry.name for entry in fields(Phase)]  # the only entries of a list that have keys
        return f"training.phases: unknown key {found['field']!r}{_did_you_mean(found['field'], known)}"
    key = found["option"] or f"{found['group']}.{found['key']}"
    return f"unknown option --{key}{_did_you_mean(key, _known_keys(parser), '--')}"


def _data_classes(base: type[DataOptions] = DataOptions) -> list[type[DataOptions]]:
    """All data sets that have been imported, those of a user too."""
    return [kind for sub in base.__subclasses__() for kind in (sub, *_data_classes(sub))]


def _did_you_mean(wrong: str, known: Iterable[str], prefix: str = "") -> str:
    """The end of a sentence: the nearest known name, where one is near."""
    close = difflib.get_close_matches(wrong, known, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else "; see --help."
