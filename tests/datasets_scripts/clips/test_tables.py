"""Tables that are broken say where."""

import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from affecthub.datasets_scripts.clips.tables import BATCH, open_table


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"file,label,label\nx,a,b\n", "2 columns are named 'label' \\(columns 2 and 3\\): rename one"),
        ("a.csv", b"file,,\n", "2 columns are named ''"),
        ("a.csv", b"", "the table is empty"),
        ("a.csv", b"\xef\xbb\xbf", "the table is empty"),
        ("a.csv", b"file,label\nx.wav,a\ny.wav,a,b\n", "row 2: 3 cells for 2 columns.*double quotes"),
        ("a.csv", b"file,label\nx.wav,J\xe9r\xf4me\n", r"b'\\xe9.*' is not utf-8-sig; save the table as UTF-8"),
        ("a.csv", b'file,label\n"x.wav,a\n' + b"y" * 2**25, "line 3: it has over 16,777,216 characters; .*"),
        (
            "a.csv",
            b'file,label\n"x.wav,a\n' + b"y\n" * 2**23,
            "line [0-9]+: field larger than field limit.*not closed",
        ),
        ("a.csv", b"file,label\nx.wav,a\0\n", "line 2: it holds a zero byte after 'x.wav,a'"),
        ("a.jsonl", b'{"file": "x"}\n{"file": \n', "row 2: no JSON"),
        ("a.jsonl", b'{"a": 1, "a": 2}\n', r"row 1: no JSON \(two values are named 'a': rename one"),
        ("a.jsonl", b'{"a": ' + b"9" * 5000 + b"}\n", "row 1: no JSON"),
        ("a.jsonl", b'{"a": "\\ud800"}\n', "row 1: no JSON"),
        ("a.jsonl", b"[1]\n", r"row 1: '\[1\]' is no JSON object"),
        ("a.jsonl", b"[" * 100_000, "row 1: no JSON"),
        ("a.jsonl", b"", "the table is empty"),
        ("a.parquet", b"PAR1 no", "no Parquet file that can be read"),
        ("a.xlsx", b"PK", "no table by its name"),
    ],
)
def test_a_broken_table_is_named_with_its_row(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        list(open_table(path).rows())


def test_two_columns_of_one_name_in_parquet(tmp_path):
    columns = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    pq.write_table(columns, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="2 columns are named 'a'"):
        open_table(tmp_path / "a.parquet")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="no regular file"):
        open_table(tmp_path / "a.csv")


def test_quoted_cells_hold_separators_and_line_breaks(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"Yes, I\nam","a;b"\n')
    assert list(open_table(tmp_path / "a.csv").rows()) == [(1, {"text": "Yes, I\nam", "label": "a;b"})]


def test_rows_of_json_may_lack_columns(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"b": [2]}\n')
    assert [row for _, row in open_table(tmp_path / "a.jsonl").rows()] == [{"a": 1, "b": None}, {"a": None, "b": [2]}]


def test_a_table_is_read_a_batch_at_a_time(tmp_path):
    pd.DataFrame({"a": range(BATCH * 2 + 1)}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"a": range(BATCH * 2 + 1)}).to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        found = open_table(tmp_path / name)
        assert [len(batch) for batch in found.batches()] == [BATCH, BATCH, 1]
        assert [number for number, _ in found.rows()][-1] == BATCH * 2 + 1


@pytest.mark.parametrize("texts", [["x" * 2**27, "y"], ["x" * 2**17] * BATCH], ids=["one long", "one in every row"])
def test_a_parquet_that_expands_is_refused_before_it_fills_the_memory(tmp_path, texts):
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(ValueError, match=r"a.parquet: its [\d,]+ bytes expand to 1\d\d,.* is the limit"):
        list(open_table(tmp_path / "a.parquet").rows())
