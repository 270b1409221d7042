"""`affecthub prepare`: utterances or frames become Parquet shards that hold their media, by any number of processes.

Shard i belongs to process i modulo their number; what a shard holds depends on its rows alone, so that the result is
the same for any number of them. All need to see the same output folder.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from accelerate import PartialState
from datasets import Dataset
from tqdm.auto import tqdm

from affecthub.datasets_scripts.genex.builder import extract_study
from affecthub.datasets_scripts.meld.builder import load_meld
from affecthub.datasets_scripts.prepared.clips import STATUSES, ClipForm, ClipReader, PreparedClip, ReadingProcess
from affecthub.datasets_scripts.prepared.recordings import FRAMES, read_frames, sound_starts
from affecthub.datasets_scripts.prepared.shards import Shard, alone, begin, finish, shards_of
from affecthub.datasets_scripts.synthetic.study import MARKER as STUDY_MARKER
from affecthub.datasets_scripts.synthetic.study import render_sample_genex
from affecthub.datasets_scripts.synthetic.utterances import MARKER, render_sample_meld
from affecthub.media.container import TIME_LIMIT
from affecthub.media.files import write_file
from affecthub.training.corpus import frame_options, study_frames, study_settings
from affecthub.training.features import FeatureEncoder, clips_of
from affecthub.training.launch import LONGEST_WAIT, check_processes, runs_on_cpu
from affecthub.training.recipe import DataRecipe, Recipe

SHARD_ROWS = 256
"""What an interrupted process loses at most, and holds in memory, compressed."""


def prepare(
    dataset: str,
    root: str | Path,
    folder: str | Path,
    form: ClipForm | None = None,
    *,
    features: Recipe | None = None,
    twin_policy: str = "prefer_final",
    sample_rows: Sequence[int] = (800, 200, 300),
    shard_rows: int = SHARD_ROWS,
    time_limit: float = TIME_LIMIT,
) -> dict:
    """Prepare a data set; what an earlier, interrupted call completed is checked and kept.

    Args:
        dataset: "meld" or "sample_meld".
        root: folder of the data set; of the synthetic one, where to render it.
        folder: where the shards go; the same for all processes of a launch.
        form: what to keep of each clip.
        features: keep what this recipe's processor and frozen encoder make of the clips; then it says the form.
        twin_policy: as `load_meld`.
        sample_rows: of the synthetic corpus: utterances for training, validation and testing.
        shard_rows: rows a shard.
        time_limit: s a clip; one that takes longer stays as a row without media.

    Returns:
        The manifest, in the main process; elsewhere an empty dictionary.

    Raises:
        FileNotFoundError, ValueError: as `load_meld`; the folder holds something else; other processes run than were
            asked for.
        OSError: the folder cannot be written, the disk is full, or another launch is at work there.
    """
    state = _join(shard_rows, time_limit, cpu=features is None or runs_on_cpu())
    with state.local_main_process_first():
        root = _rendered(root, sample_rows) if dataset == "sample_meld" else Path(root)
        splits = load_meld(root, twin_policy=twin_policy)
    encode, form = None, form or ClipForm()
    if features:
        recipe = clips_of(features, dataset="meld", root=str(root), twin_policy=twin_policy)
        encode = FeatureEncoder(recipe, state.device)
        form = encode.form
    settings = {"dataset": dataset, **asdict(form), "twin_policy": twin_policy, "shard_rows": shard_rows}
    settings |= encode.settings if encode else {}

    def write(mine: Sequence[Shard]) -> None:
        write_shards(mine, form, time_limit, encode)

    return _together(splits, Path(folder), settings, root / MARKER, write)


def prepare_study(
    data: DataRecipe, folder: str | Path, *, shard_rows: int = SHARD_ROWS, time_limit: float = TIME_LIMIT
) -> dict:
    """Prepare a study of recordings; what an earlier, interrupted call completed is checked and kept.

    Args:
        data: `dataset`, "genex" or "sample_genex"; `root`, the study or where to render it; and what decides its rows.
        folder: where the shards go; the same for all processes of a launch.
        shard_rows: rows a shard.
        time_limit: s for the sound of a shard's rows of one recording; where it takes longer, they stay without it.

    Returns:
        The manifest, in the main process; elsewhere an empty dictionary.

    Raises:
        FileNotFoundError, ValueError: as `load_genex`; otherwise, and OSError, as `prepare`.
    """
    state = _join(shard_rows, time_limit)
    settings = {**study_settings(data), "shard_rows": shard_rows}
    with state.local_main_process_first():
        synthetic = data.dataset == "sample_genex"
        root = render_sample_genex(data.root, seconds=data.seconds) if synthetic else Path(data.root)
    mine = slice(state.process_index, None, state.num_processes)
    extract_study(root, data.study, frames=frame_options(data), part=mine)
    state.wait_for_everyone()
    with state.local_main_process_first():
        rows = study_frames(data, root)
    rows = rows.add_column("sound_start", sound_starts(rows["recording"], rows["time_ms"]))
    marker = root / STUDY_MARKER
    return _together({FRAMES: rows}, Path(folder), settings, marker, lambda mine: write_study_shards(mine, time_limit))


def write_shards(
    shards: Sequence[Shard], form: ClipForm, time_limit: float, encode: FeatureEncoder | None = None
) -> None:
    """Write those of some shards of utterances that are not there yet."""
    with ClipReader(form, time_limit) as reader:
        _write_missing(shards, lambda rows: (_read(reader, row) for row in rows), encode)


def write_study_shards(shards: Sequence[Shard], time_limit: float) -> None:
    """Write those of some shards of frames that are not there yet."""
    with ReadingProcess(time_limit) as process:
        _write_missing(shards, lambda rows: read_frames(process, rows))


def summary(manifest: Mapping) -> str:
    """What was prepared, in a few lines: rows by split and status, the first failures, and the size."""
    lines = [
        f"{split:<12}{count:>8,}  {status}: {STATUSES[status]}"
        for split, counts in manifest["statuses"].items()
        for status, count in counts.items()
    ]
    failures = [f"{key}: {detail}" for note in manifest["shards"] for key, detail in note["failures"].items()]
    lines += [f"  {line}" for line in failures[:20]] + ([f"  and {len(failures) - 20} more"] if failures[20:] else [])
    size = sum(note["bytes"] for note in manifest["shards"]) / 1e6
    return "\n".join([*lines, f"{len(manifest['shards'])} shards, {size:,.1f} MB, content {manifest['content'][:16]}"])


def _join(shard_rows: int, time_limit: float, *, cpu: bool = True) -> PartialState:
    """Meet the other processes of a launch, whose options these are."""
    if shard_rows < 1 or time_limit <= 0:
        raise ValueError(f"shard_rows={shard_rows}, time_limit={time_limit}: both have to be above 0.")
    state = PartialState(cpu=cpu, timeout=LONGEST_WAIT)
    check_processes(state.num_processes)
    return state


def _together(
    splits: Mapping[str, Dataset],
    folder: Path,
    settings: Mapping[str, object],
    marker: Path,
    write: Callable[[Sequence[Shard]], None],
) -> dict:
    """Write the shards of all splits, each process its own, and `marker`, where it exists; returns as `prepare`."""
    state = PartialState()
    shards = shards_of(splits, folder, settings, settings["shard_rows"])
    with alone(folder) if state.is_main_process else nullcontext():
        if state.is_main_process:
            begin(folder, settings)
            if marker.is_file():
                write_file(folder / marker.name, marker.read_bytes())
        state.wait_for_everyone()
        rows, processes = settings["shard_rows"], state.num_processes
        state.print(f"{len(shards)} shards of up to {rows} rows, by {processes} process(es)")
        write(shards[state.process_index :: processes])
        state.wait_for_everyone()
        return finish(folder, shards, settings) if state.is_main_process else {}


def _write_missing(
    shards: Sequence[Shard],
    read: Callable[[list[dict]], Iterable[PreparedClip]],
    encode: FeatureEncoder | None = None,
) -> None:
    """Write those of some shards that are not there yet; `read` and `encode` as in `Shard.write`."""
    total = sum(len(shard.rows) for shard in shards)
    with tqdm(total=total, desc="preparing", unit="row", disable=not PartialState().is_local_main_process) as bar:

        def counted(rows: list[dict]) -> Iterator[PreparedClip]:
            for clip in read(rows):
                bar.update()
                yield clip

        for shard in shards:
            if shard.is_complete():
                bar.update(len(shard.rows))
            else:
                shard.write(counted, encode)


def _read(reader: ClipReader, row: dict) -> PreparedClip:
    path = row["video_path"] or row["audio_path"]
    if path is None:
        return PreparedClip("none")
    return reader.read(path, video=row["video_path"] is not None, audio=row["audio_path"] is not None)


def _rendered(root: str | Path, rows: Sequence[int]) -> Path:
    train, dev, test = rows
    return render_sample_meld(root, train=train, dev=dev, test=test)
