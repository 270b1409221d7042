"""Rows become samples and batches: presence, augmentation, what is broken, what is hidden."""

import io
import itertools
import logging
import threading
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from affecthub.datasets_scripts.corpus import SINGLE, Corpus, Target, load_corpus
from affecthub.datasets_scripts.meld.corpus import Meld
from affecthub.datasets_scripts.synthetic.corpora import SampleMeld
from affecthub.media import container
from affecthub.training import collator as batches
from affecthub.training import trainer as run_module
from affecthub.training.augmentation import LIGHT, SPEECH, SpecAugment
from affecthub.training.clips import ClipDataset
from affecthub.training.collator import Collator, naming_stuck_workers
from affecthub.training.encoder_cache import encoders as frozen_encoders
from affecthub.training.encoder_cache.run import use_encoder_cache
from affecthub.training.from_recipe import build_model
from affecthub.training.fsdp import blank_sample
from affecthub.training.recipe import AugmentationRecipe, load_recipe
from affecthub.training.trainer import make_trainer

EMOTIONS = ["neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"]
TARGETS = (Target("emotion", "emotion", EMOTIONS, SINGLE),)
SENTIMENT = Target("sentiment", "sentiment", ["neutral", "positive", "negative"], SINGLE)
MEDIA = ("audio", "video")
EVERYTHING = AugmentationRecipe(
    temporal_jitter=True,
    audio=SPEECH,
    frames=LIGHT,
    features=SpecAugment(time_masks=2, frequency_masks=2),
)


@pytest.fixture(scope="module")
def rows(corpus):
    """Six rows, all of whose clips are whole."""
    return corpus.splits["train"].select(range(6))


@pytest.fixture(scope="module")
def patchy(rows, tmp_path_factory):
    """The rows with: no clip; no video track; no audio track; a clip whose bytes are no video; two whole ones."""
    broken = tmp_path_factory.mktemp("broken") / "dia9_utt9.mp4"
    broken.write_bytes(b"no video at all" * 100)

    def change(row, index):
        for medium, missing in (("video", (0, 1)), ("audio", (0, 2))):
            if index in missing:
                row |= {f"{medium}_path": None, f"{medium}_present": False}
            elif index == 3:
                row[f"{medium}_path"] = str(broken)
        return row

    return rows.map(change, with_indices=True)


def samples_equal(one, other):
    return all(
        one[key] is other[key] is None or np.array_equal(one[key], other[key])
        for key in ("text", "audio", "video", "labels")
    )


def test_a_sample_holds_what_the_processor_takes(rows, processor):
    sample = ClipDataset(rows, TARGETS, processor)[0]
    assert sample["text"] == rows[0]["text"]
    assert sample["audio"].dtype == np.float32 and sample["audio"].ndim == 1
    assert sample["video"].dtype == np.uint8
    assert sample["video"].shape[0] == 2 and min(sample["video"].shape[1:3]) == 32
    seconds = rows[0]["end"] - rows[0]["start"]
    assert len(sample["audio"]) == pytest.approx(16_000 * seconds, abs=1600)
    assert sample["labels"] == rows[0]["emotion"]
    assert sample["draw"] is None


def test_missing_media_are_absent_in_the_batch_and_the_others_are_not(patchy, processor):
    data = ClipDataset(patchy, TARGETS, processor)
    batch = Collator(processor, SpecAugment())([data[i] for i in range(6)])
    assert batch["text_present"].tolist() == [1, 1, 1, 1, 1, 1]
    assert batch["audio_present"].tolist() == [0, 1, 0, 0, 1, 1]
    assert batch["video_present"].tolist() == [0, 0, 1, 0, 1, 1]
    assert batch["labels"].tolist() == patchy["emotion"]
    two = ClipDataset(patchy, (*TARGETS, SENTIMENT), processor)
    labels = Collator(processor, SpecAugment())([two[i] for i in range(6)])["labels"]
    assert {name: values.tolist() for name, values in labels.items()} == {
        name: patchy[name] for name in ("emotion", "sentiment")
    }


