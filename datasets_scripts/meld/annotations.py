"""MELD's annotation tables: a CSV becomes checked utterances. Wrong bytes are mended and counted.

MELD: Poria et al., "MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations", ACL 2019.
"""

import difflib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from affecthub.datasets_scripts.text_files import check_columns, csv_rows, read_file

EMOTIONS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
"""In the authors' order, so that an index here is their label id."""

SENTIMENTS = ("neutral", "positive", "negative")
"""In the authors' order."""

COLUMNS = (
    "Utterance",
    "Speaker",
    "Emotion",
    "Sentiment",
    "Dialogue_ID",
    "Utterance_ID",
    "Season",
    "Episode",
    "StartTime",
    "EndTime",
)
"""What a table must have, in any order; the published `Sr No.` is a running number that nothing needs."""

BACKWARDS = 0.25
"""s that a row may end before it begins: cuts were set by hand. More is an exchange of the two."""

_TIME = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d)[,.](\d{1,3})")


def _mend_table() -> dict[int, str]:
    """Wrong character -> right one: C1 controls, and the lone surrogates that stand for bytes that are not UTF-8."""
    table = {}
    for byte in range(0x80, 0x100):
        character = bytes([byte]).decode("cp1252", errors="ignore")  # five bytes mean nothing in Windows-1252
        if character:
            table[0xDC00 + byte] = character
        if character and byte < 0xA0:
            table[byte] = character
    return table


_MEND = _mend_table()


@dataclass(frozen=True)
class Utterance:
    """One row of an annotation table."""

    split: str
    """The authors' name: "train", "dev" or "test"."""
    dialogue_id: int
    """Restarts in every split and has gaps."""
    utterance_id: int
    """Within its dialogue; has gaps."""
    text: str
    """As in the table, but for mended characters; never stripped."""
    speaker: str
    """Sometimes "All" or "X and Y"."""
    season: int
    episode: int
    start: float
    """s from the beginning of the episode."""
    end: float
    """s from the beginning of the episode."""
    emotion: str
    """One of `EMOTIONS`."""
    sentiment: str
    """One of `SENTIMENTS`."""
    mended_characters: int = 0
    """Characters of the text and the speaker that were read through Windows-1252."""

    @property
    def key(self) -> str:
        """Identity of the utterance in the published data, such as "dev/dia110_utt7"; never a row's position."""
        return f"{self.split}/dia{self.dialogue_id}_utt{self.utterance_id}"

    @property
    def duration(self) -> float:
        """Annotated length, s; 0 or a little below 0 occurs in the published tables."""
        return round(self.end - self.start, 3)


def read_annotations(path: Path, split: str) -> list[Utterance]:
    """Read one table, in its own order.

    UTF-8 is expected, with or without a byte order mark. Old copies hold Windows-1252 characters as C1 controls
    (U+0080..U+009F) or as bare bytes: both are mapped to what was meant and counted in `Utterance.mended_characters`.

    Raises:
        ValueError: the table is empty, UTF-16, without a column or with two of one name, or a row holds an unknown
            label, a malformed time, an end before its start, a number that is none, a byte of no encoding, or the key
            of an earlier row; and as `read_file` and `csv_rows`. The message says where.
    """
    utterances: list[Utterance] = []
    lines: dict[str, int] = {}
    for line, record in _records(path):
        utterance = _utterance(record, split, f"{path}, line {line}")
        if utterance.key in lines:
            raise ValueError(
                f"{path}: lines {lines[utterance.key]} and {line} are both {utterance.key}; Dialogue_ID and "
                "Utterance_ID name one utterance: delete or renumber one of the two rows"
            )
        lines[utterance.key] = line
        utterances.append(utterance)
    if not utterances:
        raise ValueError(f"{path}: a header and no row below it; copy the annotation file again")
    return utterances


def _text(path: Path) -> str:
    """The file's text; bytes that are not UTF-8 become lone surrogates, to be mended cell by cell."""
    raw = read_file(path, "export_bytes")
    if b"\0" in raw:
        raise ValueError(f"{path}: holds zero bytes, as UTF-16 text does (it begins {raw[:4]!r}); save it as UTF-8")
    text = raw.decode("utf-8-sig", errors="surrogateescape")
    if not text.strip():
        raise ValueError(f"{path}: the file is empty; copy the annotation file again")
    return text


def _records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, column -> cell) of every row; the line is the row's last where a text has line breaks."""
    rows = csv_rows(path, io.StringIO(_text(path), newline=""), ",")
    _, header = next(rows)
    check_columns([name for name in header if name], path)  # spreadsheets leave columns without a name at the end
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise ValueError(
            f"{path}: column {', '.join(missing)} is missing; the header is {header}; MELD's tables are comma "
            f"separated, with the columns {', '.join(COLUMNS)}"
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, line {line}: {len(cells)} cells under {len(header)} columns: {cells}; put quotes "
                "around a text or a time that holds a comma"
            )
        yield line, dict(zip(header, cells, strict=True))


def _utterance(record: dict[str, str], split: str, where: str) -> Utterance:
    text, speaker = _mended(record["Utterance"], where), _mended(record["Speaker"], where)
    start, end = _seconds(record, "StartTime", where), _seconds(record, "EndTime", where)
    if end < start - BACKWARDS:
        raise ValueError(
            f"{where}: EndTime {record['EndTime']} is before StartTime {record['StartTime']}; exchange or mend them"
        )
    return Utterance(
        split=split,
        dialogue_id=_integer(record, "Dialogue_ID", where),
        utterance_id=_integer(record, "Utterance_ID", where),
        text=text[0],
        speaker=speaker[0],
        season=_integer(record, "Season", where),
        episode=_integer(record, "Episode", where),
        start=start,
        end=end,
        emotion=_label(record, "Emotion", EMOTIONS, where),
        sentiment=_label(record, "Sentiment", SENTIMENTS, where),
        mended_characters=text[1] + speaker[1],
    )


def _mended(text: str, where: str) -> tuple[str, int]:
    """(text with Windows-1252 characters where they were meant, how many)."""
    count = sum(ord(character) in _MEND for character in text)
    mended = text.translate(_MEND)
    strange = [ord(character) - 0xDC00 for character in mended if 0xDC80 <= ord(character) <= 0xDCFF]
    if strange:
        raise ValueError(
            f"{where}: byte 0x{strange[0]:02X} in {mended!r} is neither UTF-8 nor Windows-1252; save the file as UTF-8"
        )
    return mended, count


def _integer(record: dict[str, str], column: str, where: str) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", record[column]):
        shown = shorten(record[column], 40, placeholder="...")
        raise ValueError(f"{where}: {column} {shown!r} is no whole number below a billion; write digits alone")
    return int(record[column])


def _seconds(record: dict[str, str], column: str, where: str) -> float:
    """h:mm:ss,mmm as seconds; fewer digits are a decimal fraction (the published "00:06:47,28" is 28 hundredths)."""
    match = _TIME.fullmatch(record[column].strip())
    if match is None:
        raise ValueError(
            f"{where}: {column} {record[column]!r} is no time; write h:mm:ss,mmm, such as 0:16:21,731 or 00:16:21,731"
        )
    hours, minutes, seconds, fraction = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(f"{seconds}.{fraction}")


def _label(record: dict[str, str], column: str, known: tuple[str, ...], where: str) -> str:
    value = record[column]
    if value in known:
        return value
    close = difflib.get_close_matches(value.strip().lower(), known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"{where}: unknown {column.lower()} {value!r}; {hint}The labels are {', '.join(known)}")
