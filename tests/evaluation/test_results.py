"""Results on disk, and the table in the terminal."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import entropy

from affecthub.evaluation.metrics import METRICS, Metric, metrics_of
from affecthub.evaluation.results import metric_rows, results_table, units_of, write_results
from affecthub.evaluation.scores import POINTS, ablation_figures, headline, judged, score
from affecthub.media.files import replacing

LABELS = ["neutral", "joy", "fear"]


@pytest.fixture
def results():
    references = np.array([0, 0, 0, 1, 1, 0] * 20)
    logits = np.eye(3)[[0, 0, 1, 1, 0, 0] * 20]
    return {
        "data": {"name": "Sample corpus", "synthetic": True, "splits": {"train": 300, "test": 120}},
        "task": {"emotion": LABELS},
        "results": {"test": {"emotion": score(references, logits, [0, 0, 1], LABELS, "single_label", seed=0)}},
        "ablation": [
            {
                "modalities": ["text"],
                "rows": 120,
                "figures": {"accuracy": 0.5, "f1_weighted": 0.4},
                "bayes_accuracy": 0.75,
            },
            {"modalities": ["text", "audio"], "rows": 120, "figures": {"accuracy": 0.625, "f1_weighted": 0.6}},
        ],
    }


@pytest.fixture
def cases():
    """Kind -> references, raw outputs and training references, labels."""
    rng = np.random.default_rng(0)
    two, many, values = rng.integers(2, size=(90, 1)), rng.integers(2, size=(90, 3)), rng.random((500, 1))
    shares = rng.dirichlet(np.ones(3), 90)
    return {
        "single_label": (two[:, 0], rng.normal(size=(90, 3)), two[:, 0], LABELS),
        "binary": (two, rng.normal(size=(90, 1)) + two, two, ["low", "high"]),
        "multi_label": (many, rng.normal(size=(90, 3)) + many, many, LABELS),
        "regression": (values, values + rng.normal(0, 0.1, (500, 1)), values, ["attention"]),
        "soft": (shares, rng.normal(size=(90, 3)) + shares, shares, LABELS),
    }


def test_score_holds_model_baseline_and_intervals(results):
    scores = results["results"]["test"]["emotion"]
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["baseline"]["majority_label"] == "neutral"
    assert scores["baseline"]["accuracy"] == pytest.approx(2 / 3)
    low, high = scores["intervals"]["f1_weighted"]
    assert low < scores["f1_weighted"] < high


def test_table_shows_model_beside_baseline(results):
    lines = results_table(results).splitlines()
    assert lines[0].startswith("SYNTHETIC DATA")
    (accuracy,) = [line for line in lines if line.startswith("accuracy")]
    low, high = results["results"]["test"]["emotion"]["intervals"]["accuracy"]
    assert accuracy.split() == ["accuracy", "66.7", f"{100 * low:.1f}", "to", f"{100 * high:.1f}", "66.7"]
    (neutral,) = [line for line in lines if line.startswith("F1 neutral (80)")]
    assert neutral.split()[-2:] == ["75.0", "80.0"]
    assert any("as 0: fear" in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_table_of_the_ablation(results):
    lines = results_table(results).splitlines()
    (text,) = [line for line in lines if line.startswith("text  ")]
    (both,) = [line for line in lines if line.startswith("text + audio")]
    assert text.split() == ["text", "50.0", "40.0", "75.0"]
    assert both.split() == ["text", "+", "audio", "62.5", "60.0"]


def test_nothing_is_gained_over_what_was_not_judged(results):
    del results["ablation"][0]
    assert "Together" not in results_table(results)


def test_table_without_ablation_and_without_synthetic_data(results):
    results["data"]["synthetic"] = False
    del results["ablation"]
    table = results_table(results)
    assert "SYNTHETIC" not in table
    assert "Bayes" not in table


KINDS = ["single_label", "binary", "multi_label", "regression", "soft"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_metrics_baseline_and_intervals(kind, cases, results, tmp_path):
    references, outputs, train, labels = cases[kind]
    scores = score(references, outputs, train, labels, kind, seed=0)
    assert scores["kind"] == scores["baseline"]["kind"] == kind
    assert headline(scores) == headline(judged(references, outputs, labels, kind))
    expected = list(metrics_of(kind))
    assert list(headline(scores)) == list(headline(scores["baseline"])) == list(scores["intervals"]) == expected
    assert all(low <= scores[name] <= high for name, (low, high) in scores["intervals"].items())
    names = [row.name for row in metric_rows(scores)]
    assert names[: len(expected)] == [METRICS[name].title for name in expected]
    results["results"] = {"test": {"task": scores}}
    kept = json.loads(write_results(results, tmp_path / "m.json").read_text(encoding="utf-8"))
    assert kept == {"version": 1, **results}
    assert all(f"\n{name} " in results_table(results) for name in names)


def test_points_of_a_regression_are_few_and_from_the_whole_split(cases):
    references, outputs, train, labels = cases["regression"]
    points = score(references, outputs, train, labels, "regression", seed=0)["points"]
    assert len(points) == POINTS
    assert points[0] == pytest.approx([references[0, 0], outputs[0, 0]], abs=1e-4)
    assert points[-1] == pytest.approx([references[-1, 0], outputs[-1, 0]], abs=1e-4)


def test_table_says_how_it_was_calibrated_and_what_always_yes_reaches(cases, results):
    references, outputs, train, labels = cases["multi_label"]
    fitted = {"temperature": 1.25, "thresholds": [0.2, 0.5, 0.3]}
    scores = score(references, outputs, train, labels, "multi_label", seed=0, calibration=fitted)
    results["results"] = {"test": {"affect": scores}}
    table = results_table(results)
    before = f"{100 * scores['calibration']['before']['f1_macro']:.1f}"
    assert "\nCalibrated on validation: temperature 1.25, thresholds 0.20 to 0.50; before, " in table
    assert f", macro F1 {before}, " in table
    (head,) = [line for line in table.splitlines() if line.endswith("always yes")]
    (macro,) = [line for line in table.splitlines() if line.startswith("macro F1")]
    assert macro.split()[-1] == f"{100 * scores['always_yes']['f1_macro']:.1f}" and len(head) == len(macro)


def test_agreement_is_bland_and_altmans(cases):
    references, outputs, train, labels = cases["regression"]
    found = score(references, outputs, train, labels, "regression", seed=0)["agreement"]
    differences = (outputs - references)[:, 0]
    mean, reach = differences.mean(), 1.96 * differences.std(ddof=1)
    assert [of[0] for of in found.values()] == pytest.approx([mean, mean - reach, mean + reach])
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    assert found["mean_difference"][1:] == pytest.approx([mean - 1.96 * error, mean + 1.96 * error], abs=0.002)
    assert found["upper_limit"][1] < found["upper_limit"][0] < found["upper_limit"][2]


def test_a_rater_diverges_from_all_raters_by_their_entropy(cases):
    references, outputs, train, labels = cases["soft"]
    scores = score(references, outputs, train, labels, "soft", seed=0)
    assert scores["among_raters"] == pytest.approx(entropy(references, axis=1).mean())
    assert scores["nll"] - scores["kl_divergence"] == pytest.approx(scores["among_raters"])
    assert score(references, np.log(references), train, labels, "soft", seed=0)["nll"] == pytest.approx(
        scores["among_raters"]
    )


def test_table_of_a_regression_is_not_in_percent(cases, results):
    references, outputs, train, labels = cases["regression"]
    scores = score(references, outputs, train, labels, "regression", seed=0)
    results["results"] = {"test": {"attention": scores}}
    table = results_table(results).split("\n\n")[1]
    (mae,) = [line for line in table.splitlines() if line.startswith("MAE")]
    assert mae.split()[1] == f"{scores['mae']:.3f}"
    assert f"training mean ({train.mean():.2f})" in table and "%" not in table.replace("95 %", "")


def test_table_says_what_is_not_in_percent_and_not_judged(cases, results):
    (kappa,) = [line for line in results_table(results).splitlines() if line.startswith("Cohen's kappa")]
    assert kappa.split()[2] == f"{results['results']['test']['emotion']['kappa']:.3f}"
    assert "\nFigures are in percent, except Cohen's kappa, NLL and Brier score\n" in results_table(results)
    assert units_of(["accuracy", "mae", "kappa", "ccc"]) == "in percent, except MAE, Cohen's kappa and CCC"
    assert (units_of(["accuracy"]), units_of(["mae"])) == ("in percent", "")
    references, outputs, train, labels = cases["soft"]
    references = np.array([[0.5, 0.5, 0], [np.nan] * 3, *references[2:]])
    scores = score(references, outputs, train, labels, "soft", seed=0)
    results["results"] = {"test": {"emotion": scores}}
    table = results_table(results)
    assert "KL divergence (nats)" in table and "mean shares (" in table and "emotion: 89 rows" in table
    assert "1 rows more are not judged, as nobody knows their truth; 1 rows have two labels that are equally" in table


@pytest.mark.parametrize(
    ("kind", "names"),
    [("binary", ["accuracy", "f1_weighted"]), ("multi_label", ["element_accuracy", "f1_macro"])]
    + [("regression", ["mae", "ccc"]), ("soft", ["kl_divergence", "accuracy"])],
)
def test_ablation_compares_what_fits_the_kind(kind, names, cases, results):
    references, outputs, _, labels = cases[kind]
    noise = np.random.default_rng(1).normal(size=outputs.shape)
    parts = [ablation_figures(judged(references, given, labels, kind)) for given in (noise, outputs)]
    assert [list(part) for part in parts] == [names, names]
    results["ablation"] = [
        {"modalities": given, "rows": len(references), "figures": part}
        for given, part in zip((["video"], ["video", "physio"]), parts, strict=True)
    ]
    gain, metric = parts[1][names[0]] - parts[0][names[0]], METRICS[names[0]]
    said = f"{100 * gain:+.1f} points" if metric.unit == "%" else f"{gain:+.3f}"
    assert f"Together {said} of {metric.name} against the best alone (video)" in results_table(results)


def test_a_metric_of_ones_own_is_compared_in_its_unit(results, monkeypatch):
    own = Metric("toy", lambda draws: draws.hits[:, 0], ("single_label",), "hits", ablation=("single_label",))
    monkeypatch.setitem(METRICS, "toy", own)
    references = np.array([0, 0, 1])
    report = judged(references, np.eye(3)[references], LABELS, "single_label")
    assert ablation_figures(report) == {"accuracy": 1, "f1_weighted": 1, "toy": 2}
    results["ablation"] = [{"modalities": ["text"], "rows": 3, "figures": ablation_figures(report)}]
    lines = results_table(results).splitlines()
    assert [line for line in lines if line.startswith("text ")][0].split() == ["text", "100.0", "100.0", "2.000"]
    assert any("toy (hits)" in line for line in lines)


def test_table_tells_protocol_findings_and_what_was_accepted(results):
    finding = {"count": 3, "examples": ["r1"], "remedy": "split by recording"}
    results["data"]["protocol"] = "by_row"
    results["audit"] = [
        finding | {"check": "same_recording", "severity": "severe", "message": "one on both sides", "accepted": True},
        finding | {"check": "same_text", "severity": "note", "message": "a text on both", "accepted": False},
    ]
    lines = results_table(results).splitlines()
    assert "Protocol: by_row" in lines
    assert any(line.startswith("severe") and "one on both sides" in line for line in lines)
    assert lines[-1] == "Accepted by the recipe: same_recording"
    results["audit"] = []
    assert "nothing was found" in results_table(results).splitlines()[-1]


def test_file_holds_the_results(results, tmp_path):
    path = write_results(results, tmp_path / "metrics.json")
    assert json.loads(path.read_text(encoding="utf-8")) == {"version": 1, **results}
    assert list(tmp_path.iterdir()) == [path]


def test_nan_is_refused_by_its_key(results, tmp_path):
    results["ablation"][1]["figures"]["accuracy"] = float("nan")
    with pytest.raises(ValueError, match=r"results.ablation.1.figures.accuracy = nan"):
        write_results(results, tmp_path / "metrics.json")
    assert not list(tmp_path.iterdir())


def test_full_disk_keeps_the_old_file_and_names_the_remedy(results, tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    path.write_text("old", encoding="utf-8")
    write_bytes = Path.write_bytes

    def full(self, data):
        write_bytes(self, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        OSError, match=r"metrics.json was not written \(No space left on device\); free space"
    ) as caught:
        write_results(results, path)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_is_named(results, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.*choose a folder"):
        write_results(results, tmp_path / "nowhere" / "metrics.json")


def test_an_error_inside_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyError), replacing(tmp_path / "x") as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise KeyError("x")
    assert not list(tmp_path.iterdir())
