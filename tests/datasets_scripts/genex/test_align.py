"""Alignment by time: windows by hand, and against a plain loop over random annotations."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from affecthub.datasets_scripts.genex.align import AlignOptions, Signals, align
from affecthub.datasets_scripts.genex.clocks import on_one_clock
from affecthub.datasets_scripts.genex.study import FEATURES, TARGETS


def signals(expressions=(), fixations=(), peaks=(), sensor=None, attention=None):
    if sensor is None:
        sensor = pd.DataFrame({"time": np.zeros(0), "Attention": np.zeros(0), "Joy": np.zeros(0)})
    return Signals(
        pd.DataFrame(list(expressions), columns=["name", "onset", "offset"]).astype({"onset": float, "offset": float}),
        pd.DataFrame(list(fixations), columns=["start", "end", "duration", "dispersion"], dtype=float),
        pd.DataFrame(list(peaks), columns=["time", "amplitude"], dtype=float),
        sensor,
        attention,
    )


def feature(aligned, name):
    return aligned.features[:, FEATURES.index(name)].tolist()


def target(aligned, name):
    return aligned.targets[:, TARGETS.index(name)].tolist()


def test_an_episode_counts_while_it_touches_the_window_before_the_frame():
    times = np.array([500.0, 1000, 1001, 2999, 3000, 4000])
    events = signals([("Brow Raise", 1001, 2000), ("Joy", 1001, 2000), ("Neutral", 0, 9000)])
    aligned = align(events, times)
    assert feature(aligned, "Brow Raise") == [0, 0, 1, 1, 0, 0]
    assert target(aligned, "Joy") == [0, 0, 1, 1, 0, 0]
    at_once = align(events, times, AlignOptions(window_ms=0))
    assert target(at_once, "Joy") == [0, 0, 1, 0, 0, 0]
    assert target(align(events, np.array([1999.0, 2000]), AlignOptions(window_ms=0)), "Joy") == [1, 0]


def test_gaze_and_skin_conductance_over_the_last_second():
    events = signals(
        fixations=[(0, 300, 300, 0.5), (900, 1500, 600, 1.5), (3000, 3100, 100, 2.0)],
        peaks=[(500, 0.1), (1000, 0.3), (1500, 0.8)],
    )
    aligned = align(events, np.array([1000.0, 1300, 2500, 3050]))
    assert feature(aligned, "Fixation Density") == [2, 1, 0, 1]
    assert feature(aligned, "Mean Fixation Duration") == [450, 600, 0, 100]
    assert feature(aligned, "Gaze Dispersion") == [1, 1.5, 0, 2]
    assert feature(aligned, "GSR Peak Count") == [2, 2, 0, 0]
    assert feature(aligned, "Mean GSR Amplitude") == pytest.approx([0.2, 0.2, 0, 0])


def test_what_is_not_annotated_is_nan_not_zero():
    aligned = align(signals([("Joy", 100, 1500)]), np.array([0.0, 1000, 2000, 2500, 4000]))
    assert aligned.coverage[:, 0] == pytest.approx([0, 0.9, 0.5, 0, 0])
    assert np.isnan(target(aligned, "Joy")).tolist() == [True, False, False, True, True]
    assert np.isnan(aligned.features[:, 28:]).all() and not aligned.coverage[:, 1:].any()


def test_absence_is_known_only_between_the_first_event_of_a_table_and_its_last():
    events = signals([("Joy", 5000, 6000)], [(5000, 6000, 1000, 1)], [(5500, 0.1)])
    aligned = align(events, np.array([2000.0, 5000, 5600, 9000]), AlignOptions(window_ms=0))
    known = [False, True, True, False]
    for values in (target(aligned, "Joy"), feature(aligned, "Fixation Density"), feature(aligned, "GSR Peak Count")):
        assert (~np.isnan(values)).tolist() == known


def test_what_a_study_never_mentions_is_unknown_or_as_the_export_says():
    times = np.array([1000.0, 2000])
    events = signals([("Joy", 0, 2000)])
    assert np.isnan(target(align(events, times), "Smirk")).all() and np.isnan(align(events, times).attention).all()
    told = replace(events, mentioned=frozenset({"Joy", "Smirk", "Attention"}))
    assert target(align(told, times), "Smirk") == [0, 0] and align(told, times).attention.tolist() == [0, 0]
    samples = sensor(np.arange(0, 3001, 40.0), Attention=60.0, Joy=90.0, Smirk=1.0, Contempt=90.0)
    aligned = align(replace(events, sensor=samples), np.array([1000.0, 3000]))
    assert target(aligned, "Smirk") == [0, 0] and target(aligned, "Contempt") == [1, 1]
    assert target(aligned, "Joy") == [1, 1]  # the second by the export, as the table has ended
    assert np.isnan(target(aligned, "Anger")).all()


def clocks(events, end):
    left, found = on_one_clock(events, end)
    assert all(len(getattr(left, name)) == 0 for name in found)
    return found


@pytest.mark.parametrize("late", [0, 50_000, 65_000])
def test_a_table_on_a_late_clock_is_named_with_both_clocks(late):
    rng = np.random.default_rng(0)
    onset = np.sort(rng.uniform(500, 59_000, 40)) + late
    events = signals([("Joy", t, t + 500) for t in onset], [(t, t + 300, 300, 1) for t in np.arange(100, 59_000, 700)])
    found = clocks(events, 60_000)
    assert list(found) == (["expressions"] if late else [])
    said = f"runs from {onset[0] / 1000:.1f} to {onset[-1] / 1000 + 0.5:.1f} s, the recording from 0 to 60.0 s; export"
    assert all(said in detail for detail in found.values())


def test_a_recording_that_was_cut_is_no_other_clock():
    events = signals(peaks=[(t, 0.1) for t in range(12_000, 290_000, 20_000)])
    assert clocks(events, 100_000) == {}


@pytest.mark.parametrize("late", [0, 1000, 50_000, -30_000])
def test_episodes_on_another_clock_than_the_export_are_found_within_a_longer_recording(late):
    rng = np.random.default_rng(1)
    times = np.arange(0, 200_000, 40.0)
    joy = np.repeat(rng.random(200) < 0.3, 25)
    smile = np.repeat(rng.random(200) < 0.1, 25)
    samples = sensor(times, Attention=50.0, Joy=np.where(joy, 90.0, 5.0), Smile=np.where(smile, 60.0, 0.0))
    samples.loc[(times > 50_000) & (times < 60_000), ["Joy", "Smile", "Attention"]] = np.nan
    onsets = [("Joy", t) for t in times[25::25] if joy[int(t / 40)]]
    onsets += [("Smile", t) for t in times[25::25] if smile[int(t / 40)]]
    episodes = [(name, t + late, t + late + 999) for name, t in onsets if t + late >= 0]
    found = clocks(signals(episodes, sensor=samples), 300_000)
    assert list(found) == ([] if abs(late) < 2000 else ["expressions"])
    assert all(f"when it is moved by {-late / 1000:+.1f} s" in said for said in found.values())


def test_attention_is_the_share_of_the_window_in_its_episodes():
    events = signals([("Attention", 0, 500), ("Attention", 400, 700), ("Attention", 1500, 9000), ("Joy", 0, 9000)])
    aligned = align(events, np.array([500.0, 1000, 2000, 3000]))
    assert aligned.attention == pytest.approx([1.0, 0.7, 0.5, 1.0])


def sensor(times, **columns):
    return pd.DataFrame({"participant": "A 1", "stimulus": "", "time": times, "Joy": 0.0} | columns)


def test_a_window_without_a_face_is_unknown_whatever_the_episodes_say():
    times = np.arange(0, 3001, 40.0)
    seen = times <= 1000
    samples = sensor(times, Attention=np.where(seen, 80.0, np.nan), Joy=np.where(seen, 5.0, np.nan))
    aligned = align(signals([("Joy", 0, 5000)], sensor=samples), np.array([1000.0, 1500, 3000, 9000]))
    assert aligned.attention == pytest.approx([0.8, 0.8, np.nan, np.nan], nan_ok=True)
    assert aligned.coverage[:, 0] == pytest.approx([1, 0.5, 0, 0], abs=0.03)
    assert aligned.face_unseen.tolist() == [False, False, True, False]
    assert np.isnan(target(aligned, "Joy")).tolist() == [False, False, True, True]


def test_an_all_nan_block_leaves_gaze():
    samples = sensor(np.arange(0, 2001, 40.0), Attention=np.nan, Joy=np.nan)
    aligned = align(signals([("Joy", 0, 2000)], [(0, 1900, 1900, 1)], sensor=samples), np.array([1000.0]))
    assert np.isnan(aligned.targets).all() and np.isnan(aligned.attention).all()
    assert feature(aligned, "Fixation Density") == [1]


def test_an_export_alone_gives_what_passes_the_threshold():
    times = np.arange(0, 2001, 40.0)
    samples = sensor(times, Attention=60.0, Valence=-70.0, Joy=np.where(times < 500, 90.0, 1.0), Smile=49.0)
    samples.loc[times > 1800, "Valence"] = np.nan
    aligned = align(signals(sensor=samples), np.array([1000.0, 2000]))
    assert target(aligned, "Joy") == [1, 0] and target(aligned, "Smile") == [0, 0]
    assert target(aligned, "Negative Valence") == [1, 1] and target(aligned, "Positive Valence") == [0, 0]
    assert target(aligned, "Neutral Valence") == [0, 0] and target(aligned, "Attention") == [1, 1]
    assert np.isnan(target(aligned, "Anger")).all() and np.isnan(feature(aligned, "Head Down")).all()


def test_attention_of_the_whole_participant_is_on_request():
    options = AlignOptions(attention_source="summary")
    assert align(signals(attention=0.7), np.zeros(2), options).attention == pytest.approx([0.7, 0.7])
    assert np.isnan(align(signals(), np.zeros(2), options).attention).all()


@pytest.mark.parametrize("wrong", [{"window_ms": -1}, {"attention_source": "gut"}, {"attention_threshold": 50}])
def test_wrong_options_are_told(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AlignOptions(**wrong)


@pytest.mark.parametrize("window", [0.0, 200.0, 1000.0])
def test_random_annotations_agree_with_a_plain_loop(window):
    rng = np.random.default_rng(0)
    onset = np.sort(rng.uniform(0, 20_000, 60))
    episodes = [(rng.choice(["Joy", "Smile"]), t, t + rng.uniform(0, 800)) for t in onset]
    starts = np.sort(rng.uniform(0, 20_000, 50))
    fixations = [(t, t + d, d, rng.uniform()) for t, d in zip(starts, rng.uniform(50, 600, 50), strict=True)]
    peaks = [(t, rng.uniform()) for t in np.sort(rng.uniform(0, 20_000, 40))]
    times = np.sort(rng.uniform(1000, 19_000, 100))
    aligned = align(signals(episodes, fixations, peaks), times, AlignOptions(window_ms=window))
    for i, t in enumerate(times):
        joy = any(name == "Joy" and a <= t and b > t - window for name, a, b in episodes)
        assert aligned.targets[i, 0] == joy
        looks = [f for f in fixations if f[0] <= t and f[1] > t - window]
        assert aligned.features[i, 28] == len(looks)
        if looks:
            assert aligned.features[i, 29:31] == pytest.approx(np.mean(looks, axis=0)[2:], rel=1e-5)
        if window:
            jumps = [a for p, a in peaks if t - window < p <= t]
            assert aligned.features[i, 31] == len(jumps)
            assert aligned.features[i, 32] == pytest.approx(np.mean(jumps) if jumps else 0, rel=1e-4)
