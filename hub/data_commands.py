"""The commands of the command line that take a data set: `affecthub inspect`, `prepare` and `publish-dataset`.

Each begins with a data set's name, and then takes that data set's own options, which its `--help` explains.
"""

import difflib
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a command needs is imported when it runs
    from jsonargparse import ArgumentParser, Namespace

    from affecthub.datasets_scripts.corpus import DataOptions

INSPECT = """\
Say what a data set holds: rows, modalities, labels, durations, people, and the status of every row and stray file.

examples:
  affecthub inspect clips path/to/folder
  affecthub inspect clips path/to/table.csv --columns.audio=wav --targets='[emotion]'
  affecthub inspect meld path/to/MELD
  affecthub inspect clips --help
"""

PREPARE = """\
Turn a data set into Parquet shards that hold frames as JPEG and sound as FLAC, for training that decodes no video.

Any number of processes share the work, and the result is the same for all: start it by `accelerate launch`, on every
machine, with an OUT that all of them see. Interrupted, the same command goes on; what is complete is kept.

examples:
  affecthub prepare clips path/to/folder prepared/mine --num-frames 8 --frame-size 224
  affecthub prepare meld path/to/MELD prepared/meld
  affecthub prepare genex path/to/study prepared/study --study study.yaml --every 15
  accelerate launch --config_file accelerate_configs/cpu.yaml -m affecthub prepare meld path/to/MELD prepared/meld
  affecthub prepare meld path/to/MELD prepared/encoded --features meld_ensemble

then train with the same options of the data set:
  python train.py --recipe meld_ensemble --data.root=prepared/meld
  python train.py --recipe physio_concat --data=Genex --data.root=prepared/study --data.study=study.yaml \\
      --data.every=15
"""

PUBLISH_DATASET = """\
Publish the annotations and features of a data set as Parquet with a card: private, without any recording or name.

Participants, recordings, dialogues and keys become pseudonyms; the key that makes them stays in the cache.

examples:
  affecthub publish-dataset clips path/to/folder owner/name --license cc-by-4.0
  affecthub publish-dataset meld path/to/MELD owner/name
  affecthub publish-dataset genex path/to/study owner/name --study study.yaml
"""


def parse(command: str, arguments: Sequence[str]) -> Callable[[], int]:
    """What does one of `DATA_COMMANDS`, and gives the exit status.

    Raises:
        SystemExit: after the help, or where the command line is wrong.
        ValueError: no such data set.
    """
    from affecthub.datasets_scripts.catalog import DATASETS

    text, positional, options, execute = DATA_COMMANDS[command]
    names = ", ".join(DATASETS)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: affecthub {command} DATASET {' '.join(map(str.upper, positional))} [options]\n\n{text}")
        print(f"data sets, each with options of its own (affecthub {command} DATASET --help): {names}")
        raise SystemExit(0 if arguments else 2)
    name, *rest = arguments
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {names}."
        raise ValueError(f"there is no data set {name!r}; {hint}")
    found, data = _parse(f"affecthub {command} {name}", text, DATASETS[name], positional, options, rest)
    return partial(execute, found, data)


def _parse(
    program: str, text: str, kind: type, positional: Sequence[str], options: Callable, arguments: Sequence[str]
) -> tuple["Namespace", "DataOptions"]:
    """The command's own options, and the data set with its options."""
    from jsonargparse import ArgumentParser, set_parsing_settings

    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(prog=program, description=text)
    for name in positional:
        parser.add_argument(name, type=str, nargs="?" if name == "root" and len(positional) == 1 else None)
    options(parser)
    parser.add_class_arguments(kind, skip={"root"})
    spelled = [re.sub(r"^--[\w.-]+", lambda option: "--" + option[0][2:].replace("-", "_"), a) for a in arguments]
    values = parser.instantiate(parser.parse_args(spelled))
    return values, kind(**{name: getattr(values, name) for name in kind.__dataclass_fields__})


def _no_options(parser: "ArgumentParser") -> None:
    """A command without options of its own."""


def _inspect(options: "Namespace", data: "DataOptions") -> int:
    """Print what is there."""
    from affecthub.datasets_scripts.inspection import inspect

    sys.stdout.write(inspect(data))
    return 0


def _prepare_options(parser: "ArgumentParser") -> None:
    from affecthub.media.container import TIME_LIMIT

    parser.add_argument("--shard_rows", type=int, default=256, help="rows of a shard")
    parser.add_argument("--time_limit", type=float, default=TIME_LIMIT, help="s; a clip that takes longer is left out")
    parser.add_argument(
        "--features",
        type=str | None,
        default=None,
        help="recipe with frozen encoders: keep what they make of frames and sound; it says the three numbers below",
    )
    parser.add_argument("--num_frames", type=int, default=8, help="frames of a clip")
    parser.add_argument("--frame_size", type=int, default=224, help="px of their shorter side")
    parser.add_argument("--max_seconds", type=float, default=15.0, help="s of a clip")


def _prepare(options: "Namespace", data: "DataOptions") -> int:
    """Prepare a data set and print what became of its rows."""
    from affecthub.datasets_scripts.prepared.clips import ClipForm
    from affecthub.training.prepare import prepare, summary
    from affecthub.training.recipe import load_recipe

    manifest = prepare(
        data,
        options.out,
        ClipForm(options.num_frames, options.frame_size, options.max_seconds),
        features=load_recipe(options.features) if options.features else None,
        shard_rows=options.shard_rows,
        time_limit=options.time_limit,
    )
    if manifest:
        print(summary(manifest))
    return 0


def _publish_options(parser: "ArgumentParser") -> None:
    parser.add_argument("--public", action="store_true", help="let everybody see it")
    parser.add_argument(
        "--include_media", action="store_true", help="clips and pictures too: with everyone's consent, and the rights"
    )
    parser.add_argument("--keep_names", action="store_true", help="names as they are, instead of pseudonyms")


def _publish(options: "Namespace", data: "DataOptions") -> int:
    """Build a data set, publish its rows and print the address."""
    from affecthub.hub.publish_dataset import publish_dataset
    from affecthub.modeling.modalities import MODALITIES

    corpus = data.describe(data.build(MODALITIES))
    also = {"include_media": options.include_media, "keep_names": options.keep_names}
    print(publish_dataset(corpus, options.repo_id, private=not options.public, **also))
    return 0


DATA_COMMANDS = {
    "inspect": (INSPECT, ("root",), _no_options, _inspect),
    "prepare": (PREPARE, ("root", "out"), _prepare_options, _prepare),
    "publish-dataset": (PUBLISH_DATASET, ("root", "repo_id"), _publish_options, _publish),
}
"""Command -> its help, its positional arguments, what adds its options, and what runs it."""
