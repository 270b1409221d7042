"""What a model attends to: by layer and head, through all layers, and laid over what it was shown.

    heads        how much each head of each layer looks at each thing
    rollout      the same through all layers (Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers", ACL)
    entropy      how widely a head looks: 0, at one thing; 1, at all alike (Clark et al. 2019, "What Does BERT Look At?
                 An Analysis of BERT's Attention", BlackboxNLP)
    diversity    how differently the heads of a layer look: the mean Jensen-Shannon distance of any two, 0 to 1, of
                 which Clark et al. 2019 cluster the divergence

Attention is no explanation by itself (Jain & Wallace 2019): `attribution` says what an answer depends on.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor

from affecthub.insight.opened import OpenedRun, inputs_of, judged_inputs, usable
from affecthub.insight.overlays import overlaid, shown_frames, strip, tiles, write_picture
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.modeling.modalities import AUDIO, MAIN_INPUTS, PHYSIO, TEXT, VIDEO
from affecthub.processing.optional_parts import OptionalPartsProcessor

ATTENTION_FILE = "attention.json"

FIELD = "_attentions"
"""How the fields of an output end that hold attentions."""

TOKENS, PATCHES, FRAMES, STEPS, TURNS, PLACES = "tokens", "patches", "frames", "steps", "turns", "places"
"""What can be attended to; places: of which nobody says what they are, such as stretches of sound."""

WANTED = {
    "text": (TOKENS,),
    "vision": (PATCHES,),
    "temporal": (STEPS, FRAMES),
    "cross": (STEPS,),
    "fusion": (PATCHES, STEPS),
    "dialogue": (TURNS,),
}
"""First part of a field's name -> what its keys are, where their number agrees; of a field of another name, any."""

QUERIES = 64
"""Of which entropy and diversity are taken, evenly spread where a layer has more."""

SMALL = 64
"""Things up to which results say how much each layer looks at each of them."""


class FieldFigures(TypedDict):
    """The layers of one kind, over all samples that were looked at."""

    field: str
    over: str
    samples: int
    entropy: NotRequired[list[list[float]]]
    """(layers, heads), 0..1; absent: there was never more than one key to look at."""
    diversity: NotRequired[list[float]]
    """(layers,), 0..1; absent: likewise, or there is one head."""
    heads_picture: NotRequired[str]
    """File name: how much each head (from left to right) of each layer (from above) looks at each patch of a frame."""


class MapFigures(TypedDict):
    """What one sample was looked at for."""

    field: str
    over: str
    labels: NotRequired[list[str]]
    """Absent: of patches."""
    relevance: NotRequired[list[float]]
    """One a label; they sum to 1."""
    by_layer: NotRequired[list[list[float]]]
    """(layers, labels), the mean over heads; absent: there are too many labels."""
    picture: NotRequired[str]
    """File name: relevance over the frames, from left to right."""


class AttentionExample(TypedDict):
    """A sample."""

    key: str
    maps: list[MapFigures]


class AttentionFound(TypedDict):
    """What `attention.json` holds."""

    split: str
    says: NotRequired[str]
    """What could not be said."""
    fields: list[FieldFigures]
    examples: list[AttentionExample]


