"""What an answer depends on: integrated gradients of the inputs, for models with attention and without.

Integrated gradients (Sundararajan, Taly & Yan 2017, "Axiomatic Attribution for Deep Networks", ICML), by captum: they
need nothing but gradients and are complete, so that the parts of all modalities sum to what the sample changes in the
output, and can be set beside one another; methods that change the backward pass of each layer (DeepLIFT, LRP) would
need a rule for every kind of attention and norm.

Paths begin where nothing is known: in silence, with log-mel energies of 0, which is what they were normalised to, at
the training mean of each feature, with [MASK] for each token; and for pictures in black and in white, of which the
mean is taken, so that neither dark nor bright pixels go unseen (Kapishnikov et al. 2019, "XRAI", ICCV). Pixels and
vectors of tokens do not begin at 0, since a norm behind them would turn round there, between the steps of the path.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from affecthub.evaluation.bootstrap import interval, mean_draws
from affecthub.insight.opened import OpenedRun, inputs_of, judged_inputs, usable
from affecthub.insight.overlays import SIGNED, overlaid, shown_frames, strip, write_picture
from affecthub.modeling.base import AffectPreTrainedModel
from affecthub.modeling.modalities import AUDIO, MAIN_INPUTS, PHYSIO, TEXT, VIDEO
from affecthub.processing.optional_parts import OptionalPartsProcessor

ATTRIBUTION_FILE = "attribution.json"

CONTINUOUS = {
    MAIN_INPUTS[VIDEO]: VIDEO,
    MAIN_INPUTS[AUDIO]: AUDIO,
    "input_values": AUDIO,
    MAIN_INPUTS[PHYSIO]: PHYSIO,
    "text_features": TEXT,
    "video_features": VIDEO,
    "audio_features": AUDIO,
}
"""Input that gradients reach -> its modality; text is reached by the embeddings of its tokens."""

SHADES = (0.0, 1.0)
"""Of the pictures at which paths begin: black and white."""

STEPS = 32
"""Of the path, at the nodes of Gauss and Legendre."""

FINER = (1, 4, 16)
"""Times as many steps are tried, one after the other, while the parts do not sum to the change of the output."""

TOLERANCE, SMALL = 0.05, 0.01
"""Share of that change which may be missed, and what it counts as at least, in logits."""

AT_ONCE = 8
"""Of them in one pass."""

STRETCHES = 50
"""Of a sound, at most, that results name."""


@dataclass(frozen=True)
class Attribution:
    """What each part of a sample adds to one output of a model."""

    label: str
    output: float
    """Of the sample: the label's logit, of one label of several less the mean of all; or a number."""
    baseline: float
    """The same where nothing is known."""
    totals: dict[str, float]
    """Modality -> the sum over all that it holds, turns around the sample included."""
    parts: dict[str, np.ndarray]
    """Modality -> of the sample itself, turns around it left out: video (frames, height, width), audio (frames, bands)
    or (samples,), physio (steps, features), text (tokens,)."""

    @property
    def error(self) -> float:
        """What the parts sum to beyond `output` - `baseline`: 0 of infinitely many steps."""
        return sum(self.totals.values()) - (self.output - self.baseline)


