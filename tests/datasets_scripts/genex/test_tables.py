"""The tables of a study, with what goes wrong in them: everything is counted and the rest is read."""

import numpy as np
import pandas as pd
import pytest

from affecthub.datasets_scripts.genex.study import EXPRESSIONS, FEATURES, TARGETS, Study, normalise_name
from affecthub.datasets_scripts.genex.tables import own_rows, read_study_tables

FEA = "Respondent Name,Expression Type,Expression Onset,Expression Offset\n"
FIX = "Respondent Name,Fixation Start,Fixation End,Fixation Duration,Fixation Dispersion\n"
GSR = "Respondent Name,Peak Time,Peak Amplitude\n"


def study(tmp_path, files):
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return read_study_tables(tmp_path, Study())


def findings(tables):
    return {(note.subject, note.finding): note.count for note in tables.notes}


def test_the_names_are_33_and_17():
    assert len(EXPRESSIONS) == 28 and len(set(FEATURES)) == 33 and len(set(TARGETS)) == 17


@pytest.mark.parametrize("name", ["LE 3299", " LE  3299", "LE_3299", "le\u00a03299"])
def test_participants_have_one_name(name):
    assert normalise_name(name) == "LE 3299"


def test_every_table_is_read_wherever_it_lies(tmp_path):
    tables = study(
        tmp_path,
        {
            "Analysis/Facial Coding/FEAExpressionTable.csv": FEA + "LE  3299,joy,100,200\nLE 3299,Brow Raise,0,50\n",
            "Analysis/Eye Tracking/fixationtable.CSV": FIX + "LE_3299,10,250,240,0.5\n",
            "GSRPeakTable.csv": GSR + "LE 3299,500,0.1\n",
            "Multimodal summary metrics.csv": "Respondent Name,FEA_ThresholdedMetrics_AttentionTimePercentage\n"
            "LE 3299,73.5\nCP 0636,\n",
        },
    )
    assert tables.expressions[["participant", "name", "onset", "offset"]].values.tolist() == [
        ["LE 3299", "Brow Raise", 0, 50],
        ["LE 3299", "Joy", 100, 200],
    ]
    assert tables.fixations.iloc[0][["start", "end", "duration", "dispersion"]].tolist() == [10, 250, 240, 0.5]
    assert tables.peaks.iloc[0][["time", "amplitude"]].tolist() == [500, 0.1]
    assert tables.attention == {"LE 3299": 0.735}
    assert tables.participants() == {"LE 3299"}
    assert findings(tables) == {("FEAExpressionTable.csv", "never_mentioned"): 43}


def test_bad_rows_unknown_types_and_disorder_are_counted(tmp_path):
    rows = "A 1,Joy,500,600\nA 1,Joy,100,200\nA 1,Eyebrow Dance,1,2\nA 1,Eyebrow Dance,3,4\n"
    rows += "A 1,Smile,300,200\nA 1,Smile,x,200\nA 1,Smile,-5,200\n,Smile,1,2\nA 1,Smile,1,2\nB 2,Joy,50,60\n"
    tables = study(tmp_path, {"FEAExpressionTable.csv": FEA + rows})
    assert tables.expressions.onset.tolist() == [100, 500, 1, 50]
    assert findings(tables) == {
        ("FEAExpressionTable.csv: 'Eyebrow Dance'", "unknown_expression"): 2,
        ("FEAExpressionTable.csv", "bad_row"): 4,
        ("FEAExpressionTable.csv", "out_of_range"): 2,
        ("FEAExpressionTable.csv", "never_mentioned"): 43,
        ("FEAExpressionTable.csv", "out_of_order"): 1,
        ("FixationTable.csv", "missing_table"): 1,
        ("GSRPeakTable.csv", "missing_table"): 1,
        ("Multimodal summary metrics.csv", "missing_table"): 1,
    }
    assert any("lines 6, 7, 8, 9:" in note.detail for note in tables.notes)


def test_an_unreadable_table_leaves_the_others(tmp_path):
    tables = study(tmp_path, {"FEAExpressionTable.csv": "no,table\n1,2\n", "GSRPeakTable.csv": GSR + "A 1,5,0.1\n"})
    assert len(tables.peaks) == 1 and len(tables.expressions) == 0
    assert ("FEAExpressionTable.csv", "unreadable_table") in findings(tables)


def test_one_stray_table_does_not_stop_a_study(tmp_path):
    files = {
        "GSRPeakTable.csv": GSR + "A 1,5,0.1\n",
        "stray.csv": "x" * (2**24 + 2),
        "FixationTable.csv": FIX.replace(",", ";") + "A 1;10;250;240;0,5\nA 1;300;550;250;0.5\n",
        "FEAExpressionTable.csv": FEA + "A 1,Joy,100,200,300\nA 1,Joy,100\nA 1,Joy,100,200,\n",
    }
    tables = study(tmp_path, files)
    assert len(tables.peaks) == 1 and len(tables.expressions) == 1 and len(tables.fixations) == 0
    found = findings(tables)
    assert found["stray.csv", "unreadable_table"] == found["FixationTable.csv", "unreadable_table"] == 1
    assert found["FEAExpressionTable.csv", "long_row"] == found["FEAExpressionTable.csv", "short_row"] == 1
    details = " ".join(note.detail for note in tables.notes)
    assert "decimals are written in two ways, '0,5' in line 2 and '0.5' in line 3" in details
    assert "it has over 16,777,216 characters" in details


