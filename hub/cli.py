"""The command line: `affecthub sweep`, `compare`, `report`, `predict`, `inspect`, `publish` and so on.

What a command needs is imported when it runs, so that help and a mistyped command answer at once.
"""

import argparse
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from affecthub.hub import data_commands
from affecthub.hub.data_commands import DATA_COMMANDS
from affecthub.media.faults import FAULTS, sentence_of

if TYPE_CHECKING:  # what a command needs is imported when it runs
    from affecthub.evaluation.runs import Run
    from affecthub.media.quality import Quality

BAD_INPUT = 2
"""Exit status when something that was passed cannot be used, as argparse's own."""

OF_CARD = "of_card"
"""Value of --quality where it stands alone."""

NOT_WHOLE = 3
"""Exit status when everything was judged, but a recording ends early or is damaged: its answer has a warning."""

PREDICT = """\
Judge recordings: one answer for a short clip, a timeline for a long one.

Of a folder, every video and audio file in it is judged. With --output, what is finished is kept in OUTPUT.progress
until everything is: interrupted, the same command goes on.

Exit status: 0; 2 if something cannot be judged; 3 if everything was, but a recording ends early or is damaged: what is
there was judged, and its answer has a warning. With --strict such a recording is an error.

examples:
  affecthub predict clip.mp4 --model runs/quickstart/model
  affecthub predict clip.mp4 --model owner/name --text "So glad you came!"
  affecthub predict interview.mp4 --model owner/name --window 10 --hop 5 --format csv --output interview.csv \\
      --picture interview.png
  affecthub predict meeting.mp4 --model owner/name --people --quality face_size=40 --format csv
  affecthub predict recordings/ --model owner/name --processes 2 --format csv --output answers.csv
"""

TRAIN = """\
Train, evaluate and save a model by a recipe, every value of which can be overridden; the same as train.py.

Several processes: `accelerate launch --config_file CONFIG -m affecthub.train ...`.

examples:
  affecthub train --recipe clips_audio --data.root=path/to/folder --data.targets='[emotion]'
  affecthub train --recipe clips_audio --data.root=path/to/folder --resume
  affecthub train --help
"""

QUICKSTART = """\
Render a synthetic corpus, train a tiny model on it, evaluate and save it: minutes on a CPU.

examples:
  affecthub quickstart
  affecthub quickstart --training.epochs=2 --output-dir runs/try
"""

EVALUATE = """\
Judge the model of a finished run again, by the run's recipe or on other data.

examples:
  affecthub evaluate --output-dir runs/clips_audio
  affecthub evaluate --output-dir runs/clips_audio --data.root=path/to/other/folder
"""

RUN_COMMANDS = {"quickstart": (QUICKSTART, ()), "train": (TRAIN, ()), "evaluate": (EVALUATE, ("--eval_only",))}
"""Commands that are train.py -> their help, and the options that they begin with."""

LIVE = """\
Judge a camera, the screen, a microphone, a stream or a file at its own pace, as it goes on.

SOURCE is the number of a camera, from 0, or the screen, or screen:WIDTHxHEIGHT+X+Y for a part of it; microphone, or
microphone:NAME, alone or behind one of these, which have no sound; an http(s) or rtsp(s) address; or a file. Ctrl-C
ends it.
Exit status: 0; 2 if the source cannot be opened, or is lost.

examples:
  affecthub live 0 --model runs/quickstart/model
  affecthub live 0 microphone --model runs/quickstart/model
  affecthub live screen:640x360+0+80 --model owner/name
  affecthub live rtsp://camera.local/stream --model owner/name --rate 1 --window 3 --smoothing 2 --json
  affecthub live interview.mp4 --model owner/name --seconds 60
"""

SWEEP = """\
Train a recipe for every fold and several seeds, each run in a folder of its own.

Interrupted, the same command goes on; more seeds or folds can be added later. Options that override the recipe follow
as for train.py. Start it by `accelerate launch -m affecthub sweep ...` for several runs at once.

examples:
  affecthub sweep clips_audio --seeds 3 --data.root=path/to/folder --data.targets='[emotion]'
  affecthub sweep clips_audio --seeds 3 --shares 0.1,0.25,0.5,1 --data.root=path/to/folder
  affecthub sweep meld_text --seeds 0,7 --output-dir runs/meld_text --data.root=path/to/MELD
"""

