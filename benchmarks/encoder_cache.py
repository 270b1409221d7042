"""Training with frozen base-size encoders: with the encoder cache, and encoding anew in every epoch.

    python benchmarks/encoder_cache.py [--clips 400] [--epochs 15] [--plain-epochs N] [--rounds N] [--output FILE]

The recipe is `meld_ensemble`, on rendered clips and with encoders of random weights, which cost what trained ones do.
Every round begins with an empty cache. The floor is one encoder pass without any cache, and the head's own steps.
Each epoch of the plain loop does the same work; `--plain-epochs` times fewer of them and scales their time up.
"""

import os
import tempfile
import time
from pathlib import Path

import torch
from measure import Goal, parser_of, ratio, report, table
from torch.utils.data import DataLoader
from transformers import set_seed

from affecthub.datasets_scripts.corpus import Corpus, load_corpus
from affecthub.modeling.modeling_trimodal import TrimodalModel
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.augmentation import SpecAugment
from affecthub.training.clips import ClipDataset
from affecthub.training.collator import Collator
from affecthub.training.encoder_cache.encoders import encode_batch
from affecthub.training.encoder_cache.entries import prune
from affecthub.training.encoder_cache.run import use_encoder_cache
from affecthub.training.from_recipe import build_model, build_processor
from affecthub.training.recipe import Recipe, load_recipe
from affecthub.training.samples import SampleDataset
from affecthub.training.trainer import AffectTrainer, make_trainer

CACHED, PLAIN, PASS, HEAD = "affecthub, from an empty cache", "encoding in every epoch", "one encoder pass", "the head"
READ = "reading the warm cache"

SMALL = "{hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, model_type: %s}"


def main(arguments: list[str] | None = None) -> None:
    """Time all of it round by round, and compare the losses."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--clips", type=int, default=400, help="to learn from; a quarter as many validate")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--plain-epochs", type=int, help="that the plain loop really runs; default: all")
    options = parser.parse_args(arguments)
    clips, epochs, rounds = (16, 2, 1) if options.quick else (options.clips, options.epochs, options.rounds)
    times: dict[str, list[float]] = {CACHED: [], PLAIN: [], PASS: [], HEAD: [], READ: []}
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AFFECTHUB_CACHE"] = str(Path(folder, "cache"))
        plain_epochs = min(epochs, options.plain_epochs or epochs)
        recipes = {n: recipe_of(Path(folder), clips, n, options.quick) for n in {epochs, plain_epochs}}
        recipe = recipes[epochs]
        corpus = load_corpus(recipe.data, ["text", "audio", "video"], recipe.split)
        processor = build_processor(recipe, corpus)
        for _ in range(rounds):
            prune(everything=True)
            losses = {}
            for name, number in ((CACHED, epochs), (PLAIN, plain_epochs)):
                trainer, data = prepared(recipes[number], corpus, processor, Path(folder))
                begin = time.perf_counter()
                if name == CACHED:
                    use_encoder_cache(trainer, data, recipe)
                middle = time.perf_counter()
                trainer.train()
                end = time.perf_counter()
                times[name].append((end - begin) * epochs / number)
                if name == CACHED:
                    times[HEAD].append(end - middle)
                    times[READ].append(epochs * read_seconds(trainer))
                losses[name] = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
            times[PASS].append(pass_seconds(trainer, data))
            differences.append(max(abs(a - b) for a, b in zip(losses[CACHED], losses[PLAIN], strict=False)))
    floor = "one encoder pass and the head"
    times[floor] = [sum(pair) for pair in zip(times[PASS], times[HEAD], strict=True)]
    goals = [
        Goal("encoding in every epoch, times ours", ratio(times, PLAIN, CACHED), at_least=10),
        Goal("ours, times one encoder pass and the head's steps", ratio(times, CACHED, floor), at_most=1.2),
        Goal("reading the warm cache, times the head's steps with it", ratio(times, READ, HEAD), at_most=0.1),
        Goal("largest difference of a validation loss", max(differences), at_most=1e-4),
    ]
    title = f"{epochs} epochs of meld_ensemble, {clips} clips, frozen encoders"
    notes = {PLAIN: f"{plain_epochs} epochs were run, and their time multiplied by {epochs / plain_epochs:g}"}
    shown = notes if plain_epochs < epochs else None
    report(title, table(times, CACHED, "s"), goals, options.output, times=times, notes=shown)


def recipe_of(folder: Path, clips: int, epochs: int, quick: bool) -> Recipe:
    """`meld_ensemble` on rendered clips, its encoders from scratch: of base size, or tiny with `quick`."""
    configs = [f"{{model_type: {kind}}}" for kind in ("bert", "clip_vision_model")]
    if quick:
        configs = [SMALL % kind for kind in ("bert", "clip_vision_model")]
    few = max(2, clips // 4)
    return load_recipe(
        "meld_ensemble",
        *("--data=SampleMeld", f"--data.root={folder / 'data'}", f"--data.train_rows={clips}"),
        *(f"--data.validation_rows={few}", "--data.test_rows=2", f"--training.epochs={epochs}"),
        *("--model.text_encoder=null", "--model.vision_encoder=null", "--training.precision=fp32"),
        *(f"--model.text_config={configs[0]}", f"--model.vision_config={configs[1]}"),
        # sound as it is: what changes in each epoch is in no cache
        *("--augmentation.audio.time_stretch=0", "--augmentation.audio.pitch_semitones=0"),
        "--augmentation.audio.snr_db=null",
    )


def prepared(
    recipe: Recipe, corpus: Corpus, processor: OptionalPartsProcessor, folder: Path
) -> tuple[AffectTrainer, dict[str, SampleDataset]]:
    """A fresh Trainer, and its samples."""
    set_seed(0)
    data: dict[str, SampleDataset] = {
        name: ClipDataset(corpus.splits[name], corpus.targets, processor) for name in ("train", "validation")
    }
    model = build_model(recipe, corpus, processor)
    return make_trainer(model, recipe, folder / "run", corpus, data["train"], data["validation"]), data


def read_seconds(trainer: AffectTrainer) -> float:
    """s in which the head would wait for the batches of an epoch."""
    begin = time.perf_counter()
    for loader in (trainer.get_train_dataloader(), trainer.get_eval_dataloader()):
        for _ in loader:
            pass
    return time.perf_counter() - begin


@torch.no_grad()
def pass_seconds(trainer: AffectTrainer, data: dict[str, SampleDataset]) -> float:
    """s that a plain loop takes to decode and encode every sample once."""
    trunk = trainer.model.eval().base_model
    assert isinstance(trunk, TrimodalModel)
    begin = time.perf_counter()
    for samples in data.values():
        collator = Collator(samples.processor, SpecAugment())
        workers, size = trainer.args.dataloader_num_workers, trainer.args.eval_batch_size
        for batch in DataLoader(samples, size, collate_fn=collator, num_workers=workers):
            encode_batch(trunk, {name: values.to(trunk.device) for name, values in batch.items()})
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