def test_what_a_column_cannot_hold_is_unknown_and_counted(tmp_path):
    rows = "".join(f"{i},{40 * i},AFFDEX,1,90,-20,0\n" for i in range(20))
    rows += "20,800,AFFDEX,1,1e9,-100.001,101\n21,840,AFFDEX,1,inf,-101,oops\n22,-40,AFFDEX,1,90,0,0\n"
    tables = study(tmp_path, {"LE 3299.csv": export(rows), "GSRPeakTable.csv": GSR + "A 1,5,0.1\nA 1,6,1e9\n"})
    assert tables.sensor.Attention.tolist()[20:] == pytest.approx([np.nan, np.nan], nan_ok=True)
    assert tables.sensor.Valence.tolist()[20:] == pytest.approx([-100, np.nan], nan_ok=True)
    assert np.isnan(tables.sensor["Brow Raise"].tolist()[20:]).all() and len(tables.sensor) == 22
    assert findings(tables)["LE 3299.csv", "out_of_range"] == 6 and tables.peaks.time.tolist() == [5]
    assert findings(tables)["GSRPeakTable.csv", "out_of_range"] == 1
    assert any("'1e9' in line 46 (Attention, 0 to 100)" in note.detail for note in tables.notes)


def test_a_table_on_another_scale_is_not_read(tmp_path):
    rows = "".join(f"{i},{40 * i},AFFDEX,1,{90 * i},-20,0\n" for i in range(30))
    tables = study(tmp_path, {"LE 3299.csv": export(rows)})
    assert len(tables.sensor) == 0 and findings(tables)["LE 3299.csv", "unreadable_table"] == 1
    assert any("28 of 30 values of 'Attention' are outside of 0 to 100" in note.detail for note in tables.notes)


def test_doubled_rows_count_once(tmp_path):
    sensor = export("1,0,AFFDEX,1,90,-20,0\n2,40,AFFDEX,2,90,-20,0\n3,80,AFFDEX,3,90,-20,0\n")
    files = {
        "FixationTable.csv": FIX + "A 1,10,250,240,0.5\n" * 2,
        "GSRPeakTable.csv": GSR + "A 1,5,0.1\nA  1,5,0.10\nA 1,5,0.2\n",
        "LE 3299.csv": sensor,
        "copy/LE 3299 (1).csv": sensor,
        "other/LE 3299.csv": export("3,80,AFFDEX,9,90,-20,0\n"),
    }
    tables = study(tmp_path, files)
    assert len(tables.fixations) == 1 and tables.peaks.amplitude.tolist() == [0.1, 0.2]
    assert tables.sensor.time.tolist() == [0, 40]
    assert findings(tables)["AFFDEX exports", "doubled_row"] == 3
    assert findings(tables)["AFFDEX exports", "contradicted_sample"] == 2
    assert findings(tables)["FixationTable.csv", "doubled_row"] == 1


def test_several_shares_of_one_participant_are_left_out(tmp_path):
    header = "Respondent Name,FEA_ThresholdedMetrics_AttentionTimePercentage\n"
    rows = "A 1,50\nA 1,\nB 2,50\nB 2,60\nC 3,50\nC 3,50\nD 4,120\n"
    tables = study(tmp_path, {"Multimodal summary metrics.csv": header + rows})
    assert tables.attention == {"A 1": 0.5, "C 3": 0.5}
    assert findings(tables)["Multimodal summary metrics.csv", "bad_row"] == 1


def test_a_column_that_there_is_not_cannot_be_renamed(tmp_path):
    with pytest.raises(ValueError, match="no column is called 'Peak Tim'; did you mean 'Peak Time'"):
        read_study_tables(tmp_path, Study(columns={"Peak Tim": "T"}))


def test_two_tables_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match="bear the same name"):
        study(tmp_path, {"a/GSRPeakTable.csv": GSR + "A 1,5,0.1\n", "b/GSRPeakTable.csv": GSR + "A 1,5,0.1\n"})


SENSOR = "Row,Timestamp,EventSource,Joy,Attention,Valence,Brow Raise\n"


def export(rows, name="LE 3299", above=24):
    lines = [f"#Respondent Name,{name}"] + [f"#Line {i},x" for i in range(above - 2)] + ["#DATA,"]
    return "\n".join(lines) + "\n" + SENSOR + rows


