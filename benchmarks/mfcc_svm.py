"""The plain baseline of speech emotion: statistics of MFCCs and mel bands, and an SVM, on the folds of a recipe.

    python benchmarks/mfcc_svm.py FOLDER_OR_TABLE --target emotion [--folds 5] [--output FILE]

Any labelled recordings of the data set `Clips` serve. The SVM chooses nothing, so it learns from the validation split
too, by which a recipe chooses its epoch; a second column says what it reaches without that.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm.auto import tqdm

from affecthub.datasets_scripts.clips.corpus import Clips
from affecthub.datasets_scripts.corpus import load_corpus
from affecthub.datasets_scripts.splits import SplitOptions
from affecthub.media.files import write_file

RATE = 16_000
SECONDS = 15.0
"""Longer clips are cut there, as recipes do."""

C = 10.0
"""Weight of the SVM's errors: fixed beforehand, since nothing is left to choose it by."""


def main(arguments: list[str] | None = None) -> None:
    """Print the balanced accuracy of every fold, their mean and their standard deviation."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("root", help="folder or table of the recordings")
    parser.add_argument("--target", default="label", help="column of the label (default: label)")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the table here, as CSV")
    options = parser.parse_args(arguments)
    table = scores(Clips(root=options.root, targets=[options.target]), options.folds)
    table = pd.concat([table, table.agg(["mean", "std"])])
    print(table.round(3).to_string())
    if options.output:
        write_file(options.output, table.to_csv(index_label="fold").encode())


def scores(data: Clips, folds: int) -> pd.DataFrame:
    """Balanced accuracy on the test split of each fold (row), learned with and without the validation split."""
    known: dict[str, np.ndarray] = {}
    rows = []
    for fold in range(folds):
        corpus = load_corpus(data, ["audio"], SplitOptions(fold=fold, folds=folds))
        parts = {}
        for name, split in corpus.splits.items():
            features = [_cached(known, path) for path in tqdm(split["audio_path"], desc=f"fold {fold}, {name}")]
            parts[name] = np.stack(features), corpus.targets[0].values(split)
        rows.append(
            {
                "train and validation": balanced_accuracy(parts, ("train", "validation")),
                "train": balanced_accuracy(parts, ("train",)),
            }
        )
    return pd.DataFrame(rows)


def balanced_accuracy(parts: dict[str, tuple[np.ndarray, np.ndarray]], learn: Sequence[str]) -> float:
    """On the part "test", of an SVM that learned from other parts; what has no label is left out.

    Args:
        parts: name -> features (rows, size) and ids of labels (rows,), negative where unknown.
        learn: names of parts.
    """
    features, labels = (np.concatenate([parts[name][i] for name in learn]) for i in range(2))
    machine = make_pipeline(StandardScaler(), SVC(C=C)).fit(features[labels >= 0], labels[labels >= 0])
    features, labels = parts["test"]
    return float(balanced_accuracy_score(labels[labels >= 0], machine.predict(features[labels >= 0])))


def statistics(path: str) -> np.ndarray:
    """Mean and standard deviation over time of 20 MFCCs and 40 mel bands in dB: (120,)."""
    samples, _ = librosa.load(path, sr=RATE, duration=SECONDS)
    settings: dict[str, Any] = {"sr": RATE, "n_fft": 1024, "hop_length": 256}
    mel = librosa.power_to_db(librosa.feature.melspectrogram(y=samples, n_mels=40, **settings))
    cepstrum = librosa.feature.mfcc(y=samples, n_mfcc=20, **settings)
    return np.concatenate([figure for frames in (cepstrum, mel) for figure in (frames.mean(1), frames.std(1))])


def _cached(known: dict[str, np.ndarray], path: str) -> np.ndarray:
    if path not in known:
        known[path] = statistics(path)
    return known[path]


if __name__ == "__main__":
    main()