def test_what_a_row_counts_goes_with_it(rows, processor):
    weighted = rows.add_column("weight", [0.5, 1.0, 1.0, 2.0, 1.0, 1.0])
    data = ClipDataset(weighted, TARGETS, processor).only(["text"])
    batch = Collator(processor, SpecAugment())([data[i] for i in (0, 3)])
    assert batch["sample_weights"].tolist() == [0.5, 2.0] and batch["sample_weights"].dtype == torch.float32


@pytest.mark.parametrize("preload", [False, True])
def test_a_clip_that_breaks_while_decoding_is_counted_once_and_its_text_is_used(patchy, processor, preload, caplog):
    data = ClipDataset(patchy, TARGETS, processor, preload=preload)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):  # epochs
            sample = [data[i] for i in range(6)][3]
    assert (sample["text"], sample["audio"], sample["video"]) == (patchy[3]["text"], None, None)
    assert data.failures == 1
    if not preload:
        message = caplog.messages[0]
        assert patchy[3]["key"] in message and "dia9_utt9.mp4" in message and "used without its media" in message


def test_failures_in_worker_processes_are_counted_too(patchy, processor):
    data = ClipDataset(patchy, TARGETS, processor)
    collator = Collator(processor, SpecAugment())
    batches = list(torch.utils.data.DataLoader(data, 3, collate_fn=collator, num_workers=2))
    assert [batch["video_present"].tolist() for batch in batches] == [[0, 0, 1], [0, 1, 1]]
    assert data.failures == 1


def test_preloaded_samples_equal_those_decoded_on_demand(rows, processor):
    lazy = ClipDataset(rows, TARGETS, processor)
    eager = ClipDataset(rows, TARGETS, processor, preload=True)
    assert all(samples_equal(lazy[i], eager[i]) for i in range(6))


def test_augmentation_follows_from_seed_epoch_and_index_alone(rows, processor):
    def make(seed=0, epoch=0):
        data = ClipDataset(rows, TARGETS, processor, EVERYTHING, seed)
        data.set_epoch(epoch)
        return data

    reference = make()
    first = [reference[i] for i in range(6)]
    again = make()
    assert all(samples_equal(first[i], again[i]) for i in reversed(range(6)))  # the order of asking does not matter
    for other in (make(seed=1), make(epoch=1)):
        changed = other[0]
        assert not np.array_equal(changed["video"], first[0]["video"])
        assert changed["audio"].shape != first[0]["audio"].shape or not np.allclose(
            changed["audio"], first[0]["audio"]
        )
        assert changed["text"] == first[0]["text"]
    assert first[0]["draw"] == [0, 0, 0] and first[5]["draw"] == [0, 0, 5]


