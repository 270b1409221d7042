"""What `affecthub predict --people` does: the faces of a recording are followed, and each gets answers of its own.

The model sees of a person the face that is followed, cut out; sound and words are those of the recording, and shared.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from affecthub.inference.inputs import Given, Reading, Sample, check_windows, given_of
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline, Answer, unjudged
from affecthub.media.container import MediaError, probe
from affecthub.media.for_processor import frames_for, picture_size
from affecthub.media.people import Follower, Person, people_in
from affecthub.media.quality import Quality
from affecthub.media.windows import Picture, Sound, Window, check_spans, spans_of

NO_FACE = "no face"

CROWD = "more than {most} faces at once; the largest were followed"


def judge_people(pipe: AffectRecognitionPipeline, inputs: object, reading: Reading, most: int) -> Iterator[Answer]:
    """The answers about each person of a recording, window by window.

    An answer is the pipeline's and has also:

    - person: the number of the face, from 1, within this recording; None where no face is in sight;
    - speaks: whether this is the one who speaks, an estimate by the motion of the mouth; None where nothing says so;
    - speech: the correlation that the estimate is made of, -1..1;
    - face_size: px; yaw: degrees, roughly.

    Args:
        pipe: of a model that takes pictures.
        inputs: as the pipeline's, with a video file.
        reading: windows, limits and quality.
        most: faces that are followed at once; of more, the largest are.

    Raises:
        ValueError: the model takes no pictures, or the input is no video with pictures.
    """
    follower = follower_for(pipe, most)
    window, hop = check_windows(pipe.processor, reading)
    with ExitStack() as stack:
        given = given_of(inputs, pipe.processor, stack, reading)
        if given.video is None or not probe(given.video).has_video:
            raise MediaError(f"{given.name}: holds no pictures; pass a video, or leave --people out")
        duration = given.duration()
        check_spans(duration, window, hop, reading.limits)
        kinds = {Picture, *([Sound] if given.sounds else [])}
        parts = people_in(
            follower,
            given.events(kinds),
            spans_of(duration, window, hop),
            kinds,
            frames_for(pipe.processor),
            pipe.processor.sampling_rate or 16_000,
        )
        for part, people in parts:
            given.check(reading.strict)
            if follower.crowd > most:
                _note(given, CROWD.format(most=most))
            rest = {"text": given.words((part.start, part.end)), "physio": given.physio, **given.around}
            yield from judge_each(pipe, part, people, reading.quality, rest, given.warnings)
        given.check(reading.strict)


def follower_for(pipe: AffectRecognitionPipeline, most: int) -> Follower:
    """What follows the faces that a model sees; ValueError where it takes no pictures, or `most` is no number."""
    if "video" not in pipe.processor.modalities:
        raise ValueError(f"this model takes {pipe.processor.modalities}: --people needs one that takes pictures.")
    if most < 1:
        raise ValueError(f"--faces {most}: a number from 1 on is needed.")
    return Follower(picture_size(pipe.processor), most)


def judge_each(
    pipe: AffectRecognitionPipeline,
    window: Window,
    people: list[Person],
    quality: Quality,
    rest: dict[str, Any],
    warnings: list[str],
) -> list[Answer]:
    """The answers about the people of one window, judged at once; one that says so where there are none.

    Args:
        pipe: as `judge_people`.
        window: with the sound that all share.
        people: who is in sight.
        quality: what each needs to be judged.
        rest: what a sample holds beside picture and sound.
        warnings: of the recording.
    """
    span = (window.start, window.end)
    if not people:
        return [unjudged(span, NO_FACE) | {"person": None, "warnings": warnings}]
    audio = window.audio if "audio" in pipe.processor.modalities else None
    samples = []
    for person in people:
        fault = quality.fault(person.pictures, audio, person.size, person.yaw)
        samples.append(Sample(0, span, True, {"audio": audio, "video": person.pictures} | rest, warnings, fault))
    told = [
        {"person": p.number, "speaks": p.speaks, "speech": p.speech, "face_size": p.size, "yaw": p.yaw} for p in people
    ]
    return [answer | extra for answer, extra in zip(pipe.judge(samples), told, strict=True)]


def _note(given: Given, warning: str) -> None:
    if warning not in given.warnings:
        given.warnings.append(warning)