@pytest.mark.parametrize("above", [24, 26])
def test_an_export_keeps_nan_as_no_face(tmp_path, above):
    rows = "1,0,AFFDEX,1,90,-20,0\n2,40,AFFDEX,,,,\n3,80,AFFDEX,NaN,NaN,NaN,NaN\n4,120,AFFDEX,2,80,0,60\n"
    tables = study(tmp_path, {"Sensor Data/001_LE 3299.csv": export(rows, above=above)})
    assert tables.sensor.participant.unique().tolist() == ["LE 3299"]
    assert tables.sensor.time.tolist() == [0, 40, 80, 120]
    assert tables.sensor.Attention.isna().tolist() == [False, True, True, False]


def test_forward_filled_rows_of_other_sources_are_left_out(tmp_path):
    rows = (
        "1,0,GSR,,,,\n2,10,AFFDEX,1,90,-20,0\n3,15,GSR,1,90,-20,0\n4,20,ET,1,90,-20,0\n5,50,AFFDEX,2,80,0,60\n"
        "6,55,GSR,2,80,0,60\n7,90,AFFDEX,,,,\n8,95,GSR,2,80,0,60\n9,130,AFFDEX,3,70,0,60\n"
    )
    tables = study(tmp_path, {"LE 3299.csv": export(rows)})
    assert tables.sensor.time.tolist() == [10, 50, 90, 130]
    assert tables.sensor.Joy.isna().tolist() == [False, False, True, False]
    assert findings(tables)["LE 3299.csv", "forward_filled"] == 5


def test_own_rows_of_an_all_nan_block_are_all_of_them():
    values = pd.DataFrame({"Joy": [np.nan] * 4})
    assert own_rows(values, ["3", "4", "3", "4"]).all()


def test_a_stimulus_column_restarts_the_clock(tmp_path):
    header = SENSOR.replace("EventSource", "SourceStimuliName")
    rows = "1,5000,A,1,90,0,0\n2,5040,A,1,91,0,0\n3,9000,B,1,92,0,0\n4,9040,B,1,93,0,0\n"
    tables = study(tmp_path, {"LE 3299.csv": "#Respondent Name,LE 3299\n#DATA,\n" + header + rows})
    assert tables.sensor[["stimulus", "time"]].values.tolist() == [["A", 0], ["A", 40], ["B", 0], ["B", 40]]


def test_an_export_without_a_name_inside_is_named_by_its_file(tmp_path):
    files = {
        "GSRPeakTable.csv": GSR + "LE 3299,5,0.1\n",
        "007_LE_3299.csv": "#DATA,\n" + SENSOR + "1,0,AFFDEX,1,90,0,0\n",
        "008_nobody.csv": "#DATA,\n" + SENSOR + "1,0,AFFDEX,1,90,0,0\n",
        "notes.txt": "remember the milk",
    }
    tables = study(tmp_path, files)
    assert tables.sensor.participant.tolist() == ["LE 3299"]
    assert findings(tables)["008_nobody.csv", "bad_row"] == 1
    assert findings(tables)["notes.txt", "other_table"] == 1


def test_a_study_description_renames(tmp_path):
    (tmp_path / "study.yaml").write_text(
        "gsr_table: peaks.csv\ncolumns: {Respondent Name: Who, Peak Time: T}\nexpressions: {grin: Smile}\n"
    )
    description = Study.from_yaml(tmp_path / "study.yaml")
    (tmp_path / "peaks.csv").write_text("Who,T,Peak Amplitude\nA 1,5,0.1\n")
    (tmp_path / "FEAExpressionTable.csv").write_text(FEA.replace("Respondent Name", "Who") + "A 1,grin,1,2\n")
    tables = read_study_tables(tmp_path, description)
    assert tables.peaks.time.tolist() == [5] and tables.expressions.name.tolist() == ["Smile"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("gsr_tabel: x", "unknown key 'gsr_tabel'; did you mean 'gsr_table'"),
        ("- a", "holds a list"),
        ("expressions: {grin: Smiel}", "did you mean 'Smile'"),
        ("face_camera: 'Cam_(.*)'", "needs the groups"),
    ],
)
def test_a_wrong_description_is_told(tmp_path, content, message):
    (tmp_path / "study.yaml").write_text(content)
    with pytest.raises(ValueError, match=message):
        Study.from_yaml(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "RespCam_AR  2298_Screen recording 1_(21,FEMALE,1029) (1).mp4",
            ("AR 2298", "Screen recording 1", "face_camera"),
        ),
        ("Screen recording 1 - LE 3299.mp4", ("LE 3299", "Screen recording 1", "gaze_replay")),
        ("RespCam_LE 3299_Task.mp4", ("LE 3299", "Task", "face_camera")),
        ("holiday.mp4", None),
    ],
)
def test_recordings_are_known_by_their_names(tmp_path, name, expected):
    assert Study().recording(tmp_path / name) == expected