def attribute(
    model: AffectPreTrainedModel,
    processor: OptionalPartsProcessor,
    inputs: Mapping[str, Tensor],
    label: str | None = None,
    *,
    modalities: tuple[str, ...] | None = None,
    steps: int = STEPS,
) -> Attribution:
    """What each part of a sample adds to the output of a label of the main task.

    Args:
        model: in eval mode.
        processor: of the model.
        inputs: a batch of the one sample.
        label: whose; None: the likeliest.
        modalities: those that are asked about, the others stay as they are; None: all.
        steps: of the path, at first.

    Raises:
        ValueError: there is no such label, or nothing that gradients reach.
    """
    task, text = model.config.tasks[0], _embeddings(model, inputs)
    with torch.no_grad():
        place = _place(task.labels, label, model(**inputs).logits[0])
    names = [name for name, of in CONTINUOUS.items() if name in inputs and of in (modalities or CONTINUOUS.values())]
    given = [inputs[name] for name in names]
    starts = [[_start(processor, name, inputs[name], shade) for name in names] for shade in SHADES]
    if text and TEXT in (modalities or (TEXT,)):
        embedded, masked = _embedded(processor, inputs, text)
        given, starts = [*given, embedded], [[*start, masked] for start in starts]
    starts = starts if MAIN_INPUTS[VIDEO] in names else starts[:1]
    if not given:
        raise ValueError(f"Nothing of {modalities or 'the sample'} is there, or nothing that gradients reach.")

    def output(*parts: Tensor) -> Tensor:
        count = len(parts[0])
        batch = {name: values.repeat(count, *[1] * (values.dim() - 1)) for name, values in inputs.items()}
        batch |= dict(zip(names, parts, strict=False))
        with _embedding(text, parts[-1] if len(parts) > len(names) else None):
            logits = model(**batch).logits.float()
        one_of_several = task.problem_type == "single_label_classification"
        return logits[:, place] - (logits.mean(dim=1) if one_of_several else 0)  # a shift of all changes no answer

    with torch.no_grad():
        end, *begins = [float(output(*parts)) for parts in (given, *starts)]
    paths = [_path(output, given, start, end - begin, steps) for start, begin in zip(starts, begins, strict=True)]
    found = [torch.stack(values).mean(dim=0) for values in zip(*paths, strict=True)]
    modality_of = [*(CONTINUOUS[name] for name in names), TEXT]
    totals = {of: float(values.sum()) for of, values in zip(modality_of, found, strict=False)}
    rows, judged = judged_inputs(processor, dict(inputs) | dict(zip(names, found, strict=False)))
    parts = {CONTINUOUS[name]: rows[name][judged].cpu().numpy() for name in names}
    if len(found) > len(names):
        parts[TEXT] = found[-1][0, judged].sum(dim=-1).cpu().numpy()
    if VIDEO in parts and parts[VIDEO].ndim == 4:
        parts[VIDEO] = parts[VIDEO].sum(axis=1)
    return Attribution(task.labels[place], end, sum(begins) / len(begins), totals, parts)


def _place(labels: Sequence[str], label: str | None, logits: Tensor) -> int:
    """Of a label among those of a task; the likeliest where none is named."""
    if label is None:
        return int(logits.argmax())
    if label not in labels:
        raise ValueError(f"label={label!r}: the model's main task has {', '.join(labels)}.")
    return list(labels).index(label)


def _path(
    output: Callable[..., Tensor], given: Sequence[Tensor], start: Sequence[Tensor], change: float, steps: int
) -> list[Tensor]:
    """Integrated gradients from `start` to `given`; of more steps while they miss too much of the change."""
    method, found = IntegratedGradients(output), ()
    for finer in FINER:
        found = method.attribute(tuple(given), tuple(start), n_steps=finer * steps, internal_batch_size=AT_ONCE)
        if abs(sum(float(values.sum()) for values in found) - change) <= TOLERANCE * max(abs(change), SMALL):
            break
    return [values.detach() for values in found]


def _start(processor: OptionalPartsProcessor, name: str, values: Tensor, shade: float) -> Tensor:
    """Where the path of an input begins; of pixels in an even shade, 0..1, normalised as theirs."""
    of = processor.video_processor if name == MAIN_INPUTS[VIDEO] else None
    if of is None or not of.do_normalize:
        return torch.full_like(values, shade if of else 0.0)
    mean, std = (values.new_tensor(part).view(-1, 1, 1) for part in (of.image_mean, of.image_std))
    return ((shade - mean) / std).expand_as(values)


def _embeddings(model: AffectPreTrainedModel, inputs: Mapping[str, Tensor]) -> nn.Module | None:
    """What looks up the vectors of tokens; None: no text is there."""
    encoder = getattr(model.base_model, "text_model", None)
    return encoder.get_input_embeddings() if encoder is not None and MAIN_INPUTS[TEXT] in inputs else None