SEARCH = """\
Search for better values of a recipe by Optuna: each trial trains once and is judged on validation, never on test.

SPACE is YAML with a line a value: `training.learning_rate: {low: 1.0e-5, high: 1.0e-2, log: true}` or
`model.config.hidden_size: [32, 64]`. Interrupted, the same command goes on; with more --trials it goes further.

examples:
  affecthub search clips_audio --space space.yaml --trials 20 --data.root=path/to/folder
  affecthub train --recipe runs/clips_audio-search/best.yaml
"""

EXPORT = """\
Write a model as ONNX into its folder, where `predict --backend onnx` and others who run ONNX find it.

examples:
  affecthub export runs/quickstart/model --to onnx
  affecthub export runs/quickstart/model --to onnx --int8
"""

COMPARE = """\
Compare finished runs: figures with intervals by participant, and whether one model is better than another.

Runs whose recipes differ in fold and seed alone are one model; a folder of runs, such as a sweep, may be passed whole.

examples:
  affecthub compare runs/meld_text runs/meld_ensemble
  affecthub compare runs/sweep_audio runs/sweep_video --metric f1_macro
  affecthub compare runs/sweep_audio runs/sweep_video --by recording --format json
"""

REPORT = """\
Write one page, and the same as JSON, on a run, or on several that are compared.

A folder of runs, such as a sweep's, is one model, whose folds and seeds become one figure by a rule that the page
states.

examples:
  affecthub report runs/quickstart
  affecthub report runs/quickstart --looking-inside
  affecthub report runs/with_context runs/without --output context.html
  affecthub report runs/clips_audio-sweep --card runs/clips_audio-sweep/fold0-seed0/model
"""

PUBLISH = """\
Publish a model folder on the Hub: private unless you say otherwise, everything in one commit.

examples:
  affecthub publish runs/quickstart/model owner/name
  affecthub publish runs/quickstart/model owner/name --public --with-space
"""

DEMO = """\
Try a model on a page in your browser, served to this machine alone; it runs the code that the model brings.

examples:
  affecthub demo --model runs/quickstart/model --trust-remote-code
  affecthub demo --model owner/name --trust-remote-code --port 8080
"""

CACHE = """\
List or delete what frozen encoders gave in training; a later run encodes anew what it does not find.

examples:
  affecthub cache list
  affecthub cache prune --older-than 30
  affecthub cache prune 3f2a 90b1
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    It is 0; 2 for bad input, with one line on stderr that says what; or `NOT_WHOLE`.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = arguments[0] if arguments else ""
    if name in RUN_COMMANDS:
        return run_train(name, arguments[1:])
    try:
        act = data_commands.parse(name, arguments[1:]) if name in DATA_COMMANDS else parse(arguments)
        from transformers.utils import logging

        logging.disable_progress_bar()
        return act()
    except FAULTS as error:
        return complain(error)
    except KeyboardInterrupt:
        return 130


def run_train(name: str, arguments: Sequence[str]) -> int:
    """Run train.py as one of `RUN_COMMANDS`; it leaves by SystemExit where something is wrong."""
    sys.argv = [f"affecthub {name}", *RUN_COMMANDS[name][1], *arguments]
    runpy.run_module("affecthub.train", run_name="__main__")
    return 0


def parse(arguments: Sequence[str]) -> Callable[[], int]:
    """What does a command, with its arguments; `overrides` are those of a command that takes a recipe's."""
    parser = make_parser()
    options, options_of_recipe = parser.parse_known_args(arguments)
    if options_of_recipe and options.run not in (sweep, search):
        parser.error(f"unrecognized arguments: {' '.join(options_of_recipe)}")
    if options.run in (sweep, search):
        from affecthub.training.recipe import parse_run

        parse_run([f"--recipe={options.recipe}", *options_of_recipe], program=f"affecthub {arguments[0]}")  # or leaves
    options.overrides = options_of_recipe
    return partial(options.run, options)


