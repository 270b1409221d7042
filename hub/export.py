"""Exporting a model folder's model to ONNX, into the folder: one graph that takes any batch, length and modalities.

```
 folder -> model, processor -> a made batch -> torch.export -> ONNX -> compared with the model -> onnx/model.onnx
                                                                 +---> weights as int8 --------> onnx/model_int8.onnx
```
"""

import json
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import ModelOutput

from affecthub.hub.card import FACTS, is_as_rendered, read_facts, write_card
from affecthub.hub.publish import code_named_in, load_saved
from affecthub.hub.remote_code import ENTRY, add_travelling_code
from affecthub.inference.model_check import (
    CHECK_FILE,
    check_files,
    check_finite,
    facts_of,
    made_sample,
    read_check,
    read_json,
    weights_of,
)
from affecthub.inference.onnx_model import (
    ENCODED,
    FRAMES,
    METADATA,
    NEW,
    ONNX_FILES,
    PLACE,
    TASK_LOGITS,
    OnnxModel,
    need_onnx,
)
from affecthub.inference.shared_frames import frame_encoder
from affecthub.media.files import replacing, write_file
from affecthub.media.for_processor import Processor
from affecthub.media.source_code import code_without_texts

OPSETS = range(18, 24)
"""Versions of ONNX's operators that torch.onnx writes by torch.export: 18 is its own, 23 the newest it converts to."""

TOLERANCE = 1e-4
"""Of a logit, as a share of the largest, or of 1 where that is more: how far the graph may be from the model."""

MOST_BYTES = 2**31 - 2**24
"""Of weights: a file of ONNX, which is one Protocol Buffers message, holds less than 2 GiB."""

SMALLEST = 2**17
"""Weights of a matrix whose products are of 8-bit integers; of smaller ones, as of heads, little is saved."""

QUANTIZED = ["MatMul", "Gemm"]

ROOMS = [Path(__file__).resolve().parent.parent / room for room in ("modeling", "processing")]

Inputs = dict[str, Tensor]
"""Of a model, by argument."""


def export_onnx(folder: str | Path, *, int8: bool = False, opset: int = OPSETS[0]) -> list[Path]:
    """Write `onnx/model.onnx` into a model folder; `check.json`, the requirements and the card name it.

    What was exported before is replaced; each file is written whole or not at all. A card that was changed by hand is
    left alone.

    Args:
        folder: as `train.py` writes it, or `save_pretrained` with the processor's.
        int8: also write `onnx/model_int8.onnx`, whose matrix products are of 8-bit integers.
        opset: version of ONNX's operators.

    Returns:
        The files.

    Raises:
        FileNotFoundError, ValueError: the folder is none, is broken, or brings other code than this package's; an
            opset that is not written; or a model that no graph can hold.
        ImportError: a library of the extra `onnx` is not installed.
    """
    need_onnx("onnx", "onnxruntime", "onnxscript")
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the model folder of a run, such as RUN/model.")
    check_files(folder)
    check_code(folder)
    untouched = is_as_rendered(folder)
    model, processor = load_saved(folder)
    check_finite(model)
    paths = [folder / name for name in list(ONNX_FILES.values())[: 1 + int8]]
    paths[0].parent.mkdir(exist_ok=True)
    digests = {name: facts_of(folder / name)["sha256"] for name in weights_of(folder)}
    with replacing(paths[0]) as exact:
        write_graph(exact, model, *made_batches(processor, model.config), weights=digests, opset=opset)
        if int8:
            with replacing(paths[1]) as small:
                write_int8(exact, small)
    _tell(folder, paths)
    if untouched:
        write_card(folder, read_facts(folder / FACTS))
    return paths


def check_code(folder: Path) -> None:
    """ValueError where a folder's code of model and processor is none of this package's, or does something else."""
    own = {path.name: path for room in ROOMS for path in room.glob("*.py") if path.name != "__init__.py"}
    named = {name for settings in folder.glob("*config.json") for name in code_named_in(read_json(settings))}
    named -= {f"{ENTRY[1]}.py"}  # the pipeline, which is not exported
    for path in sorted(path for path in folder.glob("*.py") if path.name in own.keys() | named):
        same = path.name in own and code_without_texts(path) == code_without_texts(own[path.name])
        if not same:
            raise ValueError(
                f"{path} is other code than this version's of affecthub, which would be exported in its place: export "
                "the model with the version that saved it, or save it again with this one."
            )


