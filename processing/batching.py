"""What every processor does with a batch whose samples hold different modalities."""

from typing import Any

import numpy as np
import torch


def check_return_tensors(return_tensors: str) -> None:
    """ValueError unless PyTorch tensors are asked for."""
    if return_tensors != "pt":
        raise ValueError(f"return_tensors={return_tensors!r}: only 'pt' (PyTorch tensors) is made.")


def as_batch(values: Any, single: type = np.ndarray) -> list | None:
    """A list of samples from one sample or a list; None stays None."""
    if values is None:
        return None
    return [values] if isinstance(values, single) else list(values)


def check_batch(passed: dict[str, list], contents: str) -> None:
    """ValueError unless all modalities speak of the same samples and each sample has something.

    Args:
        passed: samples of each modality that was passed, by the name of its argument.
        contents: what an empty sample lacks, for the message ("neither text nor audio").
    """
    sizes = {name: len(batch) for name, batch in passed.items()}
    if not sizes or not all(sizes.values()):
        raise ValueError("Nothing to process: pass at least one modality, with at least one sample.")
    if len(set(sizes.values())) > 1:
        raise ValueError(f"Batches differ in length: {sizes}. Put None where a sample lacks a modality.")
    if empty := [i for i, sample in enumerate(zip(*passed.values(), strict=True)) if all(v is None for v in sample)]:
        raise ValueError(f"Samples {empty} of the batch hold {contents}: leave them out.")


def presence_of(values: list) -> torch.Tensor:
    """int (batch,): 1 where a sample has a value."""
    return torch.tensor([int(value is not None) for value in values])


def scatter(rows: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """`rows` of the present samples at their places in the batch, zeros elsewhere."""
    output = rows.new_zeros(len(present), *rows.shape[1:])
    output[present.bool()] = rows
    return output