def complain(error: Exception) -> int:
    """One line on stderr; returns the exit status."""
    print(f"affecthub: error: {sentence_of(error)}", file=sys.stderr)
    return BAD_INPUT


def make_parser() -> argparse.ArgumentParser:
    """The commands and their arguments."""
    parser = argparse.ArgumentParser(prog="affecthub", description="From your own recordings to an emotion model.")
    parser.add_argument("--version", action="version", version=f"affecthub {version('affecthub')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (text, *_) in RUN_COMMANDS.items():
        add_command(commands, name, text)
    add_sweep(commands)
    add_search(commands)
    add_report(commands)
    add_predict(commands)
    add_export(commands)
    add_live(commands)
    add_compare(commands)
    add_publish(commands)
    add_demo(commands)
    add_cache(commands)
    for name, (text, *_) in DATA_COMMANDS.items():
        add_command(commands, name, text)
    return parser


def add_command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    """A command whose help is `text`, the first sentence of it also in the list of commands."""
    return commands.add_parser(
        name,
        help=text.splitlines()[0],
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_sweep(commands: argparse._SubParsersAction) -> None:
    """`affecthub sweep`."""
    command = add_command(commands, "sweep", SWEEP)
    command.set_defaults(run=sweep)
    command.add_argument("recipe", metavar="RECIPE", help="name of a recipe, or a YAML file")
    command.add_argument("--folds", type=folds, default="all", help="all (default), or some, as 0,2")
    command.add_argument("--seeds", type=seeds, default="1", help="how many, from 0 on; or which, as 0,7; default: 1")
    command.add_argument(
        "--shares", type=shares, default="1", help="of the people who learn, as 0.1,0.25,0.5,1; default: 1"
    )
    command.add_argument("--output-dir", type=Path, metavar="DIR", help="default: runs/RECIPE-sweep")


def add_search(commands: argparse._SubParsersAction) -> None:
    """`affecthub search`."""
    command = add_command(commands, "search", SEARCH)
    command.set_defaults(run=search)
    command.add_argument("recipe", metavar="RECIPE", help="name of a recipe, or a YAML file")
    command.add_argument("--space", type=Path, required=True, metavar="YAML", help="what to try")
    command.add_argument("--trials", type=int, default=20, metavar="N", help="how many in all; default: 20")
    command.add_argument("--output-dir", type=Path, metavar="DIR", help="default: runs/RECIPE-search")


def add_report(commands: argparse._SubParsersAction) -> None:
    """`affecthub report`."""
    command = add_command(commands, "report", REPORT)
    command.set_defaults(run=report)
    command.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, or of several")
    command.add_argument("--output", type=Path, metavar="HTML", help="default: report.html in the first RUN")
    command.add_argument("--metric", help="by which models and groups are compared; default: what chose the epoch")
    command.add_argument("--task", help="by which models are compared; default: the main one")
    command.add_argument(
        "--for-others", action="store_true", help="with pseudonyms instead of names, no path, and no example of anyone"
    )
    command.add_argument(
        "--card",
        type=Path,
        metavar="MODEL_FOLDER",
        help="also let the card of this run's model say what the report says",
    )
    command.add_argument(
        "--thresholds",
        action="store_true",
        help="into the card also: errors by quality on validation, and what `predict --quality` takes from there",
    )
    command.add_argument("--no-cost", action="store_true", help="do not load the models to time them")
    command.add_argument(
        "--looking-inside",
        action="store_true",
        help="ask the models again, on their data: attention, attributions, robustness; minutes a model",
    )


def folds(text: str) -> list[int] | None:
    """Numbers of folds; None: all."""
    return None if text == "all" else [int(part) for part in text.split(",")]


def seeds(text: str) -> list[int]:
    """Seeds; a single number says how many."""
    return [int(part) for part in text.split(",")] if "," in text else list(range(int(text)))


def shares(text: str) -> list[float]:
    """Shares of the people."""
    return [float(part) for part in text.split(",")]


def add_predict(commands: argparse._SubParsersAction) -> None:
    """`affecthub predict`."""
    command = add_command(commands, "predict", PREDICT)
    command.set_defaults(run=predict)
    command.add_argument(
        "files", nargs="*", metavar="FILE", help="video or audio file, folder of them, http(s) address"
    )
    command.add_argument("--model", required=True, metavar="DIR_OR_ID", help="model folder, or owner/name on the Hub")
    command.add_argument("--text", help="what is said in the file; or, without a file, the text to judge")
    command.add_argument(
        "--transcribe", metavar="ASR", help="model that hears what is said where no text and no subtitles say it"
    )
    command.add_argument("--format", choices=("table", "json", "csv"), default="table", help="default: table")
    command.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")
    command.add_argument("--processes", type=int, default=1, metavar="N", help="each takes a file; default: 1")
    command.add_argument("--picture", type=Path, metavar="PNG", help="draw the timeline of the one file there")
    command.add_argument("--window", type=float, metavar="S", help="length of a window of the timeline in s")
    command.add_argument("--hop", type=float, metavar="S", help="from one window to the next in s; default: --window")
    command.add_argument("--strict", action="store_true", help="a recording that is not whole is an error")
    add_people(command)
    add_loading(command)


def add_people(command: argparse.ArgumentParser) -> None:
    """Whom, and from which quality on, `predict` and `live` judge."""
    command.add_argument("--people", action="store_true", help="follow faces; answers for each, by number")
    command.add_argument("--faces", type=int, default=8, metavar="N", help="followed at once, the largest; default: 8")
    command.add_argument(
        "--quality",
        nargs="?",
        default="",
        const=OF_CARD,
        metavar="NAME=VALUE,...",
        help="as face_size=40,sound_level=-50; alone: the thresholds of the model's card; see docs/predict.md",
    )


def add_loading(command: argparse.ArgumentParser) -> None:
    """How a model is loaded, and what an input may be."""
    command.add_argument(
        "--limit", action="append", default=[], metavar="NAME=VALUE", help="as windows=1000; see docs/reliability.md"
    )
    command.add_argument("--revision", help="branch, tag or commit of the model on the Hub")
    command.add_argument("--device", help="such as cpu or cuda:0; default: the first accelerator there is")
    command.add_argument(
        "--backend",
        choices=("torch", "onnx", "onnx-int8"),
        default="torch",
        help="what runs it; of the others `affecthub export` makes what they run; default: torch",
    )
    command.add_argument("--trust-remote-code", action="store_true", help="run code that a foreign model brings")


def add_export(commands: argparse._SubParsersAction) -> None:
    """`affecthub export`."""
    command = add_command(commands, "export", EXPORT)
    command.set_defaults(run=export)
    command.add_argument("folder", type=Path, metavar="MODEL", help="the model folder")
    command.add_argument("--to", required=True, choices=("onnx",), help="the format")
    command.add_argument("--int8", action="store_true", help="also with matrix products of 8-bit integers")
    command.add_argument("--opset", type=int, default=18, metavar="N", help="of ONNX's operators; default: 18")


def add_live(commands: argparse._SubParsersAction) -> None:
    """`affecthub live`."""
    command = add_command(commands, "live", LIVE)
    command.set_defaults(run=live)
    command.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="number of a camera, screen, microphone, address, or a file"
    )
    command.add_argument("--model", required=True, metavar="DIR_OR_ID", help="model folder, or owner/name on the Hub")
    command.add_argument("--rate", type=float, default=2.0, metavar="N", help="answers a second; default: 2")
    command.add_argument("--window", type=float, metavar="S", help="s that an answer is about; they overlap")
    command.add_argument(
        "--smoothing",
        type=float,
        default=0.0,
        metavar="S",
        help="time constant of an average of the scores; default: 0",
    )
    command.add_argument("--seconds", type=float, metavar="S", help="end after so many")
    command.add_argument("--json", action="store_true", help="a line of JSON an answer")
    add_people(command)
    add_loading(command)


def add_compare(commands: argparse._SubParsersAction) -> None:
    """`affecthub compare`."""
    command = add_command(commands, "compare", COMPARE)
    command.set_defaults(run=compare)
    command.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run, or a folder of runs")
    command.add_argument("--metric", help="such as f1_macro; default: the target's own, such as accuracy or mae")
    command.add_argument("--task", help="target; default: the main one")
    command.add_argument("--split", choices=("train", "validation", "test"), help="default: test")
    command.add_argument(
        "--by",
        choices=("participant", "dialogue", "recording", "row"),
        help="what is drawn and exchanged as a whole; default: what the data and their split say",
    )
    command.add_argument("--seeds", type=int, metavar="N", help="the first N seeds of each model; default: all")
    command.add_argument("--shared-rows", action="store_true", help="only rows that all models judged")
    command.add_argument("--format", choices=("table", "json"), default="table", help="default: table")
    command.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")


def add_publish(commands: argparse._SubParsersAction) -> None:
    """`affecthub publish`."""
    command = add_command(commands, "publish", PUBLISH)
    command.set_defaults(run=publish)
    command.add_argument("folder", type=Path, metavar="FOLDER", help="the model folder")
    command.add_argument("repo_id", metavar="OWNER/NAME", help="the repository, made if it is not there")
    command.add_argument("--public", action="store_true", help="let everybody see it")
    command.add_argument("--with-space", action="store_true", help="also make a page where one can try the model")
    command.add_argument("--trust-remote-code", action="store_true", help="run a foreign model's code to check it")


def add_demo(commands: argparse._SubParsersAction) -> None:
    """`affecthub demo`."""
    command = add_command(commands, "demo", DEMO)
    command.set_defaults(run=demo)
    command.add_argument("--model", required=True, metavar="DIR_OR_ID", help="model folder, or owner/name on the Hub")
    command.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    command.add_argument("--trust-remote-code", action="store_true", help="needed: the page runs the model's own code")


def add_cache(commands: argparse._SubParsersAction) -> None:
    """`affecthub cache list` and `affecthub cache prune`."""
    actions = add_command(commands, "cache", CACHE).add_subparsers(metavar="ACTION", required=True)
    add_command(actions, "list", "Show what is kept, what was used last first.").set_defaults(run=list_cache)
    command = add_command(actions, "prune", "Delete entries.")
    command.set_defaults(run=prune_cache)
    command.add_argument("keys", nargs="*", metavar="KEY", help="of an entry, or how it begins")
    command.add_argument("--older-than", type=float, metavar="DAYS", help="those that were not used for so long")
    command.add_argument("--all", action="store_true", help="every entry")


def sweep(options: argparse.Namespace) -> int:
    """Train what is not complete yet."""
    from affecthub.training.sweep import sweep as train_all

    folder = options.output_dir or Path("runs", f"{Path(options.recipe).stem}-sweep")
    train_all(options.recipe, options.overrides, folder, options.folds, options.seeds, options.shares)
    print(f"All runs are in {folder}")
    return 0


def search(options: argparse.Namespace) -> int:
    """Try what is not tried yet, and print the table of the trials."""
    from affecthub.training.search import BEST, read_space, trials_table
    from affecthub.training.search import search as try_all

    folder = options.output_dir or Path("runs", f"{Path(options.recipe).stem}-search")
    found = try_all(options.recipe, options.overrides, read_space(options.space), options.trials, folder)
    print(trials_table(found))
    print(f"The best recipe: {folder / BEST}")
    return 0


def report(options: argparse.Namespace) -> int:
    """Write the page and its JSON, and print where they are."""
    from affecthub.evaluation.page import write_page
    from affecthub.evaluation.report import report_of, write_json

    def extra(run: "Run") -> dict[str, object]:
        return ({} if options.no_cost else _cost(run)) | (_inside(run) if options.looking_inside else {})

    if options.thresholds and not options.card:
        raise ValueError("--thresholds stand in a model's card: pass --card MODEL_FOLDER too.")
    page = options.output or options.runs[0] / "report.html"
    found = report_of(
        options.runs, metric=options.metric, task=options.task, extra=extra, for_others=options.for_others
    )
    print(write_json(found, page.with_suffix(".json")))
    print(write_page(found, page))
    if options.card:
        print(_into_card(options, found))
    return 0


def _into_card(options: argparse.Namespace, found: dict) -> Path:
    """Let the card of a run's model folder say what the report says, without names and places."""
    from affecthub.evaluation.learning_curve import families
    from affecthub.evaluation.report import of_card, report_of
    from affecthub.evaluation.runs import open_models
    from affecthub.hub.card import FACTS, read_facts, write_card

    facts, folder = read_facts(options.card / FACTS), options.card.resolve().parent
    models = [family[-1] for family in families(open_models(options.runs))]
    held = [folder in [run.folder.resolve() for run in model.runs] for model in models]
    if not any(held):
        raise ValueError(f"--card {options.card}: it is the model folder of none of these runs.")
    if not found["for_others"]:
        found = report_of(options.runs, metric=options.metric, task=options.task, for_others=True)
    facts = replace(facts, report=of_card(found, held.index(True)))
    if options.thresholds:
        from affecthub.insight.opened import open_run
        from affecthub.insight.thresholds import suggest

        facts = replace(facts, quality=suggest(open_run(folder, "validation")))
    return write_card(options.card, facts)


def _cost(run: "Run") -> dict[str, object]:
    """What a run's model costs on this machine; nothing where its folder is gone."""
    from affecthub.insight.cost import measure_cost

    folder = run.folder / "model"
    return {"cost": measure_cost(folder)} if folder.is_dir() else {}


def _inside(run: "Run") -> dict[str, object]:
    """What a run's model looks at and is disturbed by, on rows that judge it."""
    from affecthub.insight.attention import write_attention
    from affecthub.insight.attribution import write_attribution
    from affecthub.insight.opened import open_run
    from affecthub.insight.quality import write_quality
    from affecthub.insight.robustness import write_robustness

    opened = open_run(run.folder)
    return {
        "attention": write_attention(opened),
        "attribution": write_attribution(opened),
        "robustness": write_robustness(opened),
        "measures": write_quality(opened),
    }


def predict(options: argparse.Namespace) -> int:
    """Judge each file, tell of those that cannot be judged, and go on with the rest."""
    from affecthub.inference.many import judge_all, recordings
    from affecthub.inference.predict import SYNTHETIC, is_synthetic, load_pipeline, render, write
    from affecthub.media.limits import Limits

    if not options.files and options.text is None:
        raise ValueError("Nothing to judge: pass a FILE, or --text.")
    files = recordings(options.files) or [None]
    if options.picture and len(files) > 1:
        raise ValueError(f"--picture draws one file, and there are {len(files)}: run them one by one.")
    loading = {
        name: getattr(options, name) for name in ("model", "trust_remote_code", "device", "revision", "backend")
    }
    asked = {"text": options.text, "window_seconds": options.window, "hop_seconds": options.hop}
    asked |= {"strict": options.strict, "limits": Limits.of(",".join(options.limit))}
    asked |= {"transcribe": options.transcribe}
    asked |= {"quality": _quality(options), "faces": options.faces if options.people else None}
    pipe = None if options.processes > 1 and len(files) > 1 else load_pipeline(**loading)
    synthetic = is_synthetic(options.model, options.revision)
    if synthetic:
        print(f"affecthub: {options.model} was {SYNTHETIC}.", file=sys.stderr)
    kept, found, status = options.output if len(files) > 1 else None, {}, 0
    for file, outcome in judge_all(files, loading, asked, pipe=pipe, processes=options.processes, output=kept):
        found[file] = outcome
        if isinstance(outcome, str):
            print(f"affecthub: error: {outcome}", file=sys.stderr)
            status = BAD_INPUT
            continue
        for warning in outcome[-1]["warnings"]:
            print(f"affecthub: warning: {file}: {warning}", file=sys.stderr)
            status = status or NOT_WHOLE
    judged = {file or "(text)": found[file] for file in files if not isinstance(found[file], str)}
    if judged:
        write(render(judged, options.format, options.model, synthetic), options.output)
    if judged and options.picture:
        from affecthub.evaluation.pictures import plot_timeline

        ((name, answers),) = judged.items()
        title = f"{Path(name).name}, judged by {'/'.join(Path(options.model).parts[-2:])}"
        plot_timeline(answers, options.picture, f"{title}\n{SYNTHETIC}" if synthetic else title)
    return status


def _quality(options: argparse.Namespace) -> "Quality":
    """What --quality asks for."""
    from affecthub.inference.predict import quality_of_card
    from affecthub.media.quality import Quality

    if options.quality == OF_CARD:
        return quality_of_card(options.model, options.revision)
    return Quality.of(options.quality)


def export(options: argparse.Namespace) -> int:
    """Write the graphs and print where they are."""
    from affecthub.hub.export import export_onnx

    for path in export_onnx(options.folder, int8=options.int8, opset=options.opset):
        print(path)
    return 0


def live(options: argparse.Namespace) -> int:
    """Judge a source as it goes on."""
    from affecthub.inference.live import Live, show
    from affecthub.inference.predict import SYNTHETIC, is_synthetic, load_pipeline
    from affecthub.media.limits import Limits

    limits, quality = Limits.of(",".join(options.limit)), _quality(options)
    pipe = load_pipeline(
        options.model,
        trust_remote_code=options.trust_remote_code,
        device=options.device,
        revision=options.revision,
    )
    synthetic = is_synthetic(options.model, options.revision)
    if synthetic:
        print(f"affecthub: {options.model} was {SYNTHETIC}.", file=sys.stderr)
    asked = {"rate": options.rate, "window_seconds": options.window, "smoothing": options.smoothing}
    asked |= {"quality": quality, "faces": options.faces if options.people else None}
    show(Live(pipe, *options.sources, **asked, seconds=options.seconds, limits=limits), options.json, synthetic)
    return 0


def compare(options: argparse.Namespace) -> int:
    """Print the figures of each model, and of every pair whether they differ."""
    import json

    from affecthub.evaluation.comparison import compare_runs
    from affecthub.evaluation.comparison_table import comparison_table
    from affecthub.media.files import write_file
    from affecthub.media.forms import VERSION

    found = compare_runs(
        options.runs,
        metric=options.metric,
        task=options.task,
        split=options.split,
        by=options.by,
        seeds=options.seeds,
        shared=options.shared_rows,
    )
    if options.format == "json":
        text = json.dumps({"version": VERSION, **found}, indent=2, ensure_ascii=False)
    else:
        text = comparison_table(found)
    if options.output:
        write_file(options.output, f"{text}\n".encode())
    else:
        print(text)
    return 0


def publish(options: argparse.Namespace) -> int:
    """Publish a folder and print its address."""
    from affecthub.hub.publish import publish_model

    also = {"with_space": options.with_space, "trust_remote_code": options.trust_remote_code}
    print(publish_model(options.folder, options.repo_id, private=not options.public, **also))
    return 0


def demo(options: argparse.Namespace) -> int:
    """Serve the page until it is stopped."""
    if not options.trust_remote_code:
        raise ValueError(f"{options.model}: the page runs the code of this model; pass --trust-remote-code.")
    from affecthub.hub.space import launch

    launch(options.model, options.port)
    return 0


def list_cache(options: argparse.Namespace) -> int:
    """Print the entries of the encoder cache."""
    from affecthub.training.encoder_cache.entries import entries, entries_table

    print(entries_table(entries()))
    return 0


def prune_cache(options: argparse.Namespace) -> int:
    """Delete entries of the encoder cache and print how much that was."""
    from affecthub.training.encoder_cache.entries import prune

    if not (options.keys or options.all or options.older_than is not None):
        raise ValueError("Nothing to delete: pass KEY, --older-than or --all.")
    sizes = prune(options.keys, options.older_than, options.all)
    print(f"Deleted {len(sizes)} {'entry' if len(sizes) == 1 else 'entries'}, {sum(sizes.values()) / 1e6:,.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
