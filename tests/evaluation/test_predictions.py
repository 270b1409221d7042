"""The file of predictions: what is written is read, by split, row and subset, and what is no such file is named."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from affecthub.evaluation.predictions import METADATA, list_column, predictions_of, read_predictions

TASKS = {
    "emotion": {"kind": "single_label", "labels": ["neutral", "joy"]},
    "valence": {"kind": "regression", "labels": ["valence"]},
}


@pytest.fixture
def predictions():
    """Two splits; the second holds five rows, of which three hold text and one holds nothing."""

    def part(count, present):
        rng = np.random.default_rng(count)
        return {
            "key": pa.array([f"clip {i}" for i in range(count)]),
            "participant": pa.array(["Zoë", None] * (count // 2) + ["<b>Bo</b>"] * (count % 2)),
            "present": pa.array(present, pa.list_(pa.string())),
            "reference.emotion": pa.array(np.arange(count) % 2),
            "logits.emotion": list_column(rng.normal(size=(count, 2)).astype(np.float32)),
            "reference.valence": list_column(np.linspace(0, 1, count, dtype=np.float32)[:, None]),
            "logits.valence": list_column(rng.normal(size=(count, 1)).astype(np.float32)),
        }

    test = part(5, [["text"], ["text", "audio"], ["audio"], [], ["text"]])
    test["logits.emotion.text"] = list_column(np.ones((3, 2), np.float32), np.array([0, 1, 4]), 5)
    facts = {"data": "mine", "synthetic": True, "unit": "clips", "protocol": "fixed", "architecture": "x"}
    return predictions_of(
        {"train": part(2, [["text"], ["audio"]]), "test": test},
        TASKS,
        **facts,
        modalities=["text", "audio"],
        subsets=[["text"], ["audio"]],
    )


def test_what_is_written_is_read(predictions, tmp_path):
    predictions.write(tmp_path / "predictions.parquet")
    read = read_predictions(tmp_path)
    assert read.facts == predictions.facts
    assert read.table.replace_schema_metadata(None).equals(predictions.table)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.parquet"]


def test_any_version_of_arrow_reads_it_and_what_was_written_once_with_fixed_sizes_too(predictions, tmp_path):
    path = predictions.write(tmp_path / "predictions.parquet")
    kinds = {str(field.type) for field in predictions.table.schema}
    assert not [kind for kind in kinds if kind.startswith("fixed_size_list")]  # 25.0 cannot read their nulls
    table = pq.read_table(path)
    for name, width in (("logits.emotion", 2), ("logits.emotion.text", 2), ("logits.valence", 1)):
        fixed = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(7.0 * width)), width)
        table = table.set_column(table.column_names.index(name), name, fixed.cast(pa.list_(pa.float32(), width)))
    pq.write_table(table, path)
    assert read_predictions(path).logits("emotion", ["text"]).tolist() == np.arange(14.0).reshape(7, 2).tolist()


@pytest.mark.parametrize("name", ["logits.emotion", "logits.emotion.text", "reference.valence"])
def test_a_list_of_another_length_is_named(predictions, tmp_path, name):
    place = predictions.table.column_names.index(name)
    longer = predictions.table[name].to_pylist()[:-1] + [[1.0, 2.0, 3.0]]
    table = predictions.table.set_column(place, name, pa.array(longer, pa.list_(pa.float32())))
    predictions.table = table
    with pytest.raises(
        ValueError, match=f"column {name} holds list<element: float> of [12] and 3, and not .* of [12]"
    ):
        read_predictions(predictions.write(tmp_path / "predictions.parquet"))


def test_rows_are_told_by_split_and_by_what_they_held(predictions):
    test = predictions.of("test")
    assert predictions.splits == ["train", "test"]
    assert (len(predictions), len(test)) == (7, 5)
    assert test.holding(["audio"]).tolist() == [False, True, True, False, False]
    assert test.holding(["text", "audio"]).tolist() == [True, True, True, False, True]
    assert test.take(test.holding(["audio"])).column("key").tolist() == ["clip 1", "clip 2"]
    assert test.column("participant").tolist() == ["Zoë", None, "Zoë", None, "<b>Bo</b>"]
    assert test.column("dialogue") is None
    with pytest.raises(ValueError, match="no predictions of a split 'validation'; those there are: .*test"):
        predictions.of("validation")


def test_references_and_logits_keep_their_kinds(predictions):
    test = predictions.of("test")
    assert test.references("emotion").tolist() == [0, 1, 0, 1, 0]
    np.testing.assert_array_equal(test.references("valence"), np.linspace(0, 1, 5, dtype=np.float32)[:, None])
    assert test.logits("emotion").dtype == np.float32
    np.testing.assert_array_equal(test.logits("emotion", ["audio", "text"]), test.logits("emotion"))


def test_a_subset_says_nothing_of_rows_without_it(predictions):
    given = predictions.of("test").logits("emotion", ["text"])
    assert np.isnan(given).all(axis=1).tolist() == [False, False, True, True, False]
    assert (given[[0, 1, 4]] == 1).all()
    assert np.isnan(predictions.of("train").logits("emotion", ["text"])).all()


def test_what_is_no_file_of_predictions_is_named(predictions, tmp_path):
    with pytest.raises(FileNotFoundError, match="train anew"):
        read_predictions(tmp_path)
    path = predictions.write(tmp_path / "predictions.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="predictions.parquet cannot be read .*cut off"):
        read_predictions(path)
    pq.write_table(predictions.table, path)
    with pytest.raises(ValueError, match="holds no predictions of affecthub"):
        read_predictions(path)
    later = json.dumps(predictions.facts | {"version": 99}).encode()
    pq.write_table(predictions.table.replace_schema_metadata({METADATA: later}), path)
    with pytest.raises(ValueError, match="version 99, and this reads version 1"):
        read_predictions(path)
