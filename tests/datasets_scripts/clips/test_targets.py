"""Labels, numbers and votes are read as what they are, or refused with their row."""

import numpy as np
import pytest

from affecthub.datasets_scripts.clips.corpus import Clips
from affecthub.datasets_scripts.clips.targets import TargetReader
from affecthub.datasets_scripts.corpus import MULTI, REGRESSION, SINGLE


@pytest.fixture
def target(tmp_path, table):
    """A function: the target and the values that cells of a table give."""

    def read(cells, **options):
        path = table(tmp_path / "t.csv", [{"text": "x", "label": cell} for cell in cells])
        data = Clips(root=str(path), **options)
        corpus = data.describe(data.build(["text"]))
        found = corpus.targets[0]
        return found, found.values(corpus.splits["clips"])

    return read


def test_labels(target):
    found, values = target(["joy", "anger", "", "n/a", " joy "])
    assert (found.problem_type, found.labels, found.soft) == (SINGLE, ["anger", "joy"], False)
    assert values.tolist() == [1, 0, -100, -100, 1]


def test_labels_in_an_order_of_ones_own(target):
    found, values = target(["joy", "anger"], labels={"label": ["joy", "fear", "anger"]})
    assert found.labels == ["joy", "fear", "anger"] and values.tolist() == [0, 2]


def test_several_labels(target):
    found, values = target(["joy|surprise", "joy", "|", ""])
    assert (found.problem_type, found.labels) == (MULTI, ["joy", "surprise"])
    np.testing.assert_array_equal(values, [[1, 1], [1, 0], [0, 0], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("cells", "coded", "values"),
    [
        ([["joy", None], ["anger"], [None], ["nan"], [], None], (), [[1], [0], None, None, [], None]),
        ([[1, -1], [0], [-1], [None], [], None], ("anger", "joy"), [[1], [0], None, None, [], None]),
        ([{"joy": 1, "anger": None}, {"joy": np.nan, "anger": 2}], (), [dict(anger=0, joy=1), dict(anger=1, joy=0)]),
    ],
)
def test_what_is_unknown_within_a_cell_is_no_label(cells, coded, values):
    reader = TargetReader("label", ("label",), coded=coded)
    for cell in cells:
        reader.see({"label": cell}, "")
    reader.settle()
    assert list(reader.classes) == ["anger", "joy"]
    assert [reader.convert({"label": cell}, "") for cell in cells] == values


def test_numbers(target):
    found, values = target(["0.5", "-1", "", "NaN"])
    assert (found.problem_type, found.labels) == (REGRESSION, ["label"])
    np.testing.assert_array_equal(values[:, 0], [0.5, -1, np.nan, np.nan])


def test_shares_and_votes_in_a_cell(target):
    found, values = target(["joy:3|anger:1", "anger: 0.25|joy: 0.75", "joy:1", "", "joy:0"])
    assert (found.problem_type, found.labels, found.soft) == (SINGLE, ["anger", "joy"], True)
    np.testing.assert_allclose(values, [[0.25, 0.75], [0.25, 0.75], [0, 1], [np.nan] * 2, [np.nan] * 2])


def test_whole_numbers_of_a_scale_and_of_classes(target):
    with pytest.raises(ValueError, match=r"whole numbers \(.*row 1: '3'\), which may be classes or a scale"):
        target(["3", "7", "9"])
    scale, values = target(["3", "7", "9"], kinds={"label": "number"})
    assert scale.problem_type == REGRESSION and values[:, 0].tolist() == [3, 7, 9]
    classes, values = target(["3", "7", "10"], kinds={"label": "label"})
    assert classes.labels == ["3", "7", "10"] and values.tolist() == [0, 1, 2]
    assert target(["0", "1", "1"])[0].labels == ["0", "1"]


def test_raters_and_votes_in_columns(tmp_path, table):
    rows = [
        {"text": "a", "r1": "joy", "r2": "joy", "r3": "anger", "joy": 2, "anger": 1},
        {"text": "b", "r1": "", "r2": "anger", "r3": "", "joy": 0, "anger": 1},
        {"text": "c", "r1": "", "r2": "", "r3": "", "joy": 0, "anger": 0},
    ]
    path = table(tmp_path / "t.csv", rows)
    raters = {"emotion": ["r1", "r2", "r3"]}
    for options in ({"raters": raters}, {"votes": {"emotion": ["anger", "joy"]}}):
        data = Clips(root=str(path), targets=["emotion"], **options)
        corpus = data.describe(data.build(["text"]))
        assert corpus.targets[0].soft and corpus.targets[0].labels == ["anger", "joy"]
        values = corpus.targets[0].values(corpus.splits["clips"])
        np.testing.assert_allclose(values, [[1 / 3, 2 / 3], [1, 0], [np.nan, np.nan]], rtol=1e-6)


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (
            ["0.5", "loud"],
            {"kinds": {"label": "number"}},
            "row 2: the target 'label' .* is 'loud', .* no number",
        ),
        (["0.5", "0,7"], {"kinds": {"label": "number"}}, "row 2: .* write 0.5 rather than 0,5"),
        (["0.5", "inf"], {"kinds": {"label": "number"}}, "row 2: .* a finite number is needed"),
        (["0.5", "loud"], {}, r"different kinds \(.*row 1: '0.5'; .*row 2: 'loud'\)"),
        (["joy:0.5|anger:0.3"], {}, r"row 1: .* whose sum is 0.8: shares have to sum to 1"),
        (["joy:-1|anger:2"], {}, "row 1: .* cannot be below 0"),
        (["joy:1|joy:2"], {}, "row 1: .* each label once"),
        (["joy", "Joy"], {}, r"labels \['Joy', 'joy'\] of 'label' differ by capital letters alone"),
        (["joy", "jpy"], {"labels": {"label": ["joy", "anger"]}}, "row 2: .* is 'jpy', .* did you mean 'joy'"),
        (["", ""], {}, "'label' is unknown in every row"),
        ([f"l{i}" for i in range(501)], {}, "over 500 different labels"),
        (["joy"], {"kinds": {"lable": "label"}}, "data.kinds.lable: no such target; data.targets names label"),
    ],
)
def test_what_no_target_can_be_is_refused_with_its_row(target, cells, options, message):
    with pytest.raises(ValueError, match=message):
        target(cells, **options)
