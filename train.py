"""Train, evaluate and save an emotion model: `accelerate launch train.py --recipe NAME [--key=value ...]`.

Reads a recipe, then walks through the rooms in order: rows, processor and model, a run, figures, a folder.
"""

import logging
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from affecthub.media.processes import end_with_launch

if __name__ == "__main__":  # before anything that takes half a second to load
    end_with_launch()

from affecthub.training.recipe import Recipe, Run, parse_run, write_recipe

if __name__ == "__main__":  # mistakes are told before libraries are loaded that take seconds
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # a log needs no bars
    RUN = parse_run(program=Path(sys.argv[0]).name)
else:
    RUN = None

from accelerate import PartialState
from transformers import (
    AutoModelForVideoClassification,
    AutoProcessor,
    set_seed,
)

from affecthub.datasets_scripts.corpus import Corpus, load_corpus
from affecthub.evaluation.audit import enforce, findings_table
from affecthub.evaluation.predictions import PREDICTIONS_FILE
from affecthub.evaluation.results import results_table, write_results
from affecthub.hub.model_folder import Finished, save_run
from affecthub.hub.publish import publish_model
from affecthub.hub.push import require_repo_id
from affecthub.media.faults import FAULTS, sentence_of
from affecthub.media.files import alone
from affecthub.training.assembly import prepare
from affecthub.training.checkpoints import CHECKPOINTS, clear_checkpoints, newest_checkpoint, remove_broken
from affecthub.training.collator import naming_stuck_workers
from affecthub.training.encoder_cache.run import use_encoder_cache
from affecthub.training.environment import write_environment
from affecthub.training.evaluate import answer, calibrate, evaluate
from affecthub.training.from_recipe import build_model, build_processor, modalities_of, settled
from affecthub.training.fsdp import whole_model
from affecthub.training.history import write_history
from affecthub.training.launch import check_divisible, describe_batches, join_launch
from affecthub.training.phases import epochs_until_stopped
from affecthub.training.split_audit import as_results, audit_once
from affecthub.training.trackers import check_trackers, tell_trackers
from affecthub.training.trainer import AffectTrainer, choose_precision


def main(run: Run | None = None) -> None:
    """The whole way; every process of a launch runs it, the first one writes.

    Args:
        run: what is to be done; by default what the command line says.
    """
    program = Path(sys.argv[0]).name
    run = run or parse_run(program=program)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        if run.push_to_hub:
            require_repo_id(run.push_to_hub)  # now, not after hours
        with naming_stuck_workers():
            state, folder = join_launch(), run.output_dir
            mine = state.is_main_process and (folder.is_dir() or not run.eval_only)
            with alone(folder, "is training or judging") if mine else nullcontext():
                _run(run, state)
    except FAULTS as error:
        raise SystemExit(f"{program}: {sentence_of(error)}") from error


def _run(run: Run, state: PartialState) -> None:
    recipe, folder = run.recipe, run.output_dir / "model"
    checkpoint = checkpoint_to_go_on_from(run, folder, state.is_main_process)
    check_divisible(run.eval_only, recipe.training.compile)
    check_trackers(recipe.training.report_to)
    set_seed(recipe.training.seed)
    with state.local_main_process_first():
        inputs = recipe.inputs
        streaming = inputs.shuffle_buffer if inputs.streaming else None
        corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split, streaming=streaming)
        if run.eval_only:
            processor = AutoProcessor.from_pretrained(folder)
        else:
            recipe = settled(recipe, corpus)
            processor = build_processor(recipe, corpus)
    audited = audit_once(corpus, processor, folder if run.eval_only else None)
    enforce(audited.findings, recipe.split.accept)
    state.print(findings_table(audited.findings))
    model = (
        AutoModelForVideoClassification.from_pretrained(folder)
        if run.eval_only
        else build_model(recipe, corpus, processor)
    )
    trainer, data = prepare(recipe, corpus, processor, model, run.output_dir)
    state.print(describe(recipe, corpus, trainer))
    started = time.perf_counter()
    if checkpoint and (epochs := epochs_until_stopped(checkpoint)):
        trainer.args.num_train_epochs = epochs  # it was interrupted while it was judged or saved
    use_encoder_cache(trainer, data, recipe)
    if not run.eval_only:
        if state.is_main_process:
            write_recipe(recipe, run.output_dir)
        trainer.train(resume_from_checkpoint=checkpoint)
    seconds = time.perf_counter() - started
    predictions = answer(trainer, data, corpus)
    if not run.eval_only:
        calibrate(trainer.model, predictions)
    results = evaluate(trainer, predictions, data, corpus, recipe, as_results(audited.findings, recipe.split.accept))
    results["training"] = results.get("training", {}) | {"seconds": round(seconds, 1)}
    model = whole_model(trainer)
    if not state.is_main_process:
        return
    if run.eval_only:
        write_results(results, run.output_dir / "eval_metrics.json")
        predictions.write(run.output_dir / f"eval_{PREDICTIONS_FILE}")
    else:
        save_run(folder, Finished(trainer, model, processor, corpus, recipe, results, seconds, audited.learned))
        predictions.write(run.output_dir / PREDICTIONS_FILE)
        write_history(trainer.state.log_history, run.output_dir)
        write_environment(run.output_dir)
        tell_trackers(trainer, results, folder)
        clear_checkpoints(run.output_dir / CHECKPOINTS)
    print(results_table(results))
    print(how_to_load(folder))
    if run.push_to_hub:
        print(f"Published: {publish_model(folder, run.push_to_hub)}")


def checkpoint_to_go_on_from(run: Run, model: Path, is_main_process: bool) -> str | None:
    """The newest checkpoint with --resume, none without.

    Raises:
        ValueError: there is none to resume, or one that nobody asked to resume.
        FileNotFoundError: no model to evaluate.
    """
    if run.eval_only:
        if not model.is_dir():
            raise FileNotFoundError(f"{model}: no model to evaluate; train it, or give another --output_dir.")
        return None
    folder = run.output_dir / CHECKPOINTS
    newest = newest_checkpoint(folder)
    if is_main_process:
        remove_broken(folder)
    if run.resume and newest is None:
        raise ValueError(f"{folder}: no checkpoint to resume; leave --resume out to start anew.")
    if newest and not run.resume:
        raise ValueError(
            f"{folder} holds checkpoints of an interrupted run: continue it with --resume, delete the folder, or "
            "choose another --output_dir."
        )
    return str(newest) if newest else None


def describe(recipe: Recipe, corpus: Corpus, trainer: AffectTrainer) -> str:
    """What is about to run, in a few lines."""
    rows = ", ".join(f"{name} {len(split):,}" for name, split in corpus.splits.items())
    arguments = trainer.args
    parts = ", a part of the model on each" if trainer.is_fsdp_enabled else ""
    return (
        f"{recipe.name}: {recipe.model.architecture} on {corpus.name} ({rows})\n"
        f"{arguments.world_size} process(es) on {arguments.device.type}{parts}, "
        f"{choose_precision(recipe.training.precision)}\n{describe_batches(arguments, trainer.settings)}"
    )


def how_to_load(folder: Path) -> str:
    """The line that loads what was saved."""
    return f'\nLoad it:\n  import affecthub\n  model = AutoModelForVideoClassification.from_pretrained("{folder}")'


if __name__ == "__main__":
    main(RUN)
