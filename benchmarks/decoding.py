"""A clip -> tensors (8 frames at 224 x 224 and log-mel), against the chains that one would write with other libraries.

    python benchmarks/decoding.py [CLIP] [--output FILE]

CLIP is a file of yours; by default one of 3 s at 640 x 360 is rendered. Every chain gives the same shapes from frames
at the same places; time is that of the processor. librosa reads no mp4 without the program ffmpeg, so the chains with
librosa get the sound as a WAV file that was extracted before, for free. torchcodec and decord are measured where they
are installed and work.
"""

import os
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is loaded

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import av
import cv2
import librosa
import numpy as np
import soundfile
import torch
from measure import Goal, parser_of, ratio, report, table, time_paired
from sample_media import write_clip

from affecthub.media.for_processor import read_clip_for
from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor
from affecthub.processing.processing_trimodal import TrimodalProcessor
from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor, uniform_indices

FRAMES = 8
SIDE = 224
OPENCV = "OpenCV with seeking, librosa"

Chain = Callable[[], tuple[torch.Tensor, torch.Tensor]]
"""Gives pixels (frames, 3, height, width), normalised, and log-mel features (frames, mel bands)."""


def main(arguments: list[str] | None = None) -> None:
    """Time every chain that works here."""
    parser = parser_of(__doc__, rounds=15)
    parser.add_argument("clip", type=Path, nargs="?")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        clip = options.clip or write_clip(Path(folder) / "clip.mp4", seconds=1 if options.quick else 3)
        chains, left_out = _chains(clip, _extracted_sound(clip, Path(folder) / "sound.wav"))
        times = time_paired(chains, 1 if options.quick else options.rounds, time.process_time)
    best = min((name for name in chains if name != "affecthub"), key=lambda name: np.median(times[name]))
    goals = [
        Goal(f"{OPENCV}: its time over ours", ratio(times, OPENCV, "affecthub"), at_least=2),
        Goal(f"the best other ({best}): its time over ours", ratio(times, best, "affecthub"), at_least=1),
    ]
    report("a clip -> tensors", table(times, "affecthub"), goals, options.output, times=times, notes=left_out)


def _extracted_sound(clip: Path, path: Path) -> Path:
    with av.open(clip) as container:
        parts = [frame.to_ndarray() for frame in container.decode(audio=0)]
        samples = np.concatenate(parts, axis=1).T
        soundfile.write(path, samples, container.streams.audio[0].rate)  # pyright: ignore[reportArgumentType]
    return path


def _chains(clip: Path, sound: Path) -> tuple[dict[str, Chain], dict[str, str]]:
    """The chains that work here, and of the others the reason."""
    processor = TrimodalProcessor(
        video_processor=ClipFramesVideoProcessor(num_frames=FRAMES),
        feature_extractor=LogMelFeatureExtractor(normalization="fixed", trim_db=None),
    )
    readers = {
        OPENCV: _opencv,
        "PyAV, every frame, librosa": _pyav,
        "torchcodec, librosa": _torchcodec,
        "decord, librosa": _decord,
    }
    chains: dict[str, Chain] = {"affecthub": lambda: _ours(processor, clip)}
    left_out = {}
    for name, reader in readers.items():
        try:
            reader(clip)
        except (ImportError, OSError, RuntimeError) as error:
            left_out[f"left out: {name}"] = str(error).strip().splitlines()[0]
            continue
        chains[name] = lambda reader=reader: (pixels(reader(clip)), _features(sound))
    return chains, left_out


def _ours(processor: TrimodalProcessor, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    clip = read_clip_for(processor, path)
    batch = processor.encode([{"audio": clip.audio, "video": clip.frames}])
    return batch["pixel_values_videos"][0], batch["input_features"][0]


def _opencv(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    images = []
    for index in uniform_indices(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), FRAMES):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(index))
        images.append(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB))
    capture.release()
    return images


def _pyav(path: Path) -> list[np.ndarray]:
    with av.open(path) as container:
        container.streams.video[0].thread_count = 1
        frames = list(container.decode(video=0))
    return [frames[index].to_ndarray(format="rgb24") for index in uniform_indices(len(frames), FRAMES)]


def _torchcodec(path: Path) -> list[np.ndarray]:
    decoder = import_module("torchcodec.decoders").VideoDecoder(path, num_ffmpeg_threads=1, dimension_order="NHWC")
    return list(decoder.get_frames_at(uniform_indices(len(decoder), FRAMES).tolist()).data.numpy())


def _decord(path: Path) -> list[np.ndarray]:
    reader = import_module("decord").VideoReader(str(path), num_threads=1)
    return list(reader.get_batch(uniform_indices(len(reader), FRAMES)).asnumpy())


def pixels(images: list[np.ndarray]) -> torch.Tensor:
    """Resize, centre crop and normalise, by OpenCV and torch."""
    small = []
    for image in images:
        scale = SIDE / min(image.shape[:2])
        size = round(image.shape[1] * scale), round(image.shape[0] * scale)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        top, left = (image.shape[0] - SIDE) // 2, (image.shape[1] - SIDE) // 2
        small.append(image[top : top + SIDE, left : left + SIDE])
    mean, std = (torch.tensor(getattr(ClipFramesVideoProcessor, name)) for name in ("image_mean", "image_std"))
    pixels = torch.from_numpy(np.stack(small)).float().div(255)
    return ((pixels - mean) / std).permute(0, 3, 1, 2)


def _features(sound: Path) -> torch.Tensor:
    samples, rate = librosa.load(sound, sr=16_000)
    mel = librosa.feature.melspectrogram(y=samples, sr=rate, n_fft=1024, hop_length=256, n_mels=40)
    return torch.from_numpy((librosa.power_to_db(mel, top_db=None).T + 35) / 20)


if __name__ == "__main__":
    main()
