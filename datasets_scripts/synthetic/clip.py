"""One utterance of the synthetic sample corpus becomes the bytes of an mp4 file."""

import io

import av
import av.container
import numpy as np

from affecthub.datasets_scripts.synthetic.face import draw_clip
from affecthub.datasets_scripts.synthetic.plan import FPS, SPEAKERS, SPLITS, SampleUtterance
from affecthub.datasets_scripts.synthetic.voice import RATE, speak

_SAMPLES_PER_FRAME = int(RATE / FPS)
_AAC = {"aac_coder": "fast"}  # 8 ms a clip; the default coder takes 30 and nobody hears the difference here


def render_clip(row: SampleUtterance, seed: int, layout: str | None = "mono") -> bytes:
    """Return the mp4 file of one utterance: the face shows its video cue, the voice its audio cue.

    Args:
        row: what to show.
        seed: of the corpus; together with the row's key it seeds this clip.
        layout: "mono"; "5.1" with the voice in the centre channel and the others silent; None for no audio track.
    """
    look, timbre = SPEAKERS[row.speaker]
    rng = np.random.default_rng([seed, SPLITS.index(row.split), row.dialogue, row.utterance])
    face_rng, voice_rng = rng.spawn(2)  # each modality its own stream: the voice must not depend on what was drawn
    frames = draw_clip(row.cues.video, look, row.frames, float(FPS), face_rng)
    if layout is None:
        return encode_clip(frames, None)
    voice = speak(row.cues.audio, timbre, row.frames * _SAMPLES_PER_FRAME, voice_rng)
    if layout == "mono":
        return encode_clip(frames, voice[None])
    channels = np.zeros((6, len(voice)), np.float32)
    channels[2] = voice  # FFmpeg's order: left, right, centre, low frequencies, back left, back right
    return encode_clip(frames, channels, layout)


def encode_clip(frames: np.ndarray, audio: np.ndarray | None, layout: str = "mono") -> bytes:
    """Encode H.264 video at 12.5 frames per second and AAC audio at 48 kHz into an mp4 file.

    One thread and an in-memory file: the same input gives the same bytes.

    Args:
        frames: (frames, height, width, 3) uint8, RGB.
        audio: (channels, samples) float32 in -1..1, or None for a clip without an audio track.
        layout: FFmpeg's name of the channel layout, "mono" or "5.1".

    Returns:
        The content of the file.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        container.metadata["comment"] = "synthetic: drawn face, computed voice"
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "24", "threads": "1"})
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        sound = None if audio is None else container.add_stream("aac", rate=RATE, layout=layout, options=_AAC)
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(video.encode())
        if sound is not None and audio is not None:
            _encode_audio(container, sound, audio, layout)
    return file.getvalue()


def _encode_audio(
    container: av.container.OutputContainer, sound: av.AudioStream, audio: np.ndarray, layout: str
) -> None:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), "fltp", layout)
    frame.sample_rate, frame.pts = RATE, 0
    container.mux(sound.encode(frame))
    container.mux(sound.encode())