def test_the_number_of_workers_changes_no_batch(rows, processor):
    data = ClipDataset(rows, TARGETS, processor, EVERYTHING, seed=3)
    data.set_epoch(2)
    collator = Collator(processor, EVERYTHING.features)
    alone, shared = (list(torch.utils.data.DataLoader(data, 2, collate_fn=collator, num_workers=n)) for n in (0, 2))
    for one, other in zip(alone, shared, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_evaluation_is_not_augmented(rows, processor):
    data = ClipDataset(rows, TARGETS, processor, None, seed=0)
    first = data[0]
    data.set_epoch(5)
    assert samples_equal(first, data[0])
    masked, plain = (Collator(processor, s)([data[0], data[1]]) for s in (EVERYTHING.features, SpecAugment()))
    assert torch.equal(masked["input_features"], plain["input_features"])


def test_specaugment_masks_features_of_training_samples_and_stays_within_the_clip(rows, processor):
    data = ClipDataset(rows, TARGETS, processor, AugmentationRecipe(features=EVERYTHING.features))
    samples = [data[i] for i in range(6)]
    masked, plain = (Collator(processor, s)(samples) for s in (EVERYTHING.features, SpecAugment()))
    differs = (masked["input_features"] != plain["input_features"]).any(-1)
    assert differs.any(1).all()
    assert not differs[plain["feature_attention_mask"] == 0].any()
    assert torch.equal(masked["feature_attention_mask"], plain["feature_attention_mask"])


def test_only_hides_the_others_and_leaves_out_what_has_nothing_left(patchy, processor):
    data = ClipDataset(patchy, TARGETS, processor, preload=True)
    seen = data.only(["video"])
    kept = [2, 4, 5]  # 0 and 1 have no video, 3 cannot be decoded
    assert [row["key"] for row in seen.rows] == [patchy[i]["key"] for i in kept]
    whole = seen[kept.index(4)]
    assert (whole["text"], whole["audio"]) == (None, None)
    assert np.array_equal(whole["video"], data[4]["video"])
    assert whole["labels"] == patchy[4]["emotion"]
    assert len(data) == 6 and data[4]["text"] is not None  # the original is untouched
    assert len(data.only(["text"])) == 6
    assert len(data.only(["audio", "video"])) == 4


def test_a_sample_that_has_nothing_left_is_left_out_of_its_batch(patchy, processor):
    data = ClipDataset(patchy, TARGETS, processor).only(["audio", "video"])
    batch = Collator(processor, SpecAugment())([data[i] for i in range(5)])  # the third cannot be decoded
    assert batch["labels"].tolist() == [patchy[i]["emotion"] for i in (1, 2, 4, 5)]
    assert batch["video_present"].tolist() == [0, 1, 1, 1]
    assert data.failures == 1
    assert len(data.only(["video"])) == 3  # now it is known


def test_only_decodes_no_modality_that_is_hidden(rows, processor):
    data = ClipDataset(rows.map(lambda row: {"video_path": "gone.mp4", "audio_path": "gone.mp4"}), TARGETS, processor)
    assert data.only(["text"])[0]["text"] == rows[0]["text"]
    assert data.failures == 0


@pytest.mark.parametrize("limit", [5, 1000])
def test_the_limit_holds_for_every_split(tiny, limit):
    corpus = load_corpus(tiny(f"--data.limit={limit}").data, ["text"])
    assert {name: len(split) for name, split in corpus.splits.items()} == {
        name: min(limit, size) for name, size in {"train": 48, "validation": 16, "test": 16}.items()
    }


def test_the_corpus_knows_what_a_report_has_to_say(corpus):
    assert isinstance(corpus, Corpus)
    assert corpus.synthetic and "synthetic" in corpus.name
    assert set(corpus.bayes_accuracy) == {
        frozenset(subset) for size in (1, 2, 3) for subset in itertools.combinations(("text", "audio", "video"), size)
    }
    (emotion,) = corpus.targets
    assert emotion.labels == ["neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"]
    assert corpus.skipped == {}


def test_the_targets_are_those_that_are_asked_for(tiny):
    sentiment, emotion = load_corpus(tiny("--data.targets=[sentiment,emotion]").data, ["text"]).targets
    assert (sentiment.labels, len(emotion.labels)) == (["neutral", "positive", "negative"], 7)


def test_rows_without_any_of_the_modalities_are_left_out_and_counted(corpus, tiny):
    first = next(iter(corpus.splits["train"]))["video_path"]
    with pytest.MonkeyPatch.context() as patch:
        changed = corpus.splits | {"train": corpus.splits["train"].map(hide)}
        patch.setattr(SampleMeld, "build", lambda self, modalities: changed)
        found = load_corpus(tiny().data, ["audio", "video"])
        kept = load_corpus(tiny().data, ["text", "video"])
    assert (len(found.splits["train"]), found.skipped) == (46, {"train utterances without any of audio, video": 2})
    assert first not in found.splits["train"]["video_path"]
    assert (len(kept.splits["train"]), kept.skipped) == (48, {})


def test_rows_whose_label_is_not_known_are_left_out_and_counted(corpus, tiny, monkeypatch):
    unlabelled = corpus.splits["train"].map(
        lambda row, i: {"emotion": -1 if i < 3 else row["emotion"]}, with_indices=True
    )
    monkeypatch.setattr(SampleMeld, "build", lambda self, modalities: corpus.splits | {"train": unlabelled})
    found = load_corpus(tiny().data, ["text"])
    assert (len(found.splits["train"]), found.skipped) == (45, {"train utterances whose emotion is not known": 3})


def hide(row, hidden=("train/dia0_utt0", "train/dia0_utt1")):
    absent = row["key"] in hidden
    return {f"{name}_present": not absent for name in MEDIA} | {
        f"{name}_path": None if absent else row[f"{name}_path"] for name in MEDIA
    }


def test_meld_without_a_folder_says_what_to_pass():
    with pytest.raises(ValueError, match="The data set Meld needs its folder: pass --data.root=PATH"):
        load_corpus(load_recipe("meld_text").data, ["text"])


def test_a_folder_without_a_training_table_says_so(sample_root, tmp_path):
    corpus = next(sample_root.glob("synthetic_sample_meld-*"))
    (tmp_path / "test_sent_emo.csv").write_bytes((corpus / "test_sent_emo.csv").read_bytes())
    with pytest.raises(ValueError, match=r"MELD: no row of the split 'train', only {'test': 16}.*grouped_k_fold"):
        load_corpus(Meld(root=str(tmp_path)), ["text"])


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/MELD: no such folder"):
        load_corpus(Meld(root=str(tmp_path / "MELD")), ["text"])


def test_a_clip_that_takes_too_long_counts_as_undecodable(rows, processor, tmp_path, monkeypatch, caplog):
    clip = tmp_path / "endless.mp4"
    clip.write_bytes(_as_stream(rows[0]["video_path"]) * 40)
    monkeypatch.setattr(container, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    data = ClipDataset(rows.map(lambda row: {"video_path": str(clip), "audio_path": str(clip)}), TARGETS, processor)
    with caplog.at_level(logging.WARNING):
        sample = data[2]
    assert sample["text"] == rows[2]["text"] and sample["video"] is None and sample["audio"] is None
    assert data.failures == 1 and "endless.mp4: not read within 60 s" in caplog.text


def _as_stream(path):
    """A clip's pictures in a format that can be read from its middle on."""
    target = io.BytesIO()
    with av.open(path) as clip, av.open(target, "w", format="mpegts") as stream:
        pictures = stream.add_stream_from_template(clip.streams.video[0])
        for packet in clip.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                stream.mux(packet)
    return target.getvalue()


class HangingDataset(ClipDataset):
    """Deep in a library, decoding waits for ever."""

    def media(self, row, rng):
        threading.Event().wait()


@pytest.mark.parametrize("frozen", [False, True], ids=["training", "encoding"])
def test_a_worker_that_hangs_ends_the_run_with_a_sentence(tiny, corpus, processor, tmp_path, monkeypatch, frozen):
    for module in (batches, run_module, frozen_encoders):
        monkeypatch.setattr(module, "BATCH_LIMIT", 2.0)
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.1)
    monkeypatch.setenv("AFFECTHUB_CACHE", str(tmp_path / "cache"))
    data = HangingDataset(corpus.splits["train"], TARGETS, processor)
    recipe = tiny(
        *("--training.num_workers=1", "--inputs.preload=false"),
        *(["--training.phases=[{start_epoch: 0, encoder_layers: 0}]"] if frozen else []),
    )
    trainer = make_trainer(build_model(recipe, corpus, processor), recipe, tmp_path, corpus, data, data)
    with (
        pytest.raises(TimeoutError, match="within 2 s: the decoder hangs in a clip.*`affecthub prepare`"),
        naming_stuck_workers(),
    ):
        use_encoder_cache(trainer, {"train": data}, recipe)
        trainer.train()


def test_with_a_blank_a_batch_has_every_modality_and_the_same_figures(rows, processor, tiny, corpus):
    samples = [dict(ClipDataset(rows, TARGETS, processor)[i], video=None) for i in range(3)]
    plain, filled = (Collator(processor, SpecAugment()) for _ in range(2))
    filled.blank = blank_sample(processor)
    expected, found = plain(samples), filled(samples)
    assert "video_present" not in expected and found["video_present"].tolist() == [0, 0, 0]
    assert {len(values) for values in found.values()} == {3}
    model = build_model(tiny(), corpus, processor).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(**found).logits, model(**expected).logits)
