"""`affecthub prepare`: rows of any data set become Parquet shards that hold their media, by any number of processes.

Shard i belongs to process i modulo their number; what a shard holds depends on its rows alone, so that the result is
the same for any number of them. All need to see the same output folder.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from datasets import Dataset
from tqdm.auto import tqdm

from affecthub.datasets_scripts.corpus import DataOptions
from affecthub.datasets_scripts.prepared.clips import STATUSES, ClipForm, ClipReader, PreparedClip, ReadingProcess
from affecthub.datasets_scripts.prepared.recordings import read_frames, sound_starts
from affecthub.datasets_scripts.prepared.shards import Shard, begin, finish, shards_of
from affecthub.media.container import TIME_LIMIT
from affecthub.media.files import alone
from affecthub.modeling.modalities import MODALITIES
from affecthub.training.features import FeatureEncoder, clips_of
from affecthub.training.launch import LONGEST_WAIT, check_processes, runs_on_cpu
from affecthub.training.recipe import Recipe

SHARD_ROWS = 256
"""What an interrupted process loses at most, and holds in memory, compressed."""


def prepare(
    data: DataOptions,
    folder: str | Path,
    form: ClipForm | None = None,
    *,
    features: Recipe | None = None,
    shard_rows: int = SHARD_ROWS,
    time_limit: float = TIME_LIMIT,
) -> dict:
    """Prepare a data set; what an earlier, interrupted call completed is checked and kept.

    Args:
        data: which one.
        folder: where the shards go; the same for all processes of a launch.
        form: what to keep of each clip; of moments of recordings, their pictures and their sound are kept as they are.
        features: keep what this recipe's processor and frozen encoder make of the clips; then it says the form.
        shard_rows: rows a shard.
        time_limit: s a clip; one that takes longer stays as a row without media. Of recordings: the sound of a shard's
            rows of one of them.

    Returns:
        The manifest, in the main process; elsewhere an empty dictionary.

    Raises:
        FileNotFoundError, ValueError: as the data set's `build`; the folder holds something else; other processes run
            than were asked for; features of moments of recordings.
        OSError: the folder cannot be written, the disk is full, or another launch is at work there.
    """
    state = _join(shard_rows, time_limit, cpu=features is None or runs_on_cpu())
    data.extract(slice(state.process_index, None, state.num_processes))
    state.wait_for_everyone()
    with state.local_main_process_first():
        splits = data.build(MODALITIES)
    corpus, settings = data.describe(splits), {**data.settings(), "shard_rows": shard_rows}
    settings |= {"moments": corpus.all_rows is not None, "facts": corpus.facts}
    if corpus.all_rows is not None:
        if features:
            raise ValueError(f"--features: {corpus.name} holds moments of recordings, of which frames and sound stay.")
        splits = {name: _with_sound_starts(rows) for name, rows in splits.items()}
        return _together(splits, Path(folder), settings, lambda mine: write_moments(mine, time_limit))
    encode, form = None, replace(form or ClipForm(), crop_faces=corpus.crop_faces)
    if features:
        assert state.device is not None
        encode = FeatureEncoder(clips_of(features, data), state.device)
        form, settings = encode.form, settings | encode.settings
    return _together(
        splits, Path(folder), settings | asdict(form), lambda mine: write_clips(mine, form, time_limit, encode)
    )


def write_clips(
    shards: Sequence[Shard], form: ClipForm, time_limit: float, encode: FeatureEncoder | None = None
) -> None:
    """Write those of some shards of clips that are not there yet."""
    with ClipReader(form, time_limit) as reader:
        _write_missing(shards, lambda rows: map(reader.read, rows), encode)


def write_moments(shards: Sequence[Shard], time_limit: float) -> None:
    """Write those of some shards of moments of recordings that are not there yet."""
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


def _join(shard_rows: int, time_limit: float, *, cpu: bool) -> PartialState:
    """Meet the other processes of a launch, whose options these are."""
    if shard_rows < 1 or time_limit <= 0:
        raise ValueError(f"shard_rows={shard_rows}, time_limit={time_limit}: both have to be above 0.")
    state = PartialState(cpu=cpu, timeout=LONGEST_WAIT)
    check_processes(state.num_processes)
    return state


def _with_sound_starts(rows: Dataset) -> Dataset:
    return rows.add_column("sound_start", sound_starts(rows["recording"], rows["time_ms"]))


def _together(
    splits: Mapping[str, Dataset],
    folder: Path,
    settings: Mapping[str, Any],
    write: Callable[[Sequence[Shard]], None],
) -> dict:
    """Write the shards of all splits, each process its own; returns as `prepare`."""
    state = PartialState()
    shards = shards_of(splits, folder, settings, settings["shard_rows"])
    with alone(folder, "is preparing data") if state.is_main_process else nullcontext():
        if state.is_main_process:
            begin(folder, settings)
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
