"""Every flaw that is known of MELD is planted, and the builder's manifest finds each of them."""

import json
import re

import av
import numpy as np
import pytest

from affecthub.datasets_scripts.meld.builder import meld_manifest
from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld

SIZES = {"train": 6, "dev": 5, "test": 5}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """The same corpus without and with traps."""
    root = tmp_path_factory.mktemp("traps")
    return render_sample_meld(root, **SIZES), render_sample_meld(root, **SIZES, traps=True)


@pytest.fixture(scope="module")
def traps(corpora):
    listed = json.loads((corpora[1] / "planted_traps.json").read_text())
    return {(trap["trap"], trap["split"]): trap for trap in listed}


def test_the_rest_of_the_corpus_is_untouched(corpora):
    clean, trapped = corpora
    for clip in clean.rglob("*.mp4"):
        assert (trapped / clip.relative_to(clean)).read_bytes() == clip.read_bytes()
    assert (trapped / "cues.csv").read_bytes() == (clean / "cues.csv").read_bytes()
    assert (trapped / "train_sent_emo.csv").read_bytes().startswith((clean / "train_sent_emo.csv").read_bytes())


def test_every_listed_file_is_there_and_every_absent_one_is_not(corpora, traps):
    assert all((corpora[1] / trap["file"]).is_file() for trap in traps.values() if trap["file"])
    missing = traps["no clip", "dev"]["key"].removeprefix("dev/")
    assert not (corpora[1] / "dev_splits_complete" / f"{missing}.mp4").exists()


def test_broken_clips_cannot_be_opened(corpora, traps):
    for trap in traps.values():
        if trap["status"] == "broken":
            with pytest.raises(av.error.FFmpegError):
                av.open(corpora[1] / trap["file"])


def test_surround_speaks_from_the_centre(corpora, traps):
    with av.open(corpora[1] / traps["5.1 audio, voice in the centre", "train"]["file"]) as container:
        assert container.streams.audio[0].layout.name == "5.1"
        loudness = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1).std(axis=1)
    assert loudness.argmax() == 2 and np.delete(loudness, 2).max() < 0.01 * loudness[2]


def test_tables_hold_the_damage(corpora):
    train, dev = ((corpora[1] / f"{split}_sent_emo.csv").read_text(encoding="utf-8") for split in ("train", "dev"))
    assert "It\x92s over \x96 \x93over\x94, they said\x85" in train
    assert re.search(r'"00:\d\d:\d\d,\d{3}"', train) and not re.search(r'"00:\d\d:\d\d,\d{3}"', dev)
    assert re.search(r'"0:\d\d:\d\d,\d{3}"', dev)
    assert ",All," in dev and ",Amara and Bruno," in dev


def test_the_same_clip_is_in_two_splits(corpora, traps):
    pair = traps["the same clip is in test", "train"], traps["the same clip is in train", "test"]
    first, second = ((corpora[1] / trap["file"]).read_bytes() for trap in pair)
    assert first == second


def test_the_builder_finds_every_trap(corpora, traps, tmp_path):
    manifest = meld_manifest(corpora[1], cache_dir=tmp_path)
    by_key, by_file = manifest.set_index("key"), manifest.set_index("file")
    for trap in traps.values():
        if trap["key"]:
            assert by_key.loc[trap["key"], "status"] == trap["status"], trap
        elif trap["file"] and trap["file"].endswith(".mp4"):
            assert by_file.loc[trap["file"], "status"] == trap["status"], trap
    flawed = {trap["key"] or trap["file"] for trap in traps.values() if trap["status"] != "used"}
    found = manifest[manifest.status != "used"]
    assert set(found.key.fillna(found.file)) == flawed  # and it finds nothing else
