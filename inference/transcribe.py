"""What is said in a recording, where no subtitles say it: by a model of speech recognition that the caller names."""

from functools import cache
from typing import Any, cast

from transformers import AutomaticSpeechRecognitionPipeline, pipeline

from affecthub.media.container import HeldFile, MediaError, name_of
from affecthub.media.quality import level
from affecthub.media.subtitles import Line, subtitles_for
from affecthub.media.windows import Sound, duration_of, events_of, spans_of, windows_of

PART = 30.0
"""s that are recognised at once: as much as Whisper takes (Radford et al. 2022)."""

QUIET = -60.0
"""dBFS, below which nothing is recognised: such models make words up where nobody speaks."""


@cache
def recogniser(model: str) -> AutomaticSpeechRecognitionPipeline:
    """The model, loaded once a process, on the CPU or the first accelerator.

    Args:
        model: folder, or "owner/name" on the Hub.

    Raises:
        ValueError: it cannot be loaded, or does not say when what is said.
    """
    try:
        found = pipeline("automatic-speech-recognition", model=model)
    except Exception as error:  # of many classes
        raise ValueError(f"--transcribe {model}: cannot be loaded ({' '.join(str(error).split()):.300}).") from error
    if found.type == "seq2seq":
        raise ValueError(f"--transcribe {model}: does not say when what is said; take a Whisper or a CTC model.")
    return found


def transcribed(held: HeldFile, model: str) -> list[Line]:
    """The subtitles of a recording; where it has none, what a model hears in it.

    Args:
        held: the recording.
        model: as `recogniser`.

    Raises:
        MediaError: its sound cannot be read.
        ValueError: as `recogniser`.
    """
    if lines := subtitles_for(held):
        return lines
    asr = recogniser(model)
    stamps = True if asr.type == "seq2seq_whisper" else "word"
    assert asr.feature_extractor is not None
    rate = asr.feature_extractor.sampling_rate
    again = HeldFile(held.source, held.limits)
    found, form = [], {"num_frames": 1, "frame_size": None, "sampling_rate": rate}
    for window in windows_of(events_of(again, video=False), spans_of(duration_of(again), PART, PART), {Sound}, **form):
        if window.audio is None or level(window.audio) < QUIET:
            continue
        said = asr({"raw": window.audio, "sampling_rate": rate}, return_timestamps=stamps)
        heard = cast(dict[str, Any], said)  # of one input one, and not the list that its annotation says
        for chunk in heard["chunks"]:
            begin, end = chunk["timestamp"]
            if text := chunk["text"].strip():
                until = window.end if end is None else window.start + end
                found.append(Line(window.start + (begin or 0.0), until, text))
    most = 100 * held.limits.characters
    if sum(len(line.text) for line in found) > most:
        raise MediaError(f"{name_of(held)}: more than {most:,} characters were heard; take another model")
    return found
