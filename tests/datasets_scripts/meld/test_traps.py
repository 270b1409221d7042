"""The builder against the synthetic corpus with every flaw planted that is known of the real one."""

import json

import pytest

from affecthub.datasets_scripts.meld.builder import load_meld, meld_manifest
from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return render_sample_meld(tmp_path_factory.mktemp("corpus"), train=12, dev=8, test=8, traps=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def planted(corpus):
    """The planted flaws that a clip or a row shows; the others concern a whole table."""
    traps = json.loads((corpus / "planted_traps.json").read_text())
    return [trap for trap in traps if trap["key"] or (trap["file"] or "").endswith(".mp4")]


@pytest.fixture(scope="module")
def manifest(corpus, cache):
    return meld_manifest(corpus, cache_dir=cache)


@pytest.fixture(scope="module")
def rows(corpus, cache):
    return {row["key"]: row for split in load_meld(corpus, cache_dir=cache).values() for row in split}


def test_every_planted_flaw_is_found(planted, manifest):
    by_key, by_file = manifest.set_index("key"), manifest.set_index("file")
    for trap in planted:
        found = by_key.loc[trap["key"]] if trap["key"] else by_file.loc[trap["file"]]
        assert found.status == trap["status"], trap["trap"]
        if trap["key"] and trap["file"]:
            assert found.file == trap["file"], trap["trap"]
    assert {trap["status"] for trap in planted} >= {"broken", "missing", "too_short", "too_long", "in_two_splits"}


def test_nothing_else_is_found(planted, manifest):
    flawed = manifest[manifest.status != "used"]
    names = {name for trap in planted if trap["status"] != "used" for name in (trap["key"], trap["file"]) if name}
    assert {*flawed.key.dropna(), *flawed.file.dropna()} == names


def test_every_row_is_there_with_its_text(corpus, manifest, rows):
    tables = [corpus / f"{split}_sent_emo.csv" for split in ("train", "dev", "test")]
    lines = sum(table.read_bytes().count(b"\n") - 1 for table in tables)
    assert len(rows) == manifest.key.notna().sum() == lines
    assert all(row["text"] for row in rows.values())


def test_usable_media_has_a_path_and_other_media_none(corpus, planted, rows):
    unusable = {trap["key"] for trap in planted if trap["status"] in ("missing", "broken")}
    assert {key for key, row in rows.items() if not row["video_present"]} == unusable
    assert {key for key, row in rows.items() if row["video_path"] is None} == unusable
    silent = {trap["key"] for trap in planted if trap["status"] == "no_audio_track"}
    assert {key for key, row in rows.items() if row["audio_path"] is None} == unusable | silent
    assert all(rows[key]["video_status"] == "used" for key in silent)


def test_old_text_is_mended(planted, manifest, rows):
    (trap,) = [trap for trap in planted if "Windows-1252" in trap["trap"]]
    assert f"{manifest.set_index('key').mended_characters[trap['key']]} Windows-1252" in trap["trap"]
    assert rows[trap["key"]]["text"] == "It’s over – “over”, they said…"


def test_the_plain_policy_takes_the_other_twin(corpus, planted, tmp_path):
    plain = meld_manifest(corpus, twin_policy="plain", cache_dir=tmp_path).set_index("file").status
    for trap in planted:
        if "twins" in trap["trap"]:
            assert plain[trap["file"]] == ("duration_mismatch" if trap["status"] == "superseded" else "superseded")
