"""One clip through the pipeline with encoders of base size, against their bare forwards on ready tensors.

    python benchmarks/pipeline_overhead.py [--output FILE]

The ensemble with BERT-base and CLIP ViT-B/32 (random weights serve), eight frames of a clip of 3 s at 640 x 360 and a
line of text, in one thread; time is that of the processor. On a faster device the forwards shrink and decoding stays.
"""

import os
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is loaded

from pathlib import Path

import cv2
import torch
from measure import Goal, parser_of, ratio, report, table, time_paired
from sample_media import write_clip
from transformers import BatchFeature, BertTokenizer

from affecthub import TrimodalEnsembleConfig, TrimodalEnsembleForVideoClassification
from affecthub.inference.pipeline_affect import AffectRecognitionPipeline
from affecthub.media.for_processor import read_clip_for
from affecthub.processing.feature_extraction_log_mel import LogMelFeatureExtractor
from affecthub.processing.processing_trimodal import TrimodalProcessor
from affecthub.processing.video_processing_clip_frames import ClipFramesVideoProcessor

TEXT = "so glad you came and stayed with us for the whole of the evening"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(TEXT.split()))]
OURS, BARE, DECODING = "the pipeline", "the encoders alone", "decoding and encoding alone"
QUICK = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def main(arguments: list[str] | None = None) -> None:
    """Time both, and what the difference is made of."""
    options = parser_of(__doc__, rounds=15).parse_args(arguments)
    cv2.setNumThreads(1)
    model, processor = make_parts(QUICK if options.quick else {})
    pipe = AffectRecognitionPipeline(model, processor=processor, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "clip.mp4", seconds=1 if options.quick else 3)
        batch = _tensors(processor, clip)
        candidates = {
            OURS: lambda: pipe({"video": clip, "text": TEXT}),
            BARE: lambda: _encoders(model, batch),
            DECODING: lambda: _tensors(processor, clip),
        }
        times = time_paired(candidates, 1 if options.quick else options.rounds, time.process_time)
    goals = [Goal("the pipeline's time over the bare encoders'", ratio(times, OURS, BARE), at_most=1.25)]
    report("one clip through the pipeline", table(times, OURS), goals, options.output, times=times)


def make_parts(
    sizes: dict[str, int], sound: LogMelFeatureExtractor | None = None
) -> tuple[TrimodalEnsembleForVideoClassification, TrimodalProcessor]:
    """The ensemble, untrained, and its processor.

    Args:
        sizes: of its encoders, which are of base size where it says nothing else.
        sound: what makes features of sound; None: as usual.
    """
    config = TrimodalEnsembleConfig(
        text_config={"model_type": "bert", **sizes}, vision_config={"model_type": "clip_vision_model", **sizes}
    )
    processor = TrimodalProcessor(
        tokenizer=BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)}),
        video_processor=ClipFramesVideoProcessor(),
        feature_extractor=sound or LogMelFeatureExtractor(),
    )
    return TrimodalEnsembleForVideoClassification(config), processor


def _tensors(processor: TrimodalProcessor, path: Path) -> BatchFeature:
    clip = read_clip_for(processor, path)
    return processor.encode([{"text": TEXT, "audio": clip.audio, "video": clip.frames}])


@torch.inference_mode()
def _encoders(model: TrimodalEnsembleForVideoClassification, batch: BatchFeature) -> None:
    trunk = model.trimodal
    trunk.text_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    trunk.vision_model(pixel_values=batch["pixel_values_videos"][0])


if __name__ == "__main__":
    main()
