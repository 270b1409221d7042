"""What a training step takes under the switches of a recipe: attention, gradient checkpointing, compilation.

    python benchmarks/switches.py [--base] [--rounds N] [--output FILE]

The model is the ensemble (C.3) and everything in it learns; inputs and weights are random. `--base` takes encoders of
base size, for a GPU. On a CPU one thread computes, and time is that of the processor.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from measure import Times, parser_of, report, table, time_paired
from torch.profiler import ProfilerActivity, profile
from transformers import PreTrainedModel, set_seed

from affecthub import TrimodalEnsembleConfig, TrimodalEnsembleForVideoClassification

PLAIN = "plain (attention: sdpa)"
SWITCHES: dict[str, Callable[[PreTrainedModel], object]] = {
    PLAIN: lambda model: model,
    "attention: eager": lambda model: model.set_attn_implementation("eager"),
    "gradient_checkpointing": lambda model: model.activation_checkpointing_enable(),
    "compile": lambda model: model.compile(),
}
"""Name -> what it does to a model; the Trainer does the same."""

SMALL = dict(hidden_size=192, num_hidden_layers=2, num_attention_heads=3, intermediate_size=768)
TINY = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
BASE = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)


def main(arguments: list[str] | None = None) -> None:
    """Time a step under each switch round by round, and weigh what it allocates."""
    parser = parser_of(__doc__, rounds=9)
    parser.add_argument("--base", action="store_true", help="encoders of base size, 32 rows, frames of 224 x 224")
    parser.add_argument("--only", nargs="*", choices=list(SWITCHES)[1:], help="these switches; default: all")
    options = parser.parse_args(arguments)
    layers, rows, side = (TINY, 2, 32) if options.quick else (BASE, 32, 224) if options.base else (SMALL, 8, 96)
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    chosen = [PLAIN, *(list(SWITCHES)[1:] if options.only is None else options.only)]
    batch = {name: values.to(device) for name, values in batch_of(rows, side).items()}
    steps = {name: step_of(model_of(name, layers, side, device), batch) for name in chosen}
    clock = time.perf_counter
    if device.type == "cpu":
        torch.set_num_threads(1)
        clock = time.process_time
    first = {name: seconds(step) for name, step in steps.items()}
    times: Times = time_paired(steps, 1 if options.quick else options.rounds, clock)
    figures = table(times, PLAIN)
    figures["first s"] = [round(first[name], 1) for name in steps]
    figures["peak MB"] = [round(peak_bytes(step, device) / 1e6, 1) for step in steps.values()]
    parameters = model_of(PLAIN, layers, side, torch.device("meta")).num_parameters()
    size = f"{parameters / 1e6:.1f} M parameters, {rows} rows of 8 frames of {side} x {side}"
    notes = {
        "times ours": "the time over the plain step's",
        "first s": "the first step, with what is compiled or tuned in it, as a wall clock sees it",
        "peak MB": "what a step allocates at once, weights aside",
    }
    report(f"a training step on {device}: {size}", figures, [], options.output, times=times, notes=notes)


def model_of(name: str, layers: dict[str, int], side: int, device: torch.device) -> PreTrainedModel:
    """The ensemble in training, under one switch.

    Args:
        name: of the switch.
        layers: sizes of both encoders.
        side: of a frame, pixels.
        device: where it lies.
    """
    set_seed(0)
    config = TrimodalEnsembleConfig(
        text_config={"model_type": "bert", "vocab_size": 1000, **layers},
        vision_config={"model_type": "clip_vision_model", "image_size": side, "patch_size": 16, **layers},
    )
    with device:
        model = TrimodalEnsembleForVideoClassification(config).train()
    SWITCHES[name](model)
    return model


def batch_of(rows: int, side: int) -> dict[str, torch.Tensor]:
    """Random inputs of all modalities: 64 tokens, 3 s of log-mel features, 8 frames; and labels."""
    generator = torch.Generator().manual_seed(0)
    return {
        "input_ids": torch.randint(1000, (rows, 64), generator=generator),
        "attention_mask": torch.ones(rows, 64, dtype=torch.long),
        "input_features": torch.randn(rows, 300, TrimodalEnsembleConfig().num_mel_bins, generator=generator),
        "feature_attention_mask": torch.ones(rows, 300, dtype=torch.long),
        "pixel_values_videos": torch.randn(rows, 8, 3, side, side, generator=generator),
        "labels": torch.randint(2, (rows,), generator=generator),
    }


def step_of(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> Callable[[], float]:
    """A function that does one training step and gives its loss, which waits for a GPU to be done."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step() -> float:
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def seconds(step: Callable[[], object]) -> float:
    """Of one call, s."""
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def peak_bytes(step: Callable[[], object], device: torch.device) -> int:
    """The most that a step has allocated at a time, beyond what was there before."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    assert profiled.profiler is not None and profiled.profiler.kineto_results is not None
    changes: list[Any] = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = torch.tensor([event.nbytes() for event in sorted(changes, key=lambda event: event.start_ns())])
    return int(held.cumsum(0).max())


if __name__ == "__main__":
    main()
