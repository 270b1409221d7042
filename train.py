"""Train, evaluate and save an emotion model: `accelerate launch train.py --recipe NAME [--key=value ...]`.

Reads a recipe, then walks through the rooms in order: rows, processor and model, a run, figures, a folder.
"""

import logging
import time
from pathlib import Path

from accelerate import PartialState
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoModelForVideoClassification,
    AutoProcessor,
    PreTrainedModel,
    ProcessorMixin,
    Trainer,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from affecthub.evaluation.report import results_table, write_results
from affecthub.hub.folder import Finished, clear_checkpoints, save_run
from affecthub.training.build import build_model, build_processor
from affecthub.training.data import Corpus, UtteranceDataset, load_corpus
from affecthub.training.judge import judge
from affecthub.training.recipe import Recipe, Run, parse_run
from affecthub.training.run import choose_precision, make_trainer


def main() -> None:
    """The whole way; every process of a launch runs it, the first one writes."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    run = parse_run()
    state = PartialState()
    try:
        _run(run, state)
    except (OSError, ValueError, StrictDataclassError) as error:
        raise SystemExit(f"train.py: {error}") from error


def _run(run: Run, state: PartialState) -> None:
    recipe, folder = run.recipe, run.output_dir / "model"
    set_seed(recipe.training.seed)
    with state.local_main_process_first():
        corpus = load_corpus(recipe.data, recipe.model.modalities)
    if run.eval_only:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no model to evaluate; train it first, or give another --output_dir.")
        processor = AutoProcessor.from_pretrained(folder)
        model = AutoModelForVideoClassification.from_pretrained(folder)
    else:
        processor = build_processor(recipe, corpus)
        model = build_model(recipe, corpus, processor)
    trainer, data = prepare(recipe, corpus, processor, model, run.output_dir)
    state.print(describe(recipe, corpus, trainer))
    started = time.perf_counter()
    if not run.eval_only:
        trainer.train(resume_from_checkpoint=checkpoint_to_resume(run, trainer))
    seconds = time.perf_counter() - started
    results = judge(trainer, data, corpus, recipe)
    results["training"] |= {"seconds": round(seconds, 1)}
    if not state.is_main_process:
        return
    if run.eval_only:
        write_results(results, run.output_dir / "eval_metrics.json")
    else:
        save_run(folder, Finished(trainer, processor, corpus, recipe, results, seconds))
        clear_checkpoints(Path(trainer.args.output_dir))
    print(results_table(results))
    print(how_to_load(folder, trainer.model))


def prepare(
    recipe: Recipe, corpus: Corpus, processor: ProcessorMixin, model: PreTrainedModel, output_dir: Path
) -> tuple[Trainer, dict[str, UtteranceDataset]]:
    """The Trainer, and a data set a split; a corpus without a validation split is judged by its test split."""
    seed, preload = recipe.training.seed, recipe.data.preload
    data = {
        name: UtteranceDataset(rows, processor, recipe.augmentation if name == "train" else None, seed, preload)
        for name, rows in corpus.splits.items()
    }
    if "validation" not in data:
        raise ValueError("The corpus has no validation split (dev_sent_emo.csv); nothing could choose the best epoch.")
    return make_trainer(model, recipe, output_dir, data["train"], data["validation"]), data


def checkpoint_to_resume(run: Run, trainer: Trainer) -> str | None:
    """The newest checkpoint with --resume, none without; ValueError where the two do not fit."""
    folder = Path(trainer.args.output_dir)
    newest = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if run.resume and newest is None:
        raise ValueError(f"{folder}: no checkpoint to resume; leave --resume out to start anew.")
    if newest and not run.resume:
        raise ValueError(
            f"{folder} holds checkpoints of an interrupted run: continue it with --resume, delete the folder, or "
            "choose another --output_dir."
        )
    return newest


def describe(recipe: Recipe, corpus: Corpus, trainer: Trainer) -> str:
    """What is about to run, in a few lines."""
    rows = ", ".join(f"{name} {len(split):,}" for name, split in corpus.splits.items())
    arguments = trainer.args
    batch = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
    return (
        f"{recipe.name}: {recipe.model.architecture} on {corpus.name} ({rows})\n"
        f"{arguments.world_size} process(es) on {arguments.device.type}, "
        f"{choose_precision(recipe.training.precision)}, global batch {batch}"
    )


def how_to_load(folder: Path, model: PreTrainedModel) -> str:
    """The line that loads what was saved."""
    return f'\nLoad it:\n  import affecthub\n  model = AutoModelForVideoClassification.from_pretrained("{folder}")'


if __name__ == "__main__":
    main()
