"""A tiny corpus and a tiny study, rendered once, and the quick start made small enough to train within a second."""

import datasets
import pytest
from transformers import set_seed

from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.prepared.clips import ClipForm
from affecthub.datasets_scripts.synthetic.corpora import SampleMeld
from affecthub.datasets_scripts.synthetic.study import render_sample_genex
from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld
from affecthub.training.clips import ClipDataset
from affecthub.training.from_recipe import build_model, build_processor, modalities_of
from affecthub.training.prepare import prepare
from affecthub.training.recipe import load_recipe
from affecthub.training.trainer import make_trainer

STUDY_SECONDS = 6
ROWS = {"train": 48, "dev": 16, "test": 16}
SIZES = {"train_rows": 48, "validation_rows": 16, "test_rows": 16}
TINY = (
    *("--data.train_rows=48", "--data.validation_rows=16", "--data.test_rows=16", "--inputs.num_frames=2"),
    *("--model.vision_config.image_size=32", "--model.config.hidden_size=16"),
    *("--training.epochs=2", "--training.batch_size=16", "--training.precision=fp32", "--training.num_workers=0"),
)


@pytest.fixture(scope="session", autouse=True)
def own_datasets_cache(tmp_path_factory):
    """What `datasets` prepares does not go to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


@pytest.fixture(scope="session")
def sample_root(tmp_path_factory):
    """The folder below which the tiny corpus lies."""
    root = tmp_path_factory.mktemp("sample")
    render_sample_meld(root, **ROWS)
    return root


@pytest.fixture(scope="session")
def rendered_study(tmp_path_factory):
    """The folder below which the tiny study lies."""
    root = tmp_path_factory.mktemp("study")
    render_sample_genex(root, seconds=STUDY_SECONDS)
    return root


@pytest.fixture(scope="module")
def study_options(rendered_study):
    """Overrides that make a recipe of recordings take the tiny study; its extracted frames lie beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFECTHUB_CACHE", str(rendered_study / "cache"))
        yield (
            *("--data=SampleGenex", f"--data.root={rendered_study}", f"--data.seconds={STUDY_SECONDS}"),
            *("--data.crop_faces=false", "--inputs.frame_size=32"),
        )


@pytest.fixture(scope="session")
def tiny(sample_root):
    """A function: the quick start's recipe at tiny size, with overrides."""
    return lambda *overrides: load_recipe("quickstart", *TINY, f"--data.root={sample_root}", *overrides)


@pytest.fixture(scope="session")
def prepared(sample_root, tmp_path_factory):
    """The tiny corpus, prepared by the one call that the command makes; its training split has 4 shards of 12 rows."""
    folder = tmp_path_factory.mktemp("prepared") / "out"
    form = ClipForm(num_frames=2, frame_size=32)
    prepare(SampleMeld(root=str(sample_root), **SIZES), folder, form, shard_rows=12)
    return folder


@pytest.fixture(scope="session")
def corpus(tiny):
    """The rows of the tiny corpus, all modalities."""
    recipe = tiny()
    return load_corpus(recipe.data, modalities_of(recipe.model))


@pytest.fixture(scope="session")
def processor(tiny, corpus):
    """The processor of the tiny recipe."""
    return build_processor(tiny(), corpus)


@pytest.fixture
def trainer_for(corpus, processor, tmp_path):
    """A function: the Trainer of a recipe on the tiny corpus, its clips decoded into memory once."""
    kept = {}

    def make(recipe, output_dir=tmp_path, corpus=corpus):
        set_seed(recipe.training.seed)
        targets = tuple(target.name for target in corpus.targets)
        for name in () if targets in kept else ("train", "validation"):
            kept.setdefault(targets, []).append(
                ClipDataset(corpus.splits[name], corpus.targets, processor, preload=True)
            )
        return make_trainer(build_model(recipe, corpus, processor), recipe, output_dir, corpus, *kept[targets])

    return make
