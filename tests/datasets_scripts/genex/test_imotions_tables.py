"""Exported tables with real quirks, byte for byte: header rows, separators, decimal marks, encodings, names."""

import numpy as np
import pytest

from affecthub.datasets_scripts.genex.imotions_tables import read_table

HEADER = "Respondent Name,Fixation Start,Fixation Dispersion"
WANTED = ("Respondent Name", "Fixation Start", "Fixation Dispersion")
ROWS = "LE 3299,120,0.75\r\nCP 0636,1240,1.5\r\n"


def written(tmp_path, content, name="FixationTable.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def metadata(rows, separator=","):
    return "".join(f"#Setting {i}{separator}value {i}\r\n" for i in range(rows))


def findings(table):
    return {note.finding: note.count for note in table.notes}


@pytest.mark.parametrize("rows", [0, 1, 6, 10, 24, 26])
def test_the_header_is_found_below_any_number_of_metadata_rows(tmp_path, rows):
    table = read_table(written(tmp_path, metadata(rows) + HEADER + "\r\n" + ROWS), WANTED)
    assert table.columns["Respondent Name"] == ["LE 3299", "CP 0636"]
    assert table.numbers("Fixation Start").tolist() == [120, 1240]
    assert table.lines == [rows + 2, rows + 3]
    assert len(table.metadata) == rows and (not rows or table.metadata["setting 0"] == "value 0")
    assert table.notes == []


def test_a_list_of_signals_above_data_does_not_pass_for_the_header(tmp_path):
    signals = "#Signals," + HEADER + "\r\n#DATA,\r\n"
    table = read_table(written(tmp_path, signals + "Row," + HEADER + "\r\n1,LE 3299,5,0.5\r\n"), WANTED)
    assert table.columns["Respondent Name"] == ["LE 3299"]
    assert table.metadata["signals"] == "Respondent Name"


def test_semicolons_and_decimal_commas(tmp_path):
    content = metadata(6, ";") + HEADER.replace(",", ";") + "\r\nLE 3299;120;0,75\r\nCP 0636;1.240,5;1,5\r\n"
    table = read_table(written(tmp_path, content), WANTED)
    assert table.numbers("Fixation Start").tolist() == [120, 1240.5]
    assert table.numbers("Fixation Dispersion").tolist() == [0.75, 1.5]
    assert findings(table) == {"decimal_comma": 1}


def test_semicolons_with_decimal_points_stay_points(tmp_path):
    content = HEADER.replace(",", ";") + "\r\nLE 3299;120;0.75\r\n"
    table = read_table(written(tmp_path, content), WANTED)
    assert table.numbers("Fixation Dispersion").tolist() == [0.75] and table.notes == []


def test_quoted_decimal_commas_between_commas(tmp_path):
    table = read_table(written(tmp_path, HEADER + '\r\nLE 3299,120,"0,75"\r\n'), WANTED)
    assert table.numbers("Fixation Dispersion").tolist() == [0.75]


def test_tabs(tmp_path):
    content = (metadata(2) + HEADER + "\r\n" + ROWS).replace(",", "\t")
    assert read_table(written(tmp_path, content), WANTED).numbers("Fixation Start").tolist() == [120, 1240]


def test_a_byte_order_mark_belongs_to_no_name(tmp_path):
    table = read_table(written(tmp_path, b"\xef\xbb\xbf" + (HEADER + "\r\n" + ROWS).encode()), WANTED)
    assert table.columns["Respondent Name"][0] == "LE 3299" and table.notes == []


def test_windows_1252(tmp_path):
    content = "#Study,Caf\xe9 \x80 Studie\r\n".encode("latin-1") + (HEADER + "\r\n").encode() + b"J\xf6 1,1,1.5\r\n"
    table = read_table(written(tmp_path, content), WANTED)
    assert table.columns["Respondent Name"] == ["Jö 1"]
    assert table.metadata["study"] == "Café € Studie"
    assert findings(table) == {"other_encoding": 1}
    assert "byte 0xE9" in table.notes[0].detail


def test_utf_16(tmp_path):
    table = read_table(written(tmp_path, ("#Study,Übung\n" + HEADER + "\n" + ROWS).encode("utf-16")), WANTED)
    assert table.metadata == {"study": "Übung"}
    assert len(table) == 2 and findings(table) == {"other_encoding": 1}


def test_the_first_of_two_columns_of_one_name(tmp_path):
    content = HEADER + ",fixation  start\r\nLE 3299,120,0.75,999\r\n"
    table = read_table(written(tmp_path, content), WANTED)
    assert table.numbers("Fixation Start").tolist() == [120]
    assert findings(table) == {"duplicate_column": 1}


def test_white_space_and_case_of_names_do_not_matter(tmp_path):
    content = "Respondent  Name, fixation start ,FIXATION\u00a0DISPERSION\r\nLE  3299 ,1,2.5\r\n"
    table = read_table(written(tmp_path, content), WANTED)
    assert table.columns["Respondent Name"] == ["LE 3299"]
    assert table.numbers("Fixation Dispersion").tolist() == [2.5]


def test_renamed_and_optional_columns(tmp_path):
    content = "Teilnehmer,Start,Marke\r\nLE 3299,1,a\r\n"
    table = read_table(
        written(tmp_path, content),
        ("Respondent Name", "Fixation Start"),
        ("Marke", "Absent"),
        {"Respondent Name": "teilnehmer", "Fixation Start": "Start"},
    )
    assert table.columns == {"Respondent Name": ["LE 3299"], "Fixation Start": ["1"], "Marke": ["a"]}


def test_words_and_blanks_are_nan_and_short_rows_are_counted(tmp_path):
    content = HEADER + "\r\nLE 3299,NaN,1.5\r\nLE 3299,,n/a\r\n\r\nLE 3299,3\r\nLE 3299,oops,4.5\r\n"
    table = read_table(written(tmp_path, content), WANTED)
    assert np.isnan(table.numbers("Fixation Start")).all()
    assert table.numbers("Fixation Dispersion")[[0, 2]].tolist() == [1.5, 4.5]
    assert findings(table) == {"short_row": 1} and "lines 5 " in table.notes[0].detail
    assert table.lines == [2, 3, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "FixationTable.csv: the file is empty"),
        (b" \r\n", "FixationTable.csv: the file is empty"),
        (b"a,b\n1,2\n", "no row holds the columns respondent name, fixation start.*begins 'a,b"),
        (HEADER.encode(), "no row below the header in line 1"),
    ],
)
def test_what_is_no_such_table_is_told(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_table(written(tmp_path, content), WANTED)
