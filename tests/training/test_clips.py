"""Any labelled recordings go the whole way: every kind of row and target, prepared or not."""

import csv
import json

import cv2
import numpy as np
import pytest
import soundfile
from transformers import set_seed

from affecthub.datasets_scripts.clips.corpus import Clips
from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.prepared.clips import ClipForm, prepare_clip
from affecthub.media import faces
from affecthub.media.faces import Face
from affecthub.media.for_processor import pictures_for
from affecthub.media.pictures import decode_image
from affecthub.training.clips import PreparedDataset, StreamedDataset
from affecthub.training.data import make_dataset
from affecthub.training.evaluate import answer, evaluate
from affecthub.training.from_recipe import build_model, build_processor, modalities_of, settled
from affecthub.training.prepare import prepare
from affecthub.training.recipe import load_recipe
from affecthub.training.split_audit import audit_corpus
from affecthub.training.trainer import make_trainer

from ..pages import EXTENDING, fences
from ..tiny_configs import tiny_overrides

SHORT = (
    *("--training.epochs=1", "--training.batch_size=16", "--training.precision=fp32", "--training.num_workers=0"),
    *("--training.phases=[]", "--training.best_metric=loss", "--inputs.num_frames=2", "--inputs.frame_size=32"),
)
ROWS = 40


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Nothing goes to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFECTHUB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def mine(sample_root, tmp_path_factory):
    """A table of rendered clips: with everything that a row can say, and with gaps in everything."""
    folder, rng, lines = tmp_path_factory.mktemp("mine"), np.random.default_rng(0), []
    for i, clip in enumerate(sorted(sample_root.rglob("train_splits/dia*.mp4"))[:ROWS]):
        (folder / "clips").mkdir(exist_ok=True)
        (folder / "clips" / f"{i}.mp4").write_bytes(clip.read_bytes())
        cv2.imwrite(str(folder / "clips" / f"{i}.png"), rng.integers(0, 255, (40, 40, 3), dtype=np.uint8))
        np.save(folder / "clips" / f"{i}.npy", rng.normal(size=(i % 4 + 1, 3)))
        votes = rng.choice(["joy", "anger"], 3)
        lines.append(
            {
                "video": f"clips/{i}.mp4" if i % 5 else "",
                "picture": f"clips/{i}.png",
                "sequence": f"clips/{i}.npy",
                "text": f"so {rng.choice(['good', 'bad'])} {i}" if i % 4 else "",
                "person": f"p{i % 5}",
                "emotion": ["joy", "anger", "calm"][i % 3] if i % 7 else "",
                "valence": round(float(rng.uniform(-1, 1)), 3) if i % 6 else "",
                "tags": ["joy|surprise", "|", "surprise"][i % 3],
                "votes": f"joy:{sum(votes == 'joy')}|anger:{sum(votes == 'anger')}",
                "gsr": round(float(rng.normal()), 3) if i % 3 else "",
                "weight": 1 + i % 2,
            }
        )
    with (folder / "mine.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(lines[0]))
        table.writeheader()
        table.writerows(lines)
    return folder / "mine.csv"


def recipe_of(name, mine, *options):
    columns = {"participant": "person"}
    given = [option for option in options if option.startswith("--data.columns=")]
    columns |= json.loads(given[0].partition("=")[2]) if given else {}
    rest = [option for option in options if option not in given]
    base = load_recipe(name)
    return load_recipe(
        *(name, "--data=Clips", f"--data.root={mine}", f"--data.columns={json.dumps(columns)}", *SHORT),
        *("--model.vision_encoder=null", "--model.text_encoder=null"),
        *(() if name == "quickstart" else tiny_overrides(base.model.architecture)),
        *rest,
    )


def trained(recipe, folder):
    """A run without its folder: the results, and the model."""
    corpus = load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
    recipe = settled(recipe, corpus)
    processor = build_processor(recipe, corpus)
    audit_corpus(corpus, processor)
    set_seed(0)
    model = build_model(recipe, corpus, processor)
    data = {split: make_dataset(corpus, split, processor, recipe.inputs.physio_steps) for split in corpus.splits}
    trainer = make_trainer(model, recipe, folder, corpus, data["train"], data["validation"])
    trainer.train()
    return evaluate(trainer, answer(trainer, data, corpus), data, corpus, recipe, []), corpus, data, model


PICTURES = '--data.columns={"image": "picture", "video": "weight"}'


def test_text_sound_and_video_of_which_rows_lack_some(mine, tmp_path):
    recipe = recipe_of("quickstart", mine, "--data.targets=[emotion]", "--model.config.hidden_size=16")
    results, corpus, data, model = trained(recipe, tmp_path)
    assert model.config.modalities == ["text", "audio", "video"] and corpus.protocol == "grouped_k_fold, fold 0"
    assert len(results["ablation"]) == 7
    unknown = sum(count for reason, count in corpus.skipped.items() if "emotion is not known" in reason)
    empty = sum(count for reason, count in corpus.skipped.items() if "empty" in reason)  # rows 0 and 20
    assert (unknown, empty) == (5, 2) and sum(map(len, corpus.splits.values())) == ROWS - 7
    present = np.concatenate([samples.present["video"] for samples in data.values()])
    assert 0 < present.sum() < len(present)


@pytest.mark.parametrize("name", ["frame_cnn", "temporal_vit", "audio_visual_fusion"])
def test_models_of_frames_on_clips(name, mine, tmp_path):
    results, *_ = trained(recipe_of(name, mine, "--data.targets=[emotion]"), tmp_path)
    assert results["results"]["test"]["emotion"]["kind"] == "single_label"


def test_models_of_frames_on_pictures(mine, tmp_path):
    only = mine.with_name("pictures.csv")
    lines = list(csv.DictReader(mine.open()))
    with only.open("w", newline="") as file:
        table = csv.DictWriter(file, ["image", "emotion"])
        table.writeheader()
        table.writerows({"image": line["picture"], "emotion": line["emotion"]} for line in lines)
    recipe = load_recipe(
        *("frame_vit", "--data=Clips", f"--data.root={only}", "--data.targets=[emotion]", *SHORT),
        *tiny_overrides("frame_vit"),
    )
    results, corpus, *_ = trained(recipe, tmp_path)
    assert corpus.unit == "images" and corpus.protocol == "by_row, fold 0"
    assert results["results"]["test"]["emotion"]["rows"] > 0


def test_models_with_features_in_columns_and_in_files(mine, tmp_path):
    vector = recipe_of("physio_concat", mine, "--data.targets=[emotion]", "--data.features=[gsr,weight]")
    _, corpus, _, model = trained(vector, tmp_path / "a")
    assert corpus.feature_names == ("gsr", "weight") and model.config.physio_size == 2
    sequence = recipe_of(
        *("physio_cross_attention", mine, "--data.targets=[emotion]", '--data.columns={"features": "sequence"}'),
        "--inputs.physio_steps=4",
    )
    _, corpus, data, model = trained(sequence, tmp_path / "b")
    assert len(corpus.feature_names) == model.config.physio_size == 3
    assert {sample["physio"].shape[0] for sample in data["train"]} == {1, 2, 3, 4}


def test_token_fusion_of_whatever_rows_hold(mine, tmp_path):
    recipe = recipe_of(
        *("token_fusion", mine, "--data.targets=[emotion]", '--data.columns={"features": "sequence"}'),
        "--model.text_config={hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 37}",
    )
    results, corpus, data, model = trained(recipe, tmp_path)
    assert model.config.modalities == ["text", "audio", "video", "physio"] and model.config.physio_size == 3
    assert len(results["ablation"]) == 15
    assert {sample["physio"].shape[0] for sample in data["train"]} == {1, 2, 3, 4}
    present = np.concatenate([samples.present["video"] for samples in data.values()])
    assert 0 < present.sum() < len(present)


KINDS = {"emotion": "single_label", "valence": "regression", "tags": "multi_label", "votes": "soft"}


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("quickstart", "valence"),
        ("quickstart", "votes"),
        ("quickstart", ",".join(KINDS)),
        ("temporal_vit", "tags,votes"),
    ],
)
def test_every_kind_of_target_alone_and_together(name, targets, mine, tmp_path):
    recipe = recipe_of(name, mine, f"--data.targets=[{targets}]", "--model.task_weights={}")
    results, corpus, _, model = trained(recipe, tmp_path)
    found = results["results"]["test"]
    assert {task: scores["kind"] for task, scores in found.items()} == {
        task: KINDS[task] for task in targets.split(",")
    }
    assert [task.name for task in model.config.tasks] == targets.split(",")
    assert all(
        np.isfinite(value) for scores in found.values() for value in scores.values() if isinstance(value, float)
    )


