"""A synthetic sample corpus in MELD's own layout: drawn faces, computed voices, written lines; no person is in it.

What it is for: the whole way from clips on disk to a model on the Hub runs on it within minutes, and its Bayes-optimal
accuracies are known for every subset of modalities (`bayes.py`), a yardstick that real data cannot offer. A model that
is trained on it has learned cartoons; its figures say nothing about people.
"""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm.auto import tqdm

from affecthub.datasets_scripts.meld.files import CLIP_FOLDERS
from affecthub.datasets_scripts.synthetic.clip import render_clip
from affecthub.datasets_scripts.synthetic.plan import RENDERER_VERSION, SPLITS, SampleUtterance, draw_split
from affecthub.datasets_scripts.synthetic.tables import annotations, cue_table, describe, readme, short_hours
from affecthub.datasets_scripts.synthetic.traps import Trap, draw_traps
from affecthub.media.files import cache_root, write_file

MARKER = "sample_corpus.json"  # written last: its presence says that the corpus is complete


def render_sample_meld(
    root: Path | str | None = None,
    *,
    seed: int = 0,
    train: int = 800,
    dev: int = 200,
    test: int = 300,
    traps: bool = False,
    num_workers: int = 2,
) -> Path:
    """Render the synthetic sample corpus, or return it at once if it is already there.

    An interrupted render continues where it stopped. The same arguments give the same bytes.

    Args:
        root: folder to render into; by default $AFFECTHUB_CACHE, or else ~/.cache/affecthub.
        seed: seed of every draw.
        train: utterances of the training split.
        dev: utterances of the validation split.
        test: utterances of the test split.
        traps: also plant every flaw that is known of the real MELD, and list them in `planted_traps.json`.
        num_workers: threads that render; OpenCV, NumPy and FFmpeg release the interpreter's lock.

    Returns:
        The corpus: `<root>/synthetic_sample_meld-<hash of the arguments and the renderer's version>`, which holds
        `train_sent_emo.csv` and its kin, the three clip folders, `cues.csv`, `README.md` and `sample_corpus.json`.

    Raises:
        ValueError: a split without an utterance.
        OSError: the disk is full or read-only; the message names the file.
    """
    sizes = {"train": train, "dev": dev, "test": test}
    if min(sizes.values()) < 1:
        raise ValueError(f"every split needs at least one utterance, got {sizes}")
    parameters = {"seed": seed, **sizes, "traps": traps}
    corpus = _corpus_path(root, parameters)
    if not (corpus / MARKER).is_file():
        rows = [row for split in SPLITS for row in draw_split(split, sizes[split], seed)]
        _render(corpus, rows, draw_traps(rows, seed) if traps else [], parameters, num_workers)
    return corpus


def _corpus_path(root: Path | str | None, parameters: Mapping[str, int]) -> Path:
    root = Path(root or cache_root())
    key = json.dumps({**parameters, "renderer": RENDERER_VERSION}, sort_keys=True)
    return root.expanduser() / f"synthetic_sample_meld-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def _render(
    corpus: Path, rows: list[SampleUtterance], traps: list[Trap], parameters: Mapping[str, int], num_workers: int
) -> None:
    for folder in CLIP_FOLDERS.values():
        (corpus / folder).mkdir(parents=True, exist_ok=True)
    _render_clips(corpus, rows, parameters["seed"], num_workers)
    for trap in traps:
        if trap.file is not None and trap.content is not None:
            write_file(corpus / trap.file, trap.content)
    _write_annotations(corpus, rows + [trap.row for trap in traps if trap.row], bool(traps))
    if traps:
        write_file(corpus / "planted_traps.json", _json([trap.summary() for trap in traps]))
    facts = describe(rows, parameters)
    write_file(corpus / "cues.csv", cue_table(rows))
    write_file(corpus / "README.md", readme(facts).encode())
    write_file(corpus / MARKER, _json(facts))


def _render_clips(corpus: Path, rows: list[SampleUtterance], seed: int, num_workers: int) -> None:
    """Render what is not there yet; the first error cancels what has not begun and reaches the caller."""
    paths = {corpus / CLIP_FOLDERS[row.split] / row.clip: row for row in rows}
    todo = {path: row for path, row in paths.items() if not path.is_file()}
    with ThreadPoolExecutor(num_workers) as pool, tqdm(total=len(rows), desc="synthetic clips", unit="clip") as bar:
        bar.update(len(rows) - len(todo))
        for _ in pool.map(lambda path: write_file(path, render_clip(todo[path], seed)), todo):
            bar.update()


def _write_annotations(corpus: Path, rows: list[SampleUtterance], traps: bool) -> None:
    for split in SPLITS:
        table = annotations([row for row in rows if row.split == split])
        write_file(corpus / f"{split}_sent_emo.csv", short_hours(table) if traps and split == "dev" else table)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


if __name__ == "__main__":
    from jsonargparse import auto_cli

    print(auto_cli(render_sample_meld))
