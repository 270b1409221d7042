"""What leads up to a moment of a recording."""

from affecthub.training.moments import preceding_rows


def test_sequences_stay_inside_their_recording():
    rows, real = preceding_rows(["a", "a", "a", "b", "b"], 3)
    assert rows.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [3, 3, 3], [3, 3, 4]]
    assert real.sum(axis=1).tolist() == [1, 2, 3, 1, 2] and real[:, -1].all()