def test_prepared_and_streamed_clips_are_the_same_samples(mine, tmp_path):
    data = Clips(root=str(mine), targets=["emotion"], columns={"participant": "person"})
    prepare(data, tmp_path / "out", ClipForm(num_frames=2, frame_size=64), shard_rows=7)
    direct = recipe_of("quickstart", mine, "--data.targets=[emotion]")
    shards = recipe_of("quickstart", tmp_path / "out", "--data.targets=[emotion]")
    corpora = [load_corpus(recipe.data, ["text", "audio", "video"], recipe.split) for recipe in (direct, shards)]
    assert corpora[1].prepared and corpora[0].facts == corpora[1].facts
    processor = build_processor(settled(direct, corpora[0]), corpora[0])
    one, other = (make_dataset(corpus, "train", processor, 1) for corpus in corpora)
    assert isinstance(other, PreparedDataset) and one.rows["key"] == other.rows["key"]
    for first, second in zip(one, other, strict=True):
        assert first["text"] == second["text"] and (first["video"] is None) == (second["video"] is None)
        if first["audio"] is not None:
            np.testing.assert_allclose(first["audio"], second["audio"], atol=2e-4)


def test_a_split_of_its_own_is_streamed(mine, tmp_path):
    lines = list(csv.DictReader(mine.open()))
    divided = mine.with_name("divided.csv")
    with divided.open("w", newline="") as file:
        table = csv.DictWriter(file, [*lines[0], "split"])
        table.writeheader()
        table.writerows(line | {"split": "dev" if i % 4 == 0 else "train"} for i, line in enumerate(lines))
    data = Clips(root=str(divided), targets=["emotion"])
    prepare(data, tmp_path / "out", ClipForm(num_frames=2, frame_size=64), shard_rows=7)
    recipe = recipe_of("quickstart", tmp_path / "out", "--data.targets=[emotion]", "--data.columns={}")
    corpus = load_corpus(
        Clips(root=str(tmp_path / "out"), targets=["emotion"]), ["text", "audio", "video"], streaming=5
    )
    processor = build_processor(settled(recipe, corpus), corpus)
    samples = make_dataset(corpus, "train", processor, 1)
    assert isinstance(samples, StreamedDataset) and len(list(samples)) == len(samples)


