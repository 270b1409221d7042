"""Raw video -> answers, against the chain that one would write with OpenCV, librosa and the same encoders.

    python benchmarks/end_to_end.py [--rounds N] [--output FILE]

The ensemble with BERT-base and CLIP ViT-B/32 (random weights serve) judges a recording of 30 s at 640 x 360 in windows
of 5 s, end to end, and by halves over one another; in PyTorch, and as `affecthub export --int8` makes it. The other
chain seeks the same frames with OpenCV and makes them pixels, takes librosa's log-mel and the same
model; it gets the sound as a WAV file for free, as librosa reads no mp4 without the program ffmpeg. Time is the
processor's, in one thread, so that other work on the machine does not count; a real-time factor is that time over the
recording's length. The answers are compared, and where ours spends its time is told apart.
"""

import os
import tempfile
import time
from functools import partial
from itertools import product

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is loaded

from pathlib import Path

import cv2
import librosa
import numpy as np
import soundfile
import torch
from decoding import pixels
from measure import Goal, parser_of, ratio, report, table, time_paired
from pipeline_overhead import QUICK, make_parts
from sample_media import repeat_clip, write_clip
from transformers import PreTrainedModel

from affecthub.hub.export import export_onnx
from affecthub.inference.onnx_model import OnnxModel
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline
from affecthub.inference.shared_frames import SharedFrames
from affecthub.media.container import HeldFile
from affecthub.media.decode import read_clip
from affecthub.media.for_processor import windows_for
from affecthub.media.windows import Picture, Sound, events_of, spans_of
from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor
from affecthub.processing.processing_trimodal import TrimodalProcessor

WINDOW = 5.0
HOPS = {"windows end to end": WINDOW, "windows by halves over one another": WINDOW / 2}
OURS, CHAIN = "affecthub", "OpenCV with seeking, librosa, the same encoders"
READING, ENCODING, MODEL = "decoding to windows", "the processor: log-mel and pixels", "the model"


def main(arguments: list[str] | None = None) -> None:
    """Time both, compare their answers, and take ours apart."""
    options = parser_of(__doc__, rounds=5).parse_args(arguments)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    sound = LogMelFeatureExtractor(normalization="fixed", trim_db=None)
    model, processor = make_parts(QUICK if options.quick else {}, sound)
    pipe = AffectRecognitionPipeline(model, processor=processor, device="cpu")
    clips, rounds = (4, 1) if options.quick else (10, options.rounds)
    with tempfile.TemporaryDirectory() as name:
        one = write_clip(Path(name) / "one.mp4", size=(160, 96) if options.quick else (640, 360))
        clip, wav = repeat_clip(one, Path(name) / "clip.mp4", clips), Path(name) / "sound.wav"
        whole = read_clip(clip, max_seconds=3.0 * clips + 1, num_frames=1, frame_size=64, sampling_rate=16_000)
        assert whole.audio is not None
        soundfile.write(wav, whole.audio, 16_000, subtype="FLOAT")
        length = len(whole.audio) / 16_000
        candidates, apart = {}, {}
        pipes = {"PyTorch": pipe}
        if not options.quick:
            pipes["int8"] = _exported(model, processor, Path(name) / "model")
        for (backend, each), (overlap, hop) in product(pipes.items(), HOPS.items()):
            spans = list(spans_of(length, WINDOW, hop))
            masks = [_encoded(pipe, window.frames, window.audio) for window in _windows(pipe, clip, spans)]
            ours, chain = (f"{who}; {backend}, {overlap}" for who in (OURS, CHAIN))
            candidates[ours] = partial(_ours, each, clip, hop)
            candidates[chain] = partial(_chain, each, clip, wav, spans, masks)
            apart[ours, chain] = np.abs(np.array(candidates[ours]()) - np.array(candidates[chain]())).max()
        spans = list(spans_of(length, WINDOW, WINDOW))
        windows = _windows(pipe, clip, spans)
        batches = [_encoded(pipe, window.frames, window.audio) for window in windows]
        candidates |= {
            READING: lambda: _windows(pipe, clip, spans),
            ENCODING: lambda: [_encoded(pipe, window.frames, window.audio) for window in windows],
            MODEL: lambda: [_scores(pipe, batch) for batch in batches],
        }
        times = time_paired(candidates, rounds, time.process_time)
    goals = [Goal(f"time over ours: {chain}", ratio(times, chain, ours), at_least=2) for ours, chain in apart]
    goals.append(Goal("the largest difference of a score", float(max(apart.values())), at_most=1e-3))
    factors = {name: f"{np.median(times[name]) / length:.3f} of real time" for pair in apart for name in pair}
    title = f"a recording of {length:.0f} s -> answers for windows of {WINDOW:g} s"
    report(title, table(times, next(iter(candidates))), goals, options.output, times=times, notes=factors)


def _exported(model: PreTrainedModel, processor: TrimodalProcessor, folder: Path) -> AffectRecognitionPipeline:
    """The same model with 8-bit integers."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    export_onnx(folder, int8=True)
    exported = OnnxModel.from_pretrained(folder, model.config, "onnx-int8")
    return AffectRecognitionPipeline(exported, processor=processor)


def _ours(pipe: AffectRecognitionPipeline, clip: Path, hop: float) -> list[list[float]]:
    answers = pipe.stream(clip, window_seconds=WINDOW, hop_seconds=hop)
    return [list(answer["scores"].values()) for answer in answers]


def _windows(pipe: AffectRecognitionPipeline, clip: Path, spans: list) -> list:
    return list(windows_for(pipe.processor, events_of(HeldFile(clip)), spans, {Picture, Sound}))


def _encoded(pipe: AffectRecognitionPipeline, frames: np.ndarray, audio: np.ndarray) -> dict:
    return pipe.processor.encode([{"audio": audio, "video": frames}])


@torch.inference_mode()
def _scores(pipe: AffectRecognitionPipeline, batch: dict) -> list[float]:
    """Of one window by itself: what ours remembers of the one before is forgotten."""
    whole = isinstance(pipe.model, OnnxModel)
    memory = pipe.model if whole else pipe.model.base_model.get_submodule("vision_model").forward
    assert isinstance(memory, OnnxModel | SharedFrames)
    memory.kept.clear()
    return pipe.model(**batch, output_modality_logits=True).logits[0].softmax(-1).tolist()


def _chain(pipe: AffectRecognitionPipeline, clip: Path, wav: Path, spans: list, batches: list) -> list[list[float]]:
    """Scores of each window; of ready batches the masks alone are used."""
    found, count = [], batches[0]["pixel_values_videos"].shape[1]
    capture = cv2.VideoCapture(str(clip))
    rate = capture.get(cv2.CAP_PROP_FPS)
    for (start, end), masks in zip(spans, batches, strict=True):
        frames = []
        for middle in start + (np.arange(count) + 0.5) / count * (end - start):
            capture.set(cv2.CAP_PROP_POS_FRAMES, int(middle * rate + 1e-6))
            frames.append(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB))
        sound, _ = librosa.load(wav, sr=16_000, offset=start, duration=end - start)
        mel = librosa.feature.melspectrogram(y=sound, sr=16_000, n_fft=1024, hop_length=256, n_mels=40)
        features = torch.from_numpy((librosa.power_to_db(mel, top_db=None).T + 35) / 20)
        found.append(
            _scores(pipe, {**masks, "pixel_values_videos": pixels(frames)[None], "input_features": features[None]})
        )
    capture.release()
    return found


if __name__ == "__main__":
    main()
