"""Which file is the clip of which row: twins, strays and junk in MELD's folders of clips."""

import re
from collections import defaultdict
from pathlib import Path

from affecthub.datasets_scripts.files import files_in
from affecthub.datasets_scripts.manifest import Record, check_records
from affecthub.datasets_scripts.meld.annotations import Utterance
from affecthub.datasets_scripts.meld.files import CLIP_FOLDERS, SplitFiles

TWIN_POLICIES = ("prefer_final", "plain")
"""Which of `final_videos_testdiaX_uttY.mp4` and `diaX_uttY.mp4` is an utterance's clip where both exist.

132 test clips are such twins; the first is the right one and the plain twin shows something else. "plain" is what code
does that knows nothing of it, for comparison with published figures. A twin without its sibling is used in both.
"""

_CLIP = re.compile(r"(final_videos_test)?(dia\d+_utt\d+)\.mp4")


def split_records(
    files: SplitFiles, utterances: list[Utterance], root: Path, twin_policy: str, check_media: bool
) -> list[Record]:
    """One record per utterance, in their order, then one per stray file.

    Args:
        files: where the split lies.
        utterances: of the split's table; empty where it has none.
        root: what the paths in the records are relative to.
        twin_policy: one of `TWIN_POLICIES`.
        check_media: whether to look at clips at all; otherwise rows are "not_checked" and there are no strays.
    """
    if not check_media:
        return [_row(utterance, None).with_finding("not_checked", "") for utterance in utterances]
    if files.clips is None:
        detail = f"no folder {CLIP_FOLDERS[files.split]}"
        return [_row(utterance, None).with_finding("missing", detail) for utterance in utterances]
    clips, strays = choose_clips(files, {utterance.key for utterance in utterances}, root, twin_policy)
    rows = [_row(utterance, clips.get(utterance.key)) for utterance in utterances]
    return check_records(rows, root, f"checking {files.split} clips") + strays


def choose_clips(
    files: SplitFiles, keys: set[str], root: Path, twin_policy: str
) -> tuple[dict[str, str], list[Record]]:
    """Sort the files of a split's folder.

    Args: as `split_records`; `keys` are the keys of its rows.

    Returns:
        Key -> the file of its clip, relative to `root`; and a record for every other file.

    Raises:
        ValueError: an unknown policy.
    """
    if twin_policy not in TWIN_POLICIES:
        raise ValueError(f"unknown twin_policy {twin_policy!r}; choose one of {', '.join(TWIN_POLICIES)}")
    candidates: dict[str, list[tuple[bool, str]]] = defaultdict(list)
    strays = []
    for path in files_in(files.clips):
        name, match = path.relative_to(root).as_posix(), _CLIP.fullmatch(path.name)
        key = f"{files.split}/{match[2]}" if match else None
        if match and key in keys:
            candidates[key].append((bool(match[1]), name))
        elif path != files.annotations:
            strays.append(_stray(files.split, name, key))
    clips = {}
    for key, found in candidates.items():
        first = [final == (twin_policy == "prefer_final") for final, _ in found]
        chosen = found[first.index(True) if True in first else 0][1]  # of two alike, the one nearest to the top
        clips[key] = chosen
        strays += [
            Record(files.split, None, name, ("superseded",), detail=f"{key} uses {chosen}")
            for _, name in found
            if name != chosen
        ]
    return clips, strays


def mark_shared(records: dict[str, list[Record]], utterances: dict[str, list[Utterance]]) -> dict[str, list[Record]]:
    """Flag the rows that stand in two splits: the same text at the same time of the same episode.

    Args:
        records: split -> its records, the rows first and in the order of `utterances`.
        utterances: split -> its rows.
    """
    places = defaultdict(list)
    for rows in utterances.values():
        for u in rows:
            places[u.season, u.episode, u.start, u.end, u.text].append(u)
    twins = {}
    for rows in places.values():
        for u in rows:
            twins[u.key] = [other.key for other in rows if other.split != u.split]
    return {
        split: [
            r.with_finding("in_two_splits", f"the same utterance as {', '.join(twins[r.key])}")
            if twins.get(r.key)
            else r
            for r in found
        ]
        for split, found in records.items()
    }


def _row(utterance: Utterance, file: str | None) -> Record:
    return Record(
        split=utterance.split,
        key=utterance.key,
        file=file,
        annotated_duration=utterance.duration,
        mended_characters=utterance.mended_characters,
    )


def _stray(split: str, name: str, key: str | None) -> Record:
    if key:
        return Record(split, None, name, ("unannotated",), detail=f"the table has no {key}")
    apple = Path(name).name.startswith("._")
    detail = "AppleDouble file of macOS, no media" if apple else "not named diaX_uttY.mp4"
    return Record(split, None, name, ("junk",), detail=detail)