@dataclass(frozen=True)
class AttentionMap:
    """What layers of one kind attend to in one sample."""

    field: str
    """Of the model's output: "text", "vision", "temporal" and so on."""
    over: str
    """What is attended to: `TOKENS` and so on."""
    labels: list[str]
    """Of the keys."""
    weights: Tensor
    """(layers, rows, heads, queries, keys); rows: of frames, one each, else one."""
    read: Tensor
    """(queries,): how much each counts in what is read out of the last layer; they sum to 1."""
    grid: tuple[int, int] | None = None
    """Of patches: rows and columns; they are the last keys, behind class tokens."""

    @property
    def real(self) -> Tensor:
        """Keys that anything attends to, bool (keys,); the others are padding."""
        return self.weights.amax(dim=(0, 1, 2, 3)) > 0

    @property
    def by_head(self) -> np.ndarray:
        """How much what is read out looks at each key, (layers, rows, heads, keys)."""
        return torch.einsum("lrhqk,q->lrhk", self.weights, self.read).numpy()

    @property
    def by_layer(self) -> np.ndarray:
        """The mean over the heads, (layers, rows, keys)."""
        return self.by_head.mean(axis=2)

    @property
    def relevance(self) -> np.ndarray:
        """(rows, keys), each row sums to 1: by rollout; where one thing asks another, the mean over layers."""
        mean = self.weights.mean(dim=2)  # (layers, rows, queries, keys)
        if mean.shape[2] == mean.shape[3]:
            return torch.einsum("q,rqk->rk", self.read, rollout(mean)).numpy()
        shares = self.by_layer.mean(axis=0)
        return shares / shares.sum(axis=1, keepdims=True)

    @property
    def pictures(self) -> np.ndarray | None:
        """`relevance` of patches, by frame, (frames, grid rows, grid columns); None: of all else."""
        return None if self.grid is None else self._on_grid(self.relevance, self.grid)

    @property
    def head_pictures(self) -> np.ndarray | None:
        """`by_head` of the patches of the first frame, (layers, heads, grid rows, grid columns); None: of all else."""
        grid, heads = self.grid, self.by_head.swapaxes(1, 2)
        return None if grid is None else np.stack([[self._on_grid(head, grid)[0] for head in of] for of in heads])

    def _on_grid(self, values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
        """(rows, keys) of one frame each, or of one row with the keys of all, as (frames, grid rows, grid columns)."""
        patches = values.reshape(-1, len(self.labels))[:, -math.prod(grid) :]
        return patches.reshape(-1, *grid)

    @property
    def asked(self) -> Tensor:
        """The weights of at most `QUERIES` real queries at the real keys, (layers, heads, rows * queries, keys)."""
        weights = self.weights[..., self.real]
        if self.weights.shape[3] == self.weights.shape[4]:
            weights = weights[:, :, :, self.real]
        places = torch.linspace(0, weights.shape[3] - 1, min(QUERIES, weights.shape[3])).round().long()
        weights = weights[:, :, :, places].transpose(1, 2).flatten(2, 3)
        return weights / weights.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)

    @property
    def entropy(self) -> np.ndarray | None:
        """(layers, heads), 0..1, the mean over queries; None: there is but one key."""
        keys = int(self.real.sum())
        return (_bits(self.asked).mean(dim=-1) / math.log2(keys)).numpy() if keys > 1 else None

    @property
    def diversity(self) -> np.ndarray | None:
        """(layers,), 0..1, the mean over pairs of heads and over queries; None: there is but one head, or one key."""
        asked = self.asked
        if asked.shape[1] < 2 or asked.shape[3] < 2:
            return None
        bits, pairs = _bits(asked), itertools.combinations(range(asked.shape[1]), 2)
        distances = [
            (_bits((asked[:, a] + asked[:, b]) / 2) - (bits[:, a] + bits[:, b]) / 2).clamp(min=0).sqrt().mean(dim=-1)
            for a, b in pairs
        ]
        return torch.stack(distances).mean(dim=0).numpy()


def write_attention(run: OpenedRun, count: int = 8) -> AttentionFound:
    """Look at some samples of a run, and keep what was found beside its model, in `attention.json` and pictures.

    Args:
        run: opened.
        count: samples, evenly spread over the split.
    """
    found: AttentionFound = {"split": run.split, "fields": [], "examples": []}
    fields: dict[tuple[str, str], list[AttentionMap]] = {}
    samples = run.some(count)
    for number, sample in usable(samples):
        inputs = inputs_of(run.model, run.processor, [sample])
        maps = attend(run.model, run.processor, inputs)
        for each in maps:
            fields.setdefault((each.field, each.over), []).append(each)
        figures = [_map_figures(run, each, inputs, number) for each in maps]
        found["examples"].append({"key": samples.rows["key"][number], "maps": figures})
    found["fields"] = [_field_figures(run, maps) for maps in fields.values()]
    if not fields:
        found["says"], found["examples"] = f"{run.model.config.model_type} has no attention.", []
    return run.write(ATTENTION_FILE, found)


def _field_figures(run: OpenedRun, maps: Sequence[AttentionMap]) -> FieldFigures:
    first = maps[0]
    figures: FieldFigures = {
        "field": first.field,
        "over": first.over,
        "samples": len(maps),
    }
    for name in ("entropy", "diversity"):
        values = [getattr(each, name) for each in maps if getattr(each, name) is not None]
        if values:
            figures[name] = _rounded(np.mean(values, axis=0))
    if (heads := first.head_pictures) is not None:
        figures["heads_picture"] = write_picture(run.folder / f"attention_{first.field}_heads.png", tiles(heads))
    return figures


