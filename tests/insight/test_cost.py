"""What a model costs: counted operations against a plain formula, and every architecture measured."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from affecthub.architectures import architecture_names
from affecthub.insight.cost import made_sample, measure_cost

from ..hub.test_stranger import build


@pytest.fixture
def folder_of(tmp_path):
    """A function: the folder of a tiny model of an architecture, and the model."""

    def save(name):
        model, processor = build(name)
        model.save_pretrained(tmp_path)
        processor.save_pretrained(tmp_path)
        return tmp_path, model, processor

    return save


@pytest.mark.parametrize("name", architecture_names())
def test_every_architecture_has_its_cost(name, folder_of, monkeypatch):
    monkeypatch.setattr("affecthub.insight.cost.MEASURED", 0.02)
    folder, model, processor = folder_of(name)
    cost = measure_cost(folder, batches=(1, 3))
    assert cost["parameters"] == sum(p.numel() for p in model.parameters())
    assert cost["size_mb"] == pytest.approx(4e-6 * cost["parameters"], rel=0.5, abs=0.05)
    assert cost["gflops"] > 0
    assert [batch["batch"] for batch in cost["batches"]] == [1, 3]
    for batch in cost["batches"]:
        low, high = batch["model_ms_quartiles"]
        assert 0 < low <= batch["model_ms"] <= high and batch["real_time_factor"] > 0
        seconds = (batch["processor_ms"] + batch["model_ms"]) / 1e3
        assert batch["clips_per_second"] == pytest.approx(batch["batch"] / seconds, rel=0.02, abs=0.02)
        assert batch.get("peak_mib", 0) >= 0


def test_operations_are_counted_as_a_formula_has_them():
    with FlopCounterMode(display=False) as counter:
        nn.Linear(30, 40)(torch.zeros(5, 30))
    assert counter.get_total_flops() == 2 * 5 * 30 * 40


def test_the_made_clip_holds_every_modality(folder_of):
    _, _, processor = folder_of("trimodal_ensemble")
    sample = made_sample(processor, seconds=2.0)
    assert sample["text"] and len(sample["audio"]) == 2 * processor.sampling_rate
    assert sample["video"].shape == (3, 16, 16, 3) and sample["physio"] is None
