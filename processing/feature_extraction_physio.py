"""Physiological and behavioural features -> standardised sequences, by statistics of the training split."""

import hashlib
import logging
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from transformers import BatchFeature, FeatureExtractionMixin

logger = logging.getLogger(__name__)


def row_digest(rows: Iterable[str]) -> str:
    """SHA-256 of a set of row keys, whatever their order: says which rows were used without publishing their names."""
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()


class PhysioFeatureExtractor(FeatureExtractionMixin):
    """(value - mean) / std of each feature, the statistics being those of the training split, saved with it.

    NaN means that nothing was measured (no face was seen). Such a value becomes 0, which is the training mean; a step
    without any value is masked, and a sample without any step is absent.

    Args:
        feature_names: names of the features, in order.
        mean: of each feature; None before `fit`.
        std: of each feature.
        max_steps: of a longer sequence the last so many are used, with a warning.
        fitted_rows: how many rows the statistics come from.
        fitted_digest: `row_digest` of their keys.

    Example:

    ```python
    >>> import numpy as np
    >>> from affecthub import PhysioFeatureExtractor
    >>> rows = np.array([[0.0, 10.0], [1.0, 30.0]])
    >>> extractor = PhysioFeatureExtractor.fit(rows, ["Smile", "GSR amplitude"], ["frame 1", "frame 2"])
    >>> extractor([np.array([1.0, 10.0])])["physio_values"].tolist()
    [[[1.0, -1.0]]]

    ```
    """

    _auto_class = "AutoFeatureExtractor"  # saving copies the code, for those who do not have this package
    model_input_names = ["physio_values", "physio_attention_mask", "physio_present"]

    def __init__(
        self,
        feature_names: Sequence[str] = (),
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        max_steps: int = 100,
        fitted_rows: int = 0,
        fitted_digest: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, figures in (("mean", mean), ("std", std)):
            if figures is not None and len(figures) != len(feature_names):
                raise ValueError(f"{name} holds {len(figures)} figures for {len(feature_names)} feature_names.")
        self.feature_names = list(feature_names)
        self.mean = mean
        self.std = std
        self.max_steps = max_steps
        self.fitted_rows = fitted_rows
        self.fitted_digest = fitted_digest

    @classmethod
    def fit(
        cls, values: np.ndarray, feature_names: Sequence[str], rows: Sequence[str], max_steps: int = 100
    ) -> "PhysioFeatureExtractor":
        """An extractor with the statistics of `values`: pass the training split, and nothing else.

        Args:
            values (rows, features): NaN where nothing was measured. A feature that never varies gets std 1.
            feature_names: in order.
            rows: key of each row; its digest is saved, so that an audit can tell which rows were used.
            max_steps: see the class.

        Raises:
            ValueError: shapes that do not go together, or infinite values.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (len(rows), len(feature_names)) or not len(rows):
            raise ValueError(
                f"values {values.shape} for {len(rows)} rows and {len(feature_names)} feature_names: one row each, at "
                "least one."
            )
        _check_finite(values, feature_names)
        measured = ~np.isnan(values)
        counts = measured.sum(axis=0)
        if never := [name for name, count in zip(feature_names, counts, strict=True) if not count]:
            logger.warning("Features %s were never measured in the training rows; they stay 0.", never)
        mean = np.where(measured, values, 0).sum(axis=0) / np.maximum(counts, 1)
        variance = (np.where(measured, values - mean, 0) ** 2).sum(axis=0) / np.maximum(counts, 1)
        std = np.sqrt(variance)
        std[std < 1e-12] = 1.0
        return cls(feature_names, mean.tolist(), std.tolist(), max_steps, len(rows), row_digest(rows))

    def __call__(self, values: Sequence[np.ndarray | None], return_tensors: str = "pt") -> BatchFeature:
        """Standardise and pad a batch.

        Args:
            values: of each sample (features,) or (steps, features), or None where it has none.
            return_tensors: only "pt".

        Returns:
            physio_values float32 (batch, steps, features), physio_attention_mask (batch, steps) and physio_present
            (batch,), 1 = real; a vector is one step.

        Raises:
            ValueError: no statistics, another number of features, or infinite values.
        """
        if self.mean is None:
            raise ValueError("This extractor has no statistics: make it with PhysioFeatureExtractor.fit(...).")
        steps = [self._standardise(index, sample) for index, sample in enumerate(values)]
        masks = [~np.isnan(sample).all(axis=1) for sample in steps]
        pad = torch.nn.utils.rnn.pad_sequence
        tensors = [torch.from_numpy(np.nan_to_num(sample, nan=0.0).astype(np.float32)) for sample in steps]
        mask = pad([torch.from_numpy(row).long() for row in masks], batch_first=True)
        return BatchFeature(
            {
                "physio_values": pad(tensors, batch_first=True),
                "physio_attention_mask": mask,
                "physio_present": mask.any(dim=1).long(),
            }
        )

    def _standardise(self, index: int, sample: np.ndarray | None) -> np.ndarray:
        """float64 (steps, features) of one sample, NaN where nothing was measured; of None, one such step."""
        width = len(self.feature_names)
        if sample is None:
            return np.full((1, width), np.nan)
        steps = np.atleast_2d(np.asarray(sample, dtype=np.float64))
        if steps.ndim != 2 or steps.shape[1] != width or not len(steps):
            raise ValueError(
                f"physio[{index}] has shape {np.shape(sample)}; expected ({width},) or (steps, {width}), the features "
                f"being {self.feature_names}."
            )
        _check_finite(steps, self.feature_names)
        if len(steps) > self.max_steps:
            logger.warning(
                "physio[%d] has %d steps; the last max_steps=%d are used.", index, len(steps), self.max_steps
            )
        return (steps[-self.max_steps :] - np.asarray(self.mean)) / np.asarray(self.std)


def _check_finite(values: np.ndarray, feature_names: Sequence[str]) -> None:
    """ValueError for infinite values (NaN is allowed: not measured), naming the first feature."""
    if (infinite := np.isinf(values).any(axis=0)).any():
        raise ValueError(
            f"{feature_names[int(infinite.argmax())]!r} holds infinite values; repair them (NaN = not measured)."
        )


__all__ = ["PhysioFeatureExtractor"]