def _map_figures(run: OpenedRun, each: AttentionMap, inputs: Mapping[str, Tensor], number: int) -> MapFigures:
    figures: MapFigures = {"field": each.field, "over": each.over}
    if (pictures := each.pictures) is not None:
        frames = shown_frames(run.processor, inputs)
        path = run.folder / f"attention_{each.field}_{number}.png"
        figures["picture"] = write_picture(path, strip(overlaid(frames, pictures)))
        return figures
    figures["labels"], figures["relevance"] = each.labels, _rounded(each.relevance[0])
    if len(each.labels) <= SMALL:
        figures["by_layer"] = _rounded(each.by_layer[:, 0])
    return figures


def _rounded(values: np.ndarray) -> list:
    return values.astype(float).round(5).tolist()


def rollout(mean: Tensor) -> Tensor:
    """How much of each input is in each output of a stack of layers with residual connections.

    Args:
        mean (layers, ..., tokens, tokens): attention, the mean over heads, the first layer first.

    Returns:
        (..., tokens, tokens); rows sum to 1.
    """
    mixed = (mean + torch.eye(mean.shape[-1])) / 2
    mixed = mixed / mixed.sum(dim=-1, keepdim=True)
    found = mixed[0]
    for layer in mixed[1:]:
        found = layer @ found
    return found


def _bits(weights: Tensor) -> Tensor:
    """Entropy over the last axis, in bits."""
    return torch.special.entr(weights).sum(dim=-1) / math.log(2)


@torch.no_grad()
def attend(
    model: AffectPreTrainedModel, processor: OptionalPartsProcessor, inputs: Mapping[str, Tensor]
) -> list[AttentionMap]:
    """What a model attends to in a sample; empty: it has no attention, or none that it hands out.

    Args:
        model: it is set to attend eagerly, since nothing else hands weights out, and stays so.
        processor: of the model.
        inputs: a batch of the one sample.
    """
    model.set_attn_implementation("eager")
    output = model(**inputs, output_attentions=True)
    seen = _Seen(model, processor, inputs)
    maps = []
    for name, layers in output.items():
        if name.endswith(FIELD) and layers:
            maps += seen.maps_of(name.removesuffix(FIELD), [layer.float().cpu() for layer in layers])
    return [found for found in maps if found.real.any()]


class _Axis(NamedTuple):
    """Something that can be attended to."""

    over: str
    labels: list[str]
    modality: str | None = None
    grid: tuple[int, int] | None = None
    times: int = 1
    """How often the labels follow one another: of all patches, once a frame."""

    @property
    def count(self) -> int:
        return len(self.labels) * self.times


