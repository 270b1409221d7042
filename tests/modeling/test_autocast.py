"""Mixed precision, as accelerate runs it: the forward and backward under autocast."""

import torch
from transformers import AutoModelForVideoClassification


def test_autocast_trains_close_to_full_precision(make_config, inputs_for):
    config = make_config()
    torch.manual_seed(0)
    model = AutoModelForVideoClassification.from_config(config).eval()
    inputs = inputs_for(config.modalities) | {"labels": torch.tensor([0, 1, 2, 3])}
    exact = model(**inputs).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(**inputs, output_modality_logits=True).loss
    rough.backward()
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.02)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