def made_batches(processor: Processor, config: Any) -> tuple[dict[str, Inputs], dict[str, Inputs]]:
    """Modality -> model inputs of two made samples, a longer and a shorter one; and of the shorter one twice.

    What differs in size between the two batches is what differs between samples.
    """
    long = made_sample(processor)
    short = dict(long)
    if "text" in long:
        short["text"] = long["text"].split()[0]
    if "audio" in long:
        short["audio"] = long["audio"][: len(long["audio"]) // 2]
    if "video" in long:
        short["video"] = long["video"][:1]
    if "physio" in long:
        steps = min(3, getattr(config, "max_steps", 3))
        long["physio"] = np.stack([long["physio"] / (1 + step) for step in range(steps)])

    def encode(*samples: dict[str, Any]) -> dict[str, Inputs]:
        return {name: dict(processor.encode([{name: each[name]} for each in samples])) for name in long}

    return encode(long, short), encode(short, short)


class _Graph(nn.Module):
    """The model with its output as one tensor a name, and a frame encoder that takes only the frames that are new."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model = model
        self.several = len(model.config.modalities) > 1

    def forward(self, **inputs: Tensor) -> Inputs:
        frames = {name: inputs.pop(name) for name in list(inputs) if name.startswith(FRAMES)}
        if not frames:
            return tensors_of(self.model(**inputs, output_modality_logits=self.several))
        new, place, given = frames.pop(NEW), frames.pop(PLACE), {}
        before = {name.removeprefix(FRAMES): value for name, value in frames.items()}
        encoder = frame_encoder(self.model)
        assert encoder is not None
        whole = encoder.forward

        def encode(pixel_values: Tensor, **kwargs: Any) -> ModelOutput:
            output = whole(pixel_values=pixel_values[new], **kwargs)
            given.update({name: torch.cat([known, output[name]])[place.flatten()] for name, known in before.items()})
            return type(output)(**given)

        encoder.forward = encode
        try:
            found = tensors_of(self.model(**inputs, output_modality_logits=self.several))
            return found | {f"{ENCODED}{name}": value for name, value in given.items()}
        finally:
            encoder.forward = whole


def frame_inputs(encoder: nn.Module, pixels: Tensor, known: int) -> Inputs:
    """What a graph is told of the frames (batch, ..., frames, 3, height, width); the first are known, and not new.

    Args:
        encoder: of frames.
        pixels: of the frames.
        known: how many frames are known.
    """
    flat = pixels.flatten(0, -4)
    with torch.no_grad():
        output = encoder(pixel_values=flat[:known], return_dict=True)
    states = {f"{FRAMES}{name}": value for name, value in output.items() if isinstance(value, Tensor)}
    place = torch.arange(len(flat)).view(pixels.shape[:-3])
    return {NEW: torch.arange(known, len(flat)), PLACE: place, **states}


def tensors_of(output: ModelOutput) -> Inputs:
    """The tensors of an output by name; those of several tasks each by its own."""
    found = {name: value for name, value in output.items() if isinstance(value, Tensor)}
    return found | {f"{TASK_LOGITS}{task}": value for task, value in (output.get("task_logits") or {}).items()}


def write_graph(
    path: Path,
    model: PreTrainedModel,
    long: Mapping[str, Inputs],
    short: Mapping[str, Inputs],
    *,
    weights: Mapping[str, str],
    opset: int = OPSETS[0],
) -> None:
    """Write a model as one file of ONNX, float32, and see that it answers as the model does.

    Args:
        path: the file.
        model: a classifier; it is put into eval mode and made float32.
        long, short: modality -> inputs (batch, ...) of at least 2 samples. The batch, and what differs in size between
            the two, is free in the graph.
        weights: file -> SHA-256 of what the model was loaded from, for the graph's metadata.
        opset: version of ONNX's operators.

    Raises:
        ValueError: an opset that is not written, or a model that no graph can hold.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    check_exportable(model, opset)
    encoder = frame_encoder(model) or nn.Identity()  # which nothing asks
    graph = _Graph(model.float().eval().requires_grad_(False))
    together, shorter = ({key: v for part in each.values() for key, v in part.items()} for each in (long, short))
    shapes = {key: list(value.shape[1:]) for key, value in shorter.items()}
    batches, encoded, asked = [together, shorter, *long.values()], {}, []
    with encoder.register_forward_hook(lambda *_: asked.append(True)):
        names = list(graph(**together))
    if asked:  # some models take a frame encoder apart instead
        known = frame_inputs(encoder, together["pixel_values_videos"], known=2)
        encoded = {
            name.removeprefix(FRAMES): list(v.shape[1:]) for name, v in known.items() if name not in (NEW, PLACE)
        }
        names += [f"{ENCODED}{name}" for name in encoded]
        together, shorter = together | known, shorter | frame_inputs(encoder, shorter["pixel_values_videos"], known=1)
    axes = {key: _free_axes(value, shorter[key]) for key, value in together.items()}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            graph,
            kwargs=together,
            dynamic_shapes={"inputs": axes},
            output_names=names,
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    told = {
        "weights": dict(weights),
        "modalities": {name: list(part) for name, part in long.items()},
        "shapes": shapes,
        "encoded": encoded,
    }
    ClearMetadataAndDocStringPass()(program.model)  # which names every line that made a node, and its path here
    program.model.metadata_props[METADATA] = json.dumps(told)
    program.save(path, external_data=False)
    check_graph(path, model, batches)


def check_exportable(model: PreTrainedModel, opset: int) -> None:
    """ValueError for an opset that is not written, or a model that no graph can hold."""
    if opset not in OPSETS:
        raise ValueError(
            f"opset {opset} is too {'old' if opset < OPSETS[0] else 'new'}: {OPSETS[0]} to {OPSETS[-1]} are written."
        )
    if any(getattr(part, "leaks", False) for part in model.modules()):
        raise ValueError(
            f"{model.name_or_path}: its encoder of sound, {model.config.audio_config.model_type}, takes clips of "
            "different lengths one after another, which no graph can do: keep PyTorch, or train with another encoder."
        )
    if (size := 4 * model.num_parameters()) > MOST_BYTES:
        raise ValueError(
            f"{model.name_or_path}: its weights are {size / 1e9:.1f} GB in float32, and a file of ONNX holds 2.1 GB: "
            "keep PyTorch, or train with smaller encoders."
        )


def check_graph(path: Path, model: PreTrainedModel, batches: list[Inputs]) -> None:
    """ValueError where a graph does not answer to batches as the model does."""
    exported = OnnxModel(path, model.config, str(path))
    for batch in batches:
        with torch.no_grad():
            expected = model(**batch).logits
        off = (exported(**batch).logits - expected).abs().max().item()
        if not off <= TOLERANCE * max(1.0, expected.abs().max().item()):
            raise ValueError(
                f"{model.name_or_path}: the exported graph answers otherwise than the model (logits {off:.2g} apart): "
                "keep PyTorch for it, and report it."
            )


def write_int8(exact: Path, path: Path) -> None:
    """Write a graph whose large matrix products are of 8-bit integers: weights by output channel, activations as they
    come.

    Args:
        exact: the float32 graph.
        path: of the new one.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(exact)
    graph = model.graph
    large = {weights.name for weights in graph.initializer if math.prod(weights.dims) >= SMALLEST}
    products = [node for node in graph.node if node.op_type in QUANTIZED]
    small = [node.name for node in products if not large & {*node.input}]
    if len(small) == len(products):
        raise ValueError(
            f"No matrix of this model has {SMALLEST:,} weights or more, so 8-bit integers would save nothing and cost "
            "accuracy: leave --int8 out."
        )
    options = {"per_channel": True, "weight_type": QuantType.QInt8, "nodes_to_exclude": small}
    # shapes that are told here would outlive the transposing of weights, in onnxruntime before 1.32
    graph.ClearField("value_info")
    with _quiet():
        quantize_dynamic(model, path, op_types_to_quantize=QUANTIZED, **options)


def _free_axes(value: Tensor, other: Tensor) -> dict[int, Any]:
    differ = (axis for axis in range(1, value.dim()) if value.shape[axis] != other.shape[axis])
    return {0: torch.export.Dim.DYNAMIC, **{axis: torch.export.Dim.DYNAMIC for axis in differ}}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' notes to those who write exporters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _tell(folder: Path, paths: list[Path]) -> None:
    """Name what was exported in `check.json`, and what runs it in the requirements, where the folder has some."""
    check = read_check(folder)
    names = [path.relative_to(folder).as_posix() for path in paths]
    check["exports"] = check.get("exports", {}) | {name: facts_of(folder / name) for name in names}
    write_file(folder / CHECK_FILE, (json.dumps(check, indent=1) + "\n").encode())
    if (folder / "requirements.txt").is_file():
        add_travelling_code(folder)
