"""Whatever a table or an archive holds, it is read, or refused in a sentence that names the file, in bounded time."""

import csv
import gzip
import io
import json
import re
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from affecthub.datasets_scripts.clips.features import read_sequence
from affecthub.datasets_scripts.clips.tables import open_table
from affecthub.datasets_scripts.genex.align import align
from affecthub.datasets_scripts.genex.clocks import on_one_clock
from affecthub.datasets_scripts.genex.manifest import FINDINGS
from affecthub.datasets_scripts.genex.recordings import signals_of
from affecthub.datasets_scripts.genex.study import Study
from affecthub.datasets_scripts.genex.tables import (
    AFFDEX,
    ATTENTION_SUMMARY,
    FIXATION,
    NAME,
    PEAK,
    RANGES,
    read_study_tables,
)
from affecthub.datasets_scripts.meld.annotations import COLUMNS, read_annotations
from affecthub.datasets_scripts.meld.archives import unpack

SLOWEST = 10.0
"""s, for any of them."""

CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            " ",
            "0",
            "-1",
            "0,5",
            "1.240,5",
            "1e9",
            "1e400",
            "inf",
            "nan",
            "NaN",
            "2147483648",
            "9" * 400,
            "٣",
            "1_0",
        ]
    ),
    st.sampled_from(
        ["A 1", "joy", "Joy", "neutral", "train", "0:00:01,5", "00:61:00,000", '"', '"a', "a\nb", "\0", "\ufeff"]
    ),
    st.integers(-10, 10_000).map(str),
    st.floats().map(str),
)

BENDS = ("flip", "cut", "double", "splice", "bom", "utf16", "delimiter", "crlf")


def changed(content, draw):
    """Bytes as they are, or bent as disks, editors and mistakes bend them."""
    for kind in draw(st.lists(st.sampled_from(BENDS), max_size=2)):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        if kind == "flip" and content:
            content = content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "double":
            content = content[:at] + content
        elif kind == "splice":
            content = content[:at] + draw(st.binary(max_size=30)) + content[at:]
        elif kind == "bom":
            content = b"\xef\xbb\xbf" + content
        elif kind == "utf16":
            content = content.decode("utf-8", "replace").encode("utf-16")
        elif kind == "delimiter":
            content = content.replace(b",", draw(st.sampled_from([b";", b"\t", b"|"])))
        else:
            content = content.replace(b"\n", b"\r")
    return content


@st.composite
def tables(draw, *headers, above=0):
    """A CSV of one of the headers, its columns doubled, dropped and exchanged, its rows ragged."""
    names = list(draw(st.sampled_from(headers)))
    if draw(st.integers(0, 3)) == 0:
        names = draw(st.lists(st.sampled_from([*names, "", "other"]), max_size=len(names) + 2))
    rows = draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=6))
    if rows and draw(st.integers(0, 2)) == 0:
        rows[0] = rows[0][: draw(st.integers(0, len(names)))] + draw(st.lists(CELLS, max_size=2))
    rows += rows[: draw(st.integers(0, 1))]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([*[["#Line", "x"]] * above, names, *rows])
    return changed(file.getvalue().encode(errors="replace"), draw)


def read(path, reader):
    """What a reader gives; None where it refuses in a sentence that names the file."""
    began = time.monotonic()
    try:
        return reader(path)
    except (ValueError, FileNotFoundError) as error:
        assert path.name in str(error) and re.search(r"[.;:] *[a-z]", str(error), re.IGNORECASE), repr(error)
        assert not isinstance(error, UnicodeError), repr(error)
    finally:
        assert time.monotonic() - began < SLOWEST
    return None


@given(content=tables(COLUMNS))
def test_annotations(folder, content):
    path = folder / "train_sent_emo.csv"
    path.write_bytes(content)
    for row in read(path, lambda p: read_annotations(p, "train")) or ():
        assert 0 <= row.dialogue_id < 10**9 and 0 <= row.start <= row.end + 0.25


@given(
    content=tables(("file", "label", "text"), ("text", "emotion", "split", "turn")),
    kind=st.sampled_from(["csv", "tsv"]),
)
def test_clips(folder, content, kind):
    path = folder / f"clips.{kind}"
    path.write_bytes(content)
    found = read(path, lambda p: (open_table(p), list(open_table(p).rows())))
    if found:
        assert len({*found[0].columns}) == len(found[0].columns)
        assert all(list(row) == found[0].columns for _, row in found[1])


