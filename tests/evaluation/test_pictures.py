"""Pictures: what is drawn, read back from the figure and from the file."""

import sys

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from affecthub.evaluation import pictures
from affecthub.evaluation.scores import score

LOG = [
    {"loss": 1.5, "learning_rate": 1e-3, "lr_head": 2e-3, "grad_norm": 1.0, "epoch": 0.5, "step": 1},
    {"loss": 1.0, "learning_rate": 5e-4, "lr_head": 1e-3, "grad_norm": 1.0, "epoch": 1.0, "step": 2},
    {
        "eval_loss": 1.2,
        "eval_accuracy": 0.6,
        "eval_balanced_accuracy": 0.5,
        "eval_f1_weighted": 0.55,
        "eval_f1_joy": 0.1,
        "eval_runtime": 3.0,
        "epoch": 1.0,
        "step": 2,
    },
    {"train_runtime": 9.0, "train_loss": 1.25, "epoch": 1.0, "step": 2},
]


@pytest.fixture
def figures(monkeypatch):
    """Every figure that is saved."""
    saved, savefig = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: (saved.append(self), savefig(self, *args, **kw)))
    return saved


def test_curves_show_what_the_trainer_logged(figures, tmp_path):
    path = pictures.plot_curves(LOG, tmp_path / "curves.png", synthetic=True)
    assert cv2.imread(str(path)).std() > 1
    loss, metric, rate = figures[0].axes
    assert [line.get_xydata().tolist() for line in loss.lines] == [[[0.5, 1.5], [1.0, 1.0]], [[1.0, 1.2]]]
    assert [line.get_label() for line in metric.lines] == ["accuracy", "f1_weighted"]
    assert [line.get_label() for line in rate.lines] == ["learning_rate", "lr_head"]
    assert "synthetic" in figures[0].get_suptitle()
    assert list(tmp_path.iterdir()) == [path]


def test_curves_of_other_scales_have_their_own_panel(figures, tmp_path):
    entry = {"eval_accuracy": 0.5, "eval_kappa": 0.1, "eval_valence_mae": 9.0, "eval_valence_rmse": 9.5, "epoch": 1.0}
    pictures.plot_curves([entry], tmp_path / "curves.png")
    shares, others = figures[0].axes
    assert [line.get_label() for line in shares.lines] == ["accuracy"]
    assert (others.get_ylabel(), [line.get_label() for line in others.lines]) == (
        *("validation metric, as it is", ["kappa", "valence_mae"]),
    )


def test_curves_leave_out_a_panel_without_data(figures, tmp_path):
    pictures.plot_curves([{"loss": 1.0, "epoch": 1.0}], tmp_path / "curves.png")
    assert [axes.get_ylabel() for axes in figures[0].axes] == ["loss"]
    assert "synthetic" not in figures[0].get_suptitle()


def test_curves_of_nothing_are_refused(tmp_path):
    with pytest.raises(ValueError, match="curves.png: log_history has 1 entries and none with loss"):
        pictures.plot_curves([{"train_runtime": 1.0, "epoch": 1.0}], tmp_path / "curves.png")


def test_confusion_has_counts_as_text_and_row_shares_as_colour(figures, tmp_path):
    path = pictures.plot_confusion([[6, 2, 0], [1, 3, 0], [0, 0, 0]], ["a", "b", "c"], tmp_path / "c.png", "Test")
    assert path.is_file()
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["6", "2", "0", "1", "3", "0", "0", "0", "0"]
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, 0.0]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "reference")


