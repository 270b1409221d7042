"""The Trainer of a recipe, and the samples that it learns from and is judged by."""

from pathlib import Path

from affecthub.datasets_scripts.corpus import Corpus
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.training.data import samples_of
from affecthub.training.encoder_cache.run import needs_preload
from affecthub.training.features import check_features
from affecthub.training.recipe import Recipe
from affecthub.training.samples import SampleDataset
from affecthub.training.trainer import AffectTrainer, make_trainer


def prepare(
    recipe: Recipe, corpus: Corpus, processor: OptionalPartsProcessor, model: AffectPreTrainedModel, output_dir: Path
) -> tuple[AffectTrainer, dict[str, SampleDataset]]:
    """The Trainer, and the samples of each split; those that learn are augmented."""
    check_features(corpus.prepared, recipe, processor, model.base_model)
    preload = needs_preload(recipe)
    data = {split: samples_of(recipe, corpus, split, processor, preload) for split in corpus.splits}
    return make_trainer(model, recipe, output_dir, corpus, data["train"], data["validation"]), data