@torch.no_grad()
def _embedded(
    processor: OptionalPartsProcessor, inputs: Mapping[str, Tensor], layer: nn.Module
) -> tuple[Tensor, Tensor]:
    """The vectors of a sample's tokens (1, rows, tokens, size), and those of [MASK] in place of all that is a word."""
    tokenizer, ids = processor.tokenizer, judged_inputs(processor, inputs)[0][MAIN_INPUTS[TEXT]]
    special = [tokenizer.get_special_tokens_mask(row, already_has_special_tokens=True) for row in ids.tolist()]
    nothing = tokenizer.mask_token_id if tokenizer.mask_token_id is not None else tokenizer.unk_token_id
    masked = torch.where(torch.tensor(special, device=ids.device) > 0, ids, nothing)
    return layer(ids).unsqueeze(0), layer(masked).unsqueeze(0)


@contextmanager
def _embedding(layer: nn.Module | None, vectors: Tensor | None) -> Iterator[None]:
    """Let a layer give `vectors` (samples, rows, tokens, size) instead of what it would look up; None: as it is."""
    hook = None
    if layer is not None and vectors is not None:
        hook = layer.register_forward_hook(lambda *_: vectors.flatten(0, 1))
    try:
        yield
    finally:
        if hook:
            hook.remove()


class PartFigures(TypedDict):
    """What the parts of one modality of a sample add."""

    total: float
    """Turns around the sample included."""
    labels: NotRequired[list[str]]
    """Tokens, features, s at which stretches of sound begin, numbers of frames."""
    values: NotRequired[list[float]]
    """One a label."""
    picture: NotRequired[str]
    """File name: for (orange) and against (violet), over the frames from left to right."""


class AttributionExample(TypedDict):
    """A sample."""

    key: str
    label: str
    output: float
    baseline: float
    error: float
    """As `Attribution.error`."""
    parts: dict[str, PartFigures]


class FeatureFigures(TypedDict):
    """How much a feature weighs in the answers to many samples."""

    feature: str
    importance: float
    """Mean size of what it adds to the output of the label, whichever way."""
    interval: NotRequired[list[float]]
    """95 %, percentile bootstrap over participants; over rows where nobody says who is measured."""
    effect: float
    """Mean of what it adds, with its sign."""


class FeaturesFound(TypedDict):
    """Of the features of a model that takes some."""

    rows: int
    participants: NotRequired[int]
    """Absent: nobody says who is measured."""
    features: list[FeatureFigures]
    """The most important one first."""


class AttributionFound(TypedDict):
    """What `attribution.json` holds."""

    split: str
    label: str | None
    """Whose output; None: of the label that is likeliest for each sample."""
    examples: list[AttributionExample]
    features: NotRequired[FeaturesFound]


def write_attribution(
    run: OpenedRun, count: int = 8, label: str | None = None, feature_rows: int = 100, seed: int = 0
) -> AttributionFound:
    """Attribute the answers to some samples of a run; kept beside its model in `attribution.json` and pictures.

    Args:
        run: opened.
        count: samples, evenly spread over the split.
        label: of the main task; None: the likeliest for each sample.
        feature_rows: samples that the importance of features is taken from.
        seed: of the resampling.

    Raises:
        ValueError: there is no such label.
    """
    samples = run.some(count)
    keys = samples.rows["key"]
    examples = [_example(run, keys[index], sample, label, index) for index, sample in usable(samples)]
    found: AttributionFound = {"split": run.split, "label": label, "examples": examples}
    if PHYSIO in run.processor.modalities:
        found["features"] = feature_importance(run, feature_rows, label, seed)
    return run.write(ATTRIBUTION_FILE, found)


