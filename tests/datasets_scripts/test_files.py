"""Folders that people pass, and rows that `datasets` keeps."""

import errno
import os

import pytest
from datasets.arrow_writer import ArrowWriter
from datasets.exceptions import DatasetGenerationError

from affecthub.datasets_scripts.files import fingerprint, rows_cached
from affecthub.datasets_scripts.meld.builder import load_meld
from affecthub.datasets_scripts.synthetic.utterances import render_sample_meld


def test_a_fingerprint_follows_tables_media_and_code(tmp_path):
    table, clip = tmp_path / "rows.csv", tmp_path / "clip.mp4"
    table.write_bytes(b"x")
    clip.write_bytes(b"x")

    def now(code="a", media=(clip,)):
        return fingerprint(tmp_path, [table], media, code)

    seen = [now()]
    assert now() == seen[0]
    seen.append(now(code="b"))
    state = table.stat()
    table.write_bytes(b"y")
    os.utime(table, ns=(state.st_atime_ns, state.st_mtime_ns))  # the same size and time, other bytes
    seen.append(now())
    os.utime(clip, (1, 1))
    seen.append(now())
    seen.append(now(media=()))
    gone, other = tmp_path / "gone.mp4", tmp_path / os.fsdecode(b"J\xf6rg.mp4")
    gone.symlink_to("nowhere")
    other.write_bytes(b"x")
    seen += [now(media=(gone,)), now(media=(other,))]
    assert len(set(seen)) == len(seen)


def test_a_full_disk_where_rows_are_kept_is_told(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    root = render_sample_meld(tmp_path / "meld", train=2, dev=1, test=1)
    monkeypatch.setattr(ArrowWriter, "write", full)
    with pytest.raises(OSError, match=r"rows cannot be kept there \(.*No space left.*free space.*HF_DATASETS_CACHE"):
        load_meld(root, config="text", cache_dir=tmp_path / "rows")


@pytest.mark.parametrize(
    ("cause", "kind", "said"),
    [
        (FileNotFoundError(2, "No such file", "a.wav"), FileNotFoundError, "a.wav"),
        (ValueError("a.csv: row 3"), ValueError, "^a.csv: row 3$"),
        (KeyError("label"), ValueError, "cannot be read by `datasets` .KeyError: 'label'"),
    ],
)
def test_what_a_builder_fails_by_is_told(cause, kind, said):
    with pytest.raises(kind, match=said), rows_cached():
        raise DatasetGenerationError("An error occurred") from cause