@pytest.mark.parametrize("optimum", [{}, {"bayes_accuracy": 0.9}])
def test_ablation_draws_both_metrics_and_the_optimum_where_known(figures, tmp_path, optimum):
    rows = [
        {"modalities": ["text"], "figures": {"accuracy": 0.5, "f1_weighted": 0.4}},
        {"modalities": ["text", "audio"], "figures": {"accuracy": 0.75, "f1_weighted": 0.7}, **optimum},
    ]
    pictures.plot_ablation(rows, tmp_path / "a.png", synthetic=True)
    axes = figures[0].axes[0]
    assert [bar.get_width() for bar in axes.patches] == [50.0, 75.0, 40.0, 70.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["text", "text + audio"]
    strokes = [segment[0, 0] for lines in axes.collections for segment in lines.get_segments()]
    assert strokes == ([90.0] if optimum else [])


def test_ablation_of_a_regression_is_in_its_unit_and_may_be_negative(figures, tmp_path):
    rows = [{"modalities": ["video"], "figures": {"mae": 1.25, "ccc": -0.5}}]
    pictures.plot_ablation(rows, tmp_path / "a.png")
    axes = figures[0].axes[0]
    assert [bar.get_width() for bar in axes.patches] == [1.25, -0.5]
    assert [text.get_text() for text in axes.texts] == ["1.250", "-0.500"]
    assert axes.get_xlim()[0] <= -0.5 and axes.get_xlim()[1] >= 1.25


def test_ablation_of_shares_draws_each_scale_apart(figures, tmp_path):
    rows = [{"modalities": ["video"], "figures": {"kl_divergence": 0.5, "accuracy": 0.25}}]
    pictures.plot_ablation(rows, tmp_path / "a.png")
    shares, others = figures[0].axes
    assert [bar.get_width() for bar in shares.patches] == [25.0]
    assert [text.get_text() for text in others.texts] == ["0.500"]
    assert others.get_legend_handles_labels()[1] == ["KL divergence (nats)"]


def test_scores_of_several_labels_are_bars_beside_the_baseline(figures, tmp_path):
    references = np.array([[1, 1], [0, 1], [1, 1], [1, 0]])
    scores = score(references, references - 0.5, references, ["joy", "fear"], "multi_label", seed=0)
    pictures.plot_scores(scores, tmp_path / "s.png", "Test", synthetic=True)
    axes = figures[0].axes[0]
    assert [bar.get_width() for bar in axes.patches] == [100, 100]
    strokes = [segment[0, 0] for lines in axes.collections for segment in lines.get_segments()]
    assert strokes == pytest.approx([100 * 6 / 7, 100 * 6 / 7])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["joy (3)", "fear (3)"]


def test_scores_of_a_regression_are_points_around_the_diagonal(figures, tmp_path):
    references, outputs = np.array([0.0, 0.5, 1.0]), np.array([[0.25], [0.5], [0.75]])
    scores = score(references, outputs, references, ["attention"], "regression", seed=0)
    path = pictures.plot_scores(scores, tmp_path / "s.png", "Test")
    assert cv2.imread(str(path)).std() > 1
    axes = figures[0].axes[0]
    assert axes.collections[0].get_offsets().tolist() == [[0.0, 0.25], [0.5, 0.5], [1.0, 0.75]]
    diagonal, mean = axes.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert mean.get_ydata()[0] == 0.5


def test_scores_of_one_label_a_row_are_a_confusion_matrix(figures, tmp_path):
    logits = np.eye(2)[[0, 1, 1]]
    scores = score([0, 1, 0], logits, [0], ["a", "b"], "single_label", seed=0)
    pictures.plot_scores(scores, tmp_path / "s.png", "Test")
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["1", "1", "0", "1"]


def test_reliability_is_drawn_before_and_after_beside_the_coverage(figures, tmp_path):
    references, logits = np.arange(90) % 3, 3 * np.eye(3)[(np.arange(90) % 3 + (np.arange(90) % 5 == 0)) % 3]
    scores = score(references, logits, [0], list("abc"), "single_label", seed=0, calibration={"temperature": 2.0})
    path = pictures.plot_reliability(scores, tmp_path / "r.png", "Test", synthetic=True)
    assert cv2.imread(str(path)).std() > 1
    reliability, coverage = figures[0].axes
    diagonal, model, before = (line.get_xydata().tolist() for line in reliability.lines)
    assert diagonal == [[0, 0], [1, 1]]
    assert [model, before] == [[point[:2] for point in points] for points in scores["reliability"].values()]
    assert before[0][0] > model[0][0]
    assert coverage.lines[0].get_xydata()[-1].tolist() == [1.0, 0.8]
    two = score(references[:, None] == [0, 1], logits[:, :2], [[0, 1]], ["a", "b"], "multi_label", seed=0)
    pictures.plot_reliability(two, tmp_path / "r.png", "Test")
    assert len(figures[1].axes) == 1


def test_pyplot_stays_out(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    pictures.plot_curves(LOG, tmp_path / "curves.png")
    assert ("matplotlib.pyplot" in sys.modules) == before