def feature_importance(run: OpenedRun, rows: int = 100, label: str | None = None, seed: int = 0) -> FeaturesFound:
    """How much each feature weighs, over samples of a split; all else in a sample stays as it is.

    Args:
        run: opened, of a model that takes features.
        rows: samples, at most, evenly spread over the split.
        label: as for `write_attribution`.
        seed: of the resampling.
    """
    samples, values, kept = run.some(rows), [], []
    for index, sample in usable(samples):
        if sample[PHYSIO] is not None:
            inputs = inputs_of(run.model, run.processor, [sample])
            parts = attribute(run.model, run.processor, inputs, label, modalities=(PHYSIO,)).parts
            values.append(parts[PHYSIO].sum(axis=0))
            kept.append(index)
    table = np.array(values)  # (rows, features)
    found: FeaturesFound = {"rows": len(table), "features": []}
    clusters = run.clusters(samples, kept)
    if clusters.by == "participant":
        found["participants"] = len(clusters)
    draws = mean_draws(np.abs(table), clusters.ids, seed)
    for place, name in enumerate(run.processor.part_for(PHYSIO).feature_names):
        figures: FeatureFigures = {
            "feature": name,
            "importance": float(np.abs(table[:, place]).mean()),
            "effect": float(table[:, place].mean()),
        }
        groups = None if clusters.by == "row" else len(clusters)
        if len(clusters) > 1 and (ends := interval(draws[:, place], groups=groups)):
            figures["interval"] = ends
        found["features"].append(figures)
    found["features"].sort(key=lambda figures: -figures["importance"])
    return found


def _example(run: OpenedRun, key: str, sample: dict, label: str | None, number: int) -> AttributionExample:
    inputs = inputs_of(run.model, run.processor, [sample])
    found = attribute(run.model, run.processor, inputs, label)
    parts: dict[str, PartFigures] = {name: {"total": round(total, 6)} for name, total in found.totals.items()}
    for name, values in found.parts.items():
        if name == VIDEO and values.ndim == 3:
            frames = shown_frames(run.processor, inputs)
            picture = strip(overlaid(frames, pooled(values), SIGNED))
            parts[name]["picture"] = write_picture(run.folder / f"attribution_video_{number}.png", picture)
        if named := _named(run.processor, name, values, inputs, sample):
            parts[name]["labels"] = list(named[0])
            parts[name]["values"] = named[1].astype(float).round(6).tolist()
    return {
        "key": key,
        "label": found.label,
        "output": found.output,
        "baseline": found.baseline,
        "error": found.error,
        "parts": parts,
    }


def pooled(values: np.ndarray, most: int = 28) -> np.ndarray:
    """Attributions of pixels (frames, height, width), summed over squares so that at most so many make up a side."""
    side = -(-max(values.shape[1:]) // most)
    short = [-size % side for size in values.shape[1:]]
    values = np.pad(values, ((0, 0), (0, short[0]), (0, short[1])))
    frames, height, width = values.shape
    return values.reshape(frames, height // side, side, width // side, side).sum(axis=(2, 4))


def _named(
    processor: OptionalPartsProcessor, modality: str, values: np.ndarray, inputs: Mapping[str, Tensor], sample: dict
) -> tuple[Sequence[str], np.ndarray] | None:
    """Labels and values of one modality; None of what an encoder gave before, whose numbers have no names."""
    if modality == TEXT and values.ndim == 1 and MAIN_INPUTS[TEXT] in inputs:
        rows, judged = judged_inputs(processor, inputs)
        labels = processor.tokenizer.convert_ids_to_tokens(rows[MAIN_INPUTS[TEXT]][judged].tolist())
    elif modality == PHYSIO:
        labels, values = processor.part_for(PHYSIO).feature_names, values.sum(axis=0)
    elif modality == VIDEO and values.ndim == 3:
        labels, values = [str(place) for place in range(len(values))], values.sum(axis=(1, 2))
    elif modality == AUDIO and isinstance(sample[AUDIO], np.ndarray):
        seconds = len(sample[AUDIO]) / processor.part_for(AUDIO).sampling_rate
        steps = values.reshape(len(values), -1).sum(axis=1)
        edges = np.linspace(0, len(steps), min(STRETCHES, len(steps)) + 1).astype(int)[:-1]
        labels = [f"{seconds * edge / len(steps):.2f}" for edge in edges]
        values = np.add.reduceat(steps, edges)
    else:
        return None
    return labels, values