@given(data=st.data())
def test_json_lines(folder, data):
    values = st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    )
    rows = data.draw(st.lists(st.dictionaries(st.text(max_size=3), values, max_size=3), max_size=4))
    path = folder / "clips.jsonl"
    path.write_bytes(changed("\n".join(json.dumps(row) for row in rows).encode(), data.draw))
    read(path, lambda p: list(open_table(p).rows()))


@given(data=st.data())
def test_parquet(folder, data):
    path, buffer = folder / "clips.parquet", io.BytesIO()
    pq.write_table(pa.table({"file": ["a.wav", "b.wav"], "label": ["joy", None], "x": [[1.0], []]}), buffer)
    path.write_bytes(changed(buffer.getvalue(), data.draw))
    read(path, lambda p: list(open_table(p).rows()))


@given(data=st.data())
def test_features(folder, data):
    buffer, save = io.BytesIO(), data.draw(st.sampled_from([np.save, np.savez]))
    kind = data.draw(st.sampled_from(["f4", "f8", "i8", "c8", "U3", "?"]))
    save(buffer, np.zeros(data.draw(st.lists(st.integers(0, 3), max_size=3)), kind))
    path = folder / "a.npy"
    path.write_bytes(changed(buffer.getvalue(), data.draw))
    found = read(path, read_sequence)
    assert not found or (found[0].ndim == 2 and not np.isinf(found[0]).any())


FILES = {
    "FEAExpressionTable.csv": (NAME, "Stimulus Label", "Expression Type", "Expression Onset", "Expression Offset"),
    "FixationTable.csv": (NAME, *FIXATION),
    "GSRPeakTable.csv": (NAME, *PEAK),
    "Multimodal summary metrics.csv": (NAME, ATTENTION_SUMMARY),
    "A 1.csv": ("Timestamp", "Joy", "Attention", "Valence", "EventSource"),
}


@given(data=st.data())
def test_a_study(folder, data):
    root = folder / "study"
    root.mkdir(exist_ok=True)
    for name, header in FILES.items():
        (root / name).write_bytes(data.draw(tables(header, above=data.draw(st.integers(0, 2)))))
    began = time.monotonic()
    found = read_study_tables(root, Study())
    assert {note.finding for note in found.notes} <= FINDINGS.keys()
    for participant in [*found.participants()][:2]:
        signals = signals_of(found, participant, "", first=True)
        for name in AFFDEX:
            values = signals.sensor[name].dropna() if name in signals.sensor else ()
            assert all(RANGES[name][0] <= value <= RANGES[name][1] for value in values)
        signals, _ = on_one_clock(signals, 5000)
        aligned = align(signals, np.arange(0.0, 5000, 500))
        for values in (aligned.attention, aligned.targets, aligned.features[:, :28]):
            assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()
        assert (aligned.features[:, 28:] >= 0)[~np.isnan(aligned.features[:, 28:])].all()
    assert time.monotonic() - began < SLOWEST


NAMES = st.sampled_from(
    ["a", "b/c", "b", "../x", "/etc/x", "a/../../x", "", ".", "x" * 300, "é", "train_splits/a.mp4"]
)


@given(data=st.data())
def test_an_archive(data):
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as plain, tarfile.open(fileobj=plain, mode="w") as tar:
        for name in data.draw(st.lists(NAMES, max_size=4)):
            member = tarfile.TarInfo(name)
            member.type = data.draw(st.sampled_from([tarfile.REGTYPE] * 4 + [bytes([kind]) for kind in b"123456"]))
            member.linkname = data.draw(NAMES)
            content = data.draw(st.binary(max_size=50)) if member.type == tarfile.REGTYPE else b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with tempfile.TemporaryDirectory() as outer:
        root = Path(outer) / "root"
        root.mkdir()
        path = root / "train.tar.gz"
        path.write_bytes(changed(raw.getvalue(), data.draw))
        made = read(path, unpack)
        assert {entry.name for entry in Path(outer).iterdir()} == {"root"}
        assert {entry.name for entry in root.iterdir()} == {"train.tar.gz", *(["train"] if made else [])}
