import csv
import os

import pytest

from affecthub.datasets_scripts.meld.annotations import COLUMNS, read_annotations

ROW = ["Hi there", "Ana", "joy", "positive", "0", "0", "4", "7", "0:20:57,256", "00:21:00,049"]


@pytest.fixture
def table(tmp_path):
    """Write rows, each the standard one with some cells replaced, and return the file."""

    def write(*changes, columns=COLUMNS, encoding="utf-8"):
        path = tmp_path / "train_sent_emo.csv"
        with path.open("w", newline="", encoding=encoding) as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(
                [change.get(c, value) for c, value in zip(COLUMNS, ROW, strict=True)] for change in changes
            )
        return path

    return write


def test_values_and_both_time_formats(table):
    (row,) = read_annotations(table({}), "train")
    assert row.key == "train/dia0_utt0"
    assert (row.start, row.end, row.duration) == (1257.256, 1260.049, 2.793)
    assert (row.season, row.episode, row.emotion, row.sentiment) == (4, 7, "joy", "positive")
    assert row.mended_characters == 0


@pytest.mark.parametrize(
    ("time", "seconds"), [("1:02:03.5", 3723.5), ("00:06:47,28", 407.28), ("9:00:00,001", 32400.001)]
)
def test_time_marks_and_short_fractions(table, time, seconds):
    assert read_annotations(table({"StartTime": time, "EndTime": "10:00:00,000"}), "dev")[0].start == pytest.approx(
        seconds
    )


def test_columns_in_another_order_and_extra_ones(tmp_path):
    path = tmp_path / "x.csv"
    names = ["Sr No.", *reversed(COLUMNS)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, ["1", *reversed(ROW)]])
    assert read_annotations(path, "test")[0].speaker == "Ana"


@pytest.mark.parametrize(
    "text", ["  padded  ", 'quote " and, comma', "two\nlines", "l’été — “naïve” …", "a\x0bb", "x" * 10_000]
)
def test_text_is_left_as_it_is(table, text):
    (row,) = read_annotations(table({"Utterance": text}), "train")
    assert row.text == text
    assert row.mended_characters == 0


def test_controls_are_read_through_windows_1252_and_counted(table):
    rows = read_annotations(
        table({"Utterance": "It\x92s \x93us\x94\x85"}, {"Utterance": "fine", "Utterance_ID": "1"}), "train"
    )
    assert [row.text for row in rows] == ["It’s “us”…", "fine"]
    assert [row.mended_characters for row in rows] == [4, 0]


def test_a_control_that_windows_1252_lacks_stays(table):
    (row,) = read_annotations(table({"Utterance": "a\x81b"}), "train")
    assert (row.text, row.mended_characters) == ("a\x81b", 0)


def test_windows_1252_bytes(table):
    (row,) = read_annotations(table({"Utterance": "It’s a café", "Speaker": "René"}, encoding="cp1252"), "train")
    assert (row.text, row.speaker, row.mended_characters) == ("It’s a café", "René", 3)


def test_windows_1252_bytes_beside_utf_8(tmp_path):
    head, tail = ",".join(COLUMNS), 'A,joy,positive,0,{},1,1,"0:00:00,000","0:00:01,000"'
    path = tmp_path / "x.csv"
    path.write_bytes(f"{head}\n“é”,{tail.format(0)}\n".encode() + f"“é”,{tail.format(1)}\n".encode("cp1252"))
    assert [(row.text, row.mended_characters) for row in read_annotations(path, "dev")] == [("“é”", 0), ("“é”", 3)]


def test_byte_order_mark(table):
    assert len(read_annotations(table({}, encoding="utf-8-sig"), "train")) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_is_named(table, encoding):
    with pytest.raises(ValueError, match=r"train_sent_emo.csv: .*UTF-16.*save it as UTF-8"):
        read_annotations(table({}, encoding=encoding), "train")


def test_byte_of_no_encoding(table):
    path = table({"Utterance": "a?b"})
    path.write_bytes(path.read_bytes().replace(b"a?b", b"a\x81b"))
    with pytest.raises(ValueError, match=r"line 2: byte 0x81 in .* neither UTF-8 nor Windows-1252"):
        read_annotations(path, "train")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_empty_file(tmp_path, content):
    path = tmp_path / "dev_sent_emo.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"dev_sent_emo.csv: the file is empty"):
        read_annotations(path, "dev")


def test_header_alone(table):
    with pytest.raises(ValueError, match=r"train_sent_emo.csv: a header and no row"):
        read_annotations(table(), "train")


def test_missing_column(table):
    columns = ["Mood" if c == "Emotion" else c for c in COLUMNS]
    with pytest.raises(ValueError, match=r"train_sent_emo.csv: column Emotion is missing; the header is .*Mood"):
        read_annotations(table({}, columns=columns), "train")


def test_two_columns_of_one_name(table):
    with pytest.raises(ValueError, match=r"2 columns are named 'Emotion' \(columns 3 and 4\): rename one"):
        read_annotations(table({}, columns=["Emotion" if c == "Sentiment" else c for c in COLUMNS]), "train")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train_sent_emo.csv")
    with pytest.raises(ValueError, match=r"train_sent_emo.csv: no regular file but a pipe"):
        read_annotations(tmp_path / "train_sent_emo.csv", "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Emotion": "hapy"}, r"line 3: unknown emotion 'hapy'; The labels are neutral, surprise, fear"),
        ({"Emotion": "angry"}, r"line 3: unknown emotion 'angry'; did you mean 'anger'\?"),
        ({"Emotion": "Joy"}, r"line 3: unknown emotion 'Joy'; did you mean 'joy'\?"),
        ({"Sentiment": "postive"}, r"line 3: unknown sentiment 'postive'; did you mean 'positive'\?"),
        ({"StartTime": "20:57"}, r"line 3: StartTime '20:57' is no time; write h:mm:ss,mmm"),
        ({"EndTime": "0:61:00,000"}, r"line 3: EndTime '0:61:00,000' is no time"),
        ({"Dialogue_ID": "1.0"}, r"line 3: Dialogue_ID '1.0' is no whole number"),
        ({"Utterance_ID": ""}, r"line 3: Utterance_ID '' is no whole number"),
        ({"Season": "two"}, r"line 3: Season 'two' is no whole number"),
        ({"Dialogue_ID": "2147483648"}, r"line 3: Dialogue_ID '2147483648' is no whole number below a billion"),
        ({"Season": "9" * 5000}, r"line 3: Season '\.\.\.' is no whole number"),
        ({"Season": "\u0663"}, r"line 3: Season '\u0663' is no whole number"),
        ({"EndTime": "0:20:50,000"}, r"line 3: EndTime 0:20:50,000 is before StartTime 0:20:57,256; exchange or mend"),
        ({"Utterance": "x" * 2**24}, r"line 3: it has over 16,777,216 characters"),
        ({"Utterance_ID": "0"}, r"lines 2 and 3 are both train/dia0_utt0"),
    ],
)
def test_wrong_value_names_file_line_and_remedy(table, change, message):
    with pytest.raises(ValueError, match=message) as error:
        read_annotations(table({}, {"Utterance_ID": "1"} | change), "train")
    assert "train_sent_emo.csv" in str(error.value)


def test_unquoted_comma(table):
    path = table({})
    path.write_text(path.read_text().replace('"0:20:57,256"', "0:20:57,256"))
    with pytest.raises(ValueError, match=r"line 2: 11 cells under 10 columns"):
        read_annotations(path, "train")
