"""The physiological features: statistics of the training rows, NaN as "not measured", sequences."""

import logging

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from transformers import AutoFeatureExtractor

from affecthub import PhysioFeatureExtractor
from affecthub.processing.feature_extraction_physio import row_digest

NAMES = ["Smile", "Fixation density", "GSR amplitude"]


@pytest.fixture
def rows():
    values = np.random.default_rng(0).normal([0.3, 5, 2], [0.1, 2, 0.5], (40, 3))
    values[3:9, 0] = np.nan
    return values


def fitted(rows, **kwargs):
    return PhysioFeatureExtractor.fit(rows, NAMES, [f"row {i}" for i in range(len(rows))], **kwargs)


def test_statistics_are_those_of_scikit_learn(rows):
    scaler, extractor = StandardScaler().fit(rows), fitted(rows)
    np.testing.assert_allclose(extractor.mean, scaler.mean_)
    np.testing.assert_allclose(extractor.std, scaler.scale_)
    fresh = np.array([[0.1, 3, 9], [0.5, 4, 1]])
    standardised = extractor(list(fresh))["physio_values"][:, 0]
    np.testing.assert_allclose(standardised, scaler.transform(fresh), rtol=1e-5)


def test_it_is_fitted_on_the_rows_given_and_remembers_which(rows):
    extractor = fitted(rows)
    assert extractor.fitted_rows == 40
    assert extractor.fitted_digest == row_digest(f"row {i}" for i in reversed(range(40)))
    assert extractor.fitted_digest != row_digest(f"row {i}" for i in range(41))
    before = list(extractor.mean)
    extractor([np.full(3, 1e6)])
    assert extractor.mean == before


def test_vectors_sequences_and_missing_samples_in_one_batch(rows):
    batch = fitted(rows)([rows[0], rows[10:14], None, rows[20:22]])
    assert batch["physio_values"].shape == (4, 4, 3) and batch["physio_values"].dtype == torch.float32
    assert batch["physio_attention_mask"].tolist() == [[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]]
    assert batch["physio_present"].tolist() == [1, 1, 0, 1]
    assert torch.isfinite(batch["physio_values"]).all()


def test_nan_is_not_measured_and_never_a_measured_zero(rows):
    extractor = fitted(rows)
    batch = extractor([np.array([np.nan, 5.0, 2.0]), np.full((2, 3), np.nan), np.array([0.0, 5.0, 2.0])])
    assert batch["physio_values"][0, 0, 0] == 0  # the training mean
    assert batch["physio_values"][2, 0, 0] < -1  # a measured 0 is far below it
    assert batch["physio_present"].tolist() == [1, 0, 1]


def test_constant_and_never_measured_features(rows, caplog):
    rows[:, 1], rows[:, 2] = 7.0, np.nan
    with caplog.at_level(logging.WARNING):
        extractor = fitted(rows)
    assert "['GSR amplitude'] were never measured" in caplog.text
    assert extractor.std[1:] == [1.0, 1.0]
    assert extractor([np.array([0.3, 8.0, np.nan])])["physio_values"][0, 0, 1:].tolist() == [1.0, 0.0]


def test_a_long_sequence_keeps_its_end_with_a_warning(rows, caplog):
    extractor = fitted(rows, max_steps=5)
    with caplog.at_level(logging.WARNING):
        batch = extractor([rows])
    assert "has 40 steps; the last max_steps=5" in caplog.text
    torch.testing.assert_close(batch["physio_values"], extractor([rows[-5:]])["physio_values"])


def test_statistics_are_saved_with_it(rows, tmp_path):
    extractor = fitted(rows, max_steps=7)
    extractor.save_pretrained(tmp_path)
    for loaded in (
        PhysioFeatureExtractor.from_pretrained(tmp_path),
        AutoFeatureExtractor.from_pretrained(tmp_path, trust_remote_code=True),
    ):
        assert loaded.feature_names == NAMES and loaded.fitted_digest == extractor.fitted_digest
        torch.testing.assert_close(loaded([rows])["physio_values"], extractor([rows])["physio_values"], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rows: PhysioFeatureExtractor()([rows[0]]), "has no statistics"),
        (lambda rows: PhysioFeatureExtractor(NAMES, [0.0], [1.0]), "mean holds 1 figures for 3"),
        (lambda rows: fitted(rows)([rows[0, :2]]), r"physio\[0\] has shape \(2,\)"),
        (lambda rows: fitted(rows)([np.zeros((0, 3))]), r"physio\[0\] has shape \(0, 3\)"),
        (lambda rows: fitted(rows)([np.array([0, np.inf, 0])]), "'Fixation density' holds infinite"),
        (lambda rows: fitted(rows[:, :2]), r"values \(40, 2\)"),
        (lambda rows: fitted(rows[:0]), r"values \(0, 3\)"),
    ],
)
def test_wrong_calls_say_what_is_wrong(rows, call, message):
    with pytest.raises(ValueError, match=message):
        call(rows)