class _Seen:
    """What a batch of one sample holds, by which the axes of attention are told apart.

    Args:
        model: which was asked.
        processor: of the model.
        inputs: the batch; of a model with turns, each with an axis of turns.
    """

    def __init__(self, model: AffectPreTrainedModel, processor: OptionalPartsProcessor, inputs: Mapping[str, Tensor]):
        self.model, self.processor = model, processor
        inputs = {name: values.cpu() for name, values in inputs.items()}
        self.inputs, self.judged = judged_inputs(processor, inputs)
        turns = inputs["speaker_ids"].shape[1] if processor.turns_apart else 0
        self.turns = [str(place - processor.turns_before) for place in range(turns)]

    def maps_of(self, field: str, layers: list[Tensor]) -> list[AttentionMap]:
        """The layers of a field, those together that attend to the same thing."""
        stacks: dict[tuple, tuple[_Axis, list[Tensor]]] = {}
        for place, layer in enumerate(layers):
            axis, weights = self._axis(field, layer, place)
            stacks.setdefault((axis.over, axis.modality, weights.shape), (axis, []))[1].append(weights)
        return [self._map(field, axis, torch.stack(weights)) for axis, weights in stacks.values()]

    def _map(self, field: str, axis: _Axis, weights: Tensor) -> AttentionMap:
        """`weights` (layers, rows, heads, queries, keys), of which the rows of the sample itself are kept."""
        if axis.over == TOKENS and weights.shape[1] > 1:
            weights = weights[:, self.judged : self.judged + 1]
        elif axis.over == PATCHES and axis.times == 1:
            frames = weights.shape[1] // self._rows(VIDEO)
            weights = weights[:, self.judged * frames : (self.judged + 1) * frames]
        return AttentionMap(field, axis.over, axis.labels, weights, self._read(axis, weights), axis.grid)

    def _rows(self, modality: str) -> int:
        return len(self.inputs[MAIN_INPUTS[modality]])

    def _read(self, axis: _Axis, weights: Tensor) -> Tensor:
        """How much each query counts in what is read out."""
        queries, keys = weights.shape[3:]
        read = torch.zeros(queries)
        if axis.over == TURNS:
            read[self.processor.turns_before] = 1
        elif axis.grid and axis.times == 1 and not getattr(self.model.base_model, "every_patch", False):
            read[0 if math.prod(axis.grid) < keys else slice(None)] = 1  # the class token, where there is one
        elif axis.over == TOKENS and queries == keys:
            own = self.inputs.get("text_turn_mask", self.inputs["attention_mask"])[self.judged]
            read += own.float()
        elif queries == keys:
            read += (weights.amax(dim=(0, 1, 2, 3)) > 0).float()
        else:
            read += (weights.sum(dim=(0, 1, 2, 4)) > 0).float()
        return read / read.sum().clamp(min=1)

    def _axis(self, field: str, layer: Tensor, place: int) -> tuple[_Axis, Tensor]:
        """What the keys of a layer (rows, heads, queries, keys) are, and its weights at them."""
        queries, keys = layer.shape[2:]
        axes, wanted = self._axes(), WANTED.get(field)
        if field == "fusion" and keys > queries:  # latents, which also read themselves, one modality after the other
            given = list(dict.fromkeys(axis.modality for axis in axes if axis.modality))
            modality = given[place % len(given)]
            axes = [axis for axis in axes if axis.modality == modality and axis.count == keys - queries]
            return (axes or [_Axis(PLACES, _numbered(keys - queries), modality)])[0], layer[..., queries:]
        if wanted:
            axes = sorted((a for a in axes if a.over in wanted), key=lambda axis: wanted.index(axis.over))
        real = layer.amax(dim=(0, 1, 2)) > 0
        for axis in axes:
            if axis.count == keys:
                return axis, layer
            if axis.count == int(real.sum()):  # behind or before what only stands in for it elsewhere
                return axis, layer[..., real][:, :, real] if queries == keys else layer[..., real]
        return _Axis(PLACES, _numbered(keys)), layer

    def _axes(self) -> list[_Axis]:
        """All that the sample holds, in the usual order of the modalities."""
        axes = [_Axis(TURNS, self.turns)] if self.turns else []
        if (ids := self.inputs.get(MAIN_INPUTS[TEXT])) is not None:
            tokens = self.processor.tokenizer.convert_ids_to_tokens(ids[self.judged].tolist())
            axes.append(_Axis(TOKENS, tokens, TEXT))
        if "input_features" in self.inputs or "input_values" in self.inputs:
            axes.append(_Axis(PLACES, [], AUDIO))
        if (pixels := self.inputs.get(MAIN_INPUTS[VIDEO])) is not None:
            axes += self._of_pictures(pixels)
        if (values := self.inputs.get(MAIN_INPUTS[PHYSIO])) is not None:
            axes.append(_Axis(STEPS, _numbered(values.shape[1]), PHYSIO))
        return axes

    def _of_pictures(self, pixels: Tensor) -> list[_Axis]:
        """The patches of a frame, those of all frames, and the frames."""
        frames, (height, width) = pixels.shape[1], pixels.shape[-2:]
        axes = [_Axis(FRAMES, _numbered(frames), VIDEO)]
        config = getattr(self.model.config, "vision_config", None)
        if size := getattr(config, "patch_size", None):
            grid = height // size, width // size
            places = [f"{row},{column}" for row in range(grid[0]) for column in range(grid[1])]
            for others in (1, 0, 5):  # a class token, none, a class token and four registers
                labels = [*[f"class {i}" for i in range(others)], *places]
                patches = _Axis(PATCHES, labels, VIDEO, grid)
                axes += [patches] + [patches._replace(times=frames)] * (frames > 1)
        return axes


def _numbered(count: int) -> list[str]:
    return [str(place) for place in range(count)]
