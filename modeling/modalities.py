"""The one vocabulary of modalities, and what makes a modality present in a sample."""

import torch

TEXT, AUDIO, VIDEO, PHYSIO = "text", "audio", "video", "physio"
MODALITIES = (TEXT, AUDIO, VIDEO, PHYSIO)
"""All modalities, in the order of every axis named `modalities`."""

UTTERANCE_MODALITIES = (TEXT, AUDIO, VIDEO)
"""The modalities of an utterance."""

MAIN_INPUTS = {TEXT: "input_ids", AUDIO: "input_features", VIDEO: "pixel_values_videos", PHYSIO: "physio_values"}
"""The forward argument that carries each modality; an architecture that takes another says so in `main_inputs`."""


def presence_argument(modality: str) -> str:
    """Name of the forward argument (batch,), 1 = present, that says which samples hold `modality`."""
    return f"{modality}_present"


def resolve_presence(
    modality: str, inputs: torch.Tensor | None, present: torch.Tensor | None, argument: str | None = None
) -> torch.Tensor | None:
    """Which samples hold `modality`: bool (batch,), or None when the modality was not passed at all.

    Args:
        modality: its name.
        inputs (batch, ...), optional.
        present (batch,), optional: 1 = present.
        argument: name of the forward argument that `inputs` came by, where it is not that of `MAIN_INPUTS`.

    Passed without a mask means present in every sample. Raises ValueError when samples are called present and no
    input came with them, or when the mask is not one value a sample.
    """
    if inputs is None:
        if present is not None and not torch.compiler.is_compiling() and bool(present.any()):
            raise ValueError(
                f"`{presence_argument(modality)}` marks {int(present.sum())} samples as present, but "
                f"`{argument or MAIN_INPUTS[modality]}` was not passed: pass it, or leave the mask out."
            )
        return None
    if present is None:
        return torch.ones(inputs.shape[0], dtype=torch.bool, device=inputs.device)
    if present.shape != inputs.shape[:1]:
        raise ValueError(
            f"`{presence_argument(modality)}` has shape {tuple(present.shape)}; expected ({inputs.shape[0]},), one "
            "value a sample, 1 = present."
        )
    return present.bool()


def blank_absent(values: torch.Tensor, present: torch.Tensor, fill: int = 0) -> torch.Tensor:
    """`values` (batch, ...) with the samples that are not `present` (batch,) replaced by `fill`.

    What stands behind an absent mask may be anything, NaN included; it must reach neither outputs nor gradients.
    """
    return torch.where(present.view(-1, *[1] * (values.dim() - 1)), values, torch.as_tensor(fill, dtype=values.dtype))


def real_steps(inputs: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """`mask` (batch, steps), 1 = real; without one, every step of `inputs` (batch, steps, ...) is."""
    return torch.ones(inputs.shape[:2], dtype=torch.long, device=inputs.device) if mask is None else mask


def drop_modalities(presence: torch.Tensor, probability: float) -> torch.Tensor:
    """Modality dropout: `presence` bool (batch, modalities) with each entry dropped with `probability`.

    A sample never loses its last modality: one of those it had is drawn to stay (Neverova et al. 2016, ModDrop).
    """
    keep = presence & (torch.rand(presence.shape, device=presence.device) >= probability)
    lottery = torch.rand(presence.shape, device=presence.device).masked_fill(~presence, -1.0)
    survivor = torch.zeros_like(presence).scatter(1, lottery.argmax(dim=1, keepdim=True), True)
    return torch.where(keep.any(dim=1, keepdim=True), keep, survivor & presence)
