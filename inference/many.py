"""Many recordings, by any number of processes: each is judged once, and what an interrupted call judged is kept."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import torch
from tqdm.auto import tqdm

from affecthub.inference.fetch import is_address
from affecthub.inference.inputs import MEDIA_SUFFIXES
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline, Answer
from affecthub.inference.predict import judge, load_pipeline
from affecthub.media.faults import FAULTS, sentence_of
from affecthub.media.files import alone, file_state, write_file
from affecthub.media.processes import end_with_parent

Outcome = list[Answer] | str
"""The answers of a recording, or the sentence that says why there are none."""

FINISHED = "answers.jsonl"
"""In the folder of what is not complete: the call, and a line a recording that is finished."""


def recordings(paths: Sequence[str]) -> list[str]:
    """Files and addresses as they are named, and of each folder what looks like a recording, however deep, by name.

    Raises:
        ValueError: a folder holds none.
    """
    found: list[str] = []
    for path in paths:
        if is_address(path) or not os.path.isdir(path):
            found.append(path)
            continue
        inside = [str(file) for file in sorted(Path(path).rglob("*")) if _is_recording(file, Path(path))]
        if not inside:
            raise ValueError(f"{path}: holds no video and no audio file; pass another one, or the files themselves.")
        found += inside
    return list(dict.fromkeys(found))


def _is_recording(file: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return file.suffix.lower() in MEDIA_SUFFIXES and not hidden and file.is_file()


def judge_all(
    files: Sequence[str | None],
    loading: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    pipe: AffectRecognitionPipeline | None = None,
    processes: int = 1,
    output: Path | None = None,
) -> Iterator[tuple[str | None, Outcome]]:
    """Judge recordings; each comes as soon as it is finished, in any order.

    Args:
        files: as `recordings` gives them; None: the text among the options alone.
        loading: arguments of `load_pipeline`.
        options: arguments of `judge` beside the pipeline and the file.
        pipe: judges in this process; None: `processes` load the model, and each takes a file after the other.
        processes: how many.
        output: the table that is to be made: what is finished is kept in the folder `OUTPUT.progress` until all is.

    Raises:
        OSError: another call makes the same table, or it cannot be written.
        ValueError: the model cannot be used; the folder is of another call; a process was ended from outside.
    """
    if processes < 1:
        raise ValueError(f"--processes {processes}: a number from 1 on is needed.")
    if output is None:
        yield from _judged(files, loading, options, pipe, processes)
        return
    if not output.parent.is_dir():
        raise FileNotFoundError(f"{output} was not written (there is no folder {output.parent}); make it first.")
    folder = output.with_name(f"{output.name}.progress")
    with alone(folder, "is judging recordings"):
        finished = _finished(folder / FINISHED, _call(loading, options), files)
        yield from finished.items()
        failed, rest = False, [file for file in files if file not in finished]
        with open(folder / FINISHED, "a", encoding="utf-8") as kept:
            for file, outcome in _judged(rest, loading, options, pipe, processes):
                failed |= isinstance(outcome, str)
                if file is not None and not isinstance(outcome, str):
                    line = {"input": file, "state": file_state(file), "answers": outcome}
                    print(json.dumps(line, ensure_ascii=False), file=kept, flush=True)
                yield file, outcome
    if not failed:
        for name in (FINISHED, ".lock"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def _call(loading: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be the same for answers to be kept: the options, and the model with its files, where it is here."""
    model = Path(loading["model"])
    files = sorted(model.glob("*.safetensors")) + sorted(model.glob("*.json")) if model.is_dir() else []
    told = {
        "model": str(model),
        "revision": loading["revision"],
        "files": [[f.name, *(file_state(f) or ())] for f in files],
    }
    return told | {"options": {name: str(value) for name, value in options.items()}}


def _finished(path: Path, call: dict[str, Any], files: Sequence[str | None]) -> dict[str, Outcome]:
    """What an earlier, interrupted call of the same kind has finished, of files that are as they were."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    whole = [json.loads(line) for line in lines if line.endswith("\n")]
    if whole and whole[0] != call:
        raise ValueError(
            f"{path.parent}: was begun with another model or other options; delete it, or choose another --output."
        )
    wanted = set(files)
    kept = [e for e in whole[1:] if e["input"] in wanted and e["state"] == _as_json(file_state(e["input"]))]
    content = "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in [call, *kept])
    write_file(path, content.encode())
    return {entry["input"]: entry["answers"] for entry in kept}


def _as_json(state: tuple[int, int] | None) -> list[int] | None:
    return None if state is None else list(state)


def _judged(
    files: Sequence[str | None],
    loading: Mapping[str, Any],
    options: Mapping[str, Any],
    pipe: AffectRecognitionPipeline | None,
    processes: int,
) -> Iterator[tuple[str | None, Outcome]]:
    """As `judge_all`, without keeping anything."""
    with tqdm(total=len(files), desc="judging", unit="file", disable=None if len(files) > 1 else True) as bar:
        if pipe is not None:
            for file in files:
                yield file, _outcome(file, pipe, options)
                bar.update()
            return
        with _pool(min(processes, max(len(files), 1))) as pool:
            waiting = {pool.submit(_by_process, file, loading, options): file for file in files}
            for done in as_completed(waiting):
                yield waiting[done], _result(done)
                bar.update()


def _outcome(file: str | None, pipe: AffectRecognitionPipeline, options: Mapping[str, Any]) -> Outcome:
    try:
        return judge(pipe, file, **options)
    except FAULTS as error:
        return sentence_of(error)


_loaded = cache(load_pipeline)


def _by_process(file: str | None, loading: Mapping[str, Any], options: Mapping[str, Any]) -> Outcome:
    try:
        pipe = _loaded(**loading)
    except FAULTS as error:
        raise ValueError(sentence_of(error)) from None  # some of a library's own cannot be sent to another process
    return _outcome(file, pipe, options)


def _result(done: Future) -> Outcome:
    try:
        return done.result()
    except BrokenProcessPool as error:
        raise ValueError(
            "A process that judged was ended from outside, as where memory is short; start again with fewer "
            "--processes: what is finished is kept where there is an --output."
        ) from error


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that share the cores, and are ended at once when anything fails."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (max(1, cores // processes),)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _begin(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process is told, and ends the others
    end_with_parent()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