def test_a_data_set_of_ones_own_goes_the_whole_way(tmp_path, monkeypatch):
    """The one that docs/extending.md shows, in which the voice decides."""
    (tmp_path / "own_emodb.py").write_text(fences(EXTENDING)[0])
    monkeypatch.syspath_prepend(tmp_path)
    for i in range(40):
        tone = np.sin(2 * np.pi * 110 * (1 + i % 2) * np.arange(8000) / 16000)
        soundfile.write(tmp_path / f"{i % 5:02d}a{i:02d}{'FTA'[i % 3 if i < 3 else i % 2]}a.wav", tone, 16000)
    recipe = load_recipe(
        *("clips_audio", "--data=own_emodb.EmoDB", f"--data.root={tmp_path}", *SHORT),
        *("--data.without=[neutral, anger, fear, disgust, boredom]", "--training.epochs=2"),
    )
    results, corpus, _, model = trained(recipe, tmp_path)
    assert model.config.modalities == ["audio"] and model.config.label2id == {"joy": 0, "sadness": 1}
    assert corpus.protocol == "grouped_k_fold, fold 0"
    assert results["results"]["test"]["emotion"]["rows"] in (7, 8)  # those of one speaker
    assert prepare(recipe.data, tmp_path / "out", ClipForm())["statuses"] == {"all": {"kept": 39}}


class LeftHalf:
    """A detector: a face is what fills the left half of a frame that is not all dark."""

    def detect(self, image):
        height, width = image.shape[:2]
        return [Face((0, 0, width // 2, height), 0.9)] if image.max() > 60 else []


def test_only_the_faces_of_clips_and_pictures_are_seen_where_one_wants_that(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(faces, "default_detector", LeftHalf)
    recipe = recipe_of("quickstart", mine, "--data.targets=[emotion]", "--data.crop_faces=true")
    whole = recipe_of("quickstart", mine, "--data.targets=[emotion]")
    samples = []
    for one in (recipe, whole):
        corpus = load_corpus(one.data, modalities_of(one.model), one.split)
        processor = build_processor(settled(one, corpus), corpus)
        assert processor.crop_faces == one.data.crop_faces
        samples.append(make_dataset(corpus, "train", processor, 1))
    seen = [i for i in range(len(samples[0])) if samples[1][i]["video"] is not None]
    assert seen
    for i in seen:
        face, frame = samples[0][i]["video"], samples[1][i]["video"]
        assert face.shape[1] > 1.4 * face.shape[2] and frame.shape[1] < 1.4 * frame.shape[2]
    row = corpus.splits["train"][seen[0]]
    kept = prepare_clip(row, ClipForm(num_frames=2, frame_size=32, crop_faces=True))
    (height, width, _), *_ = [decode_image(frame).shape for frame in kept.video]
    assert width == 32 and height > 45
    dark = tmp_path / "dark.png"
    cv2.imwrite(str(dark), np.zeros((40, 40, 3), np.uint8))
    assert prepare_clip({"image_paths": [str(dark)]}, ClipForm(crop_faces=True)).status == "none"
    assert pictures_for(samples[0].processor, [np.zeros((40, 40, 3), np.uint8)]) is None


def test_what_was_prepared_whole_is_refused_where_faces_are_wanted(mine, tmp_path):
    data = Clips(root=str(mine), targets=["emotion"], columns={"participant": "person"})
    prepare(data, tmp_path / "out", ClipForm(num_frames=2, frame_size=64))
    recipe = recipe_of("quickstart", tmp_path / "out", "--data.targets=[emotion]", "--data.crop_faces=true")
    with pytest.raises(ValueError, match="prepared with crop_faces=False, and crop_faces=True"):
        load_corpus(recipe.data, modalities_of(recipe.model), recipe.split)
