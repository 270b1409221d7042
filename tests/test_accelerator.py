"""What runs on a CUDA GPU answers and learns as on the CPU; skipped where there is none."""

import copy

import pytest
import torch
from transformers import AutoModelForVideoClassification

from affecthub.inference.predict import load_pipeline

from .hub.tiny import write_folder, write_long_clip
from .modeling.conftest import CONFIGS, batch_of, in_turns

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


@pytest.fixture(autouse=True)
def whole_floats():
    """Convolutions of float32 in float32: the GPU's default keeps 10 bits of each factor."""
    with torch.backends.cudnn.flags(allow_tf32=False):
        yield


def on_gpu(batch):
    return {name: value.cuda() for name, value in batch.items()}


@pytest.fixture(params=CONFIGS)
def both(request):
    """An architecture on the CPU, the same on the GPU, and a batch with labels."""
    config = CONFIGS[request.param]()
    torch.manual_seed(0)
    model = AutoModelForVideoClassification.from_config(config).eval()
    batch = batch_of(config.modalities, audio="input_values" if "audio_visual" in request.param else "input_features")
    batch = in_turns(batch) if config.model_type == "dialogue" else batch
    labels = torch.tensor([0, 1, 0, 1])
    return model, copy.deepcopy(model).cuda(), batch | {"labels": labels}


def test_every_architecture_answers_as_on_the_cpu(both):
    model, twin, batch = both
    with torch.no_grad():
        expected, found = model(**batch), twin(**on_gpu(batch))
    torch.testing.assert_close(found.logits.cpu(), expected.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.loss.cpu(), expected.loss, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_architecture_learns_in_half_of_the_bits(both, dtype):
    model, twin, batch = both
    model(**batch).loss.backward()
    with torch.autocast("cuda", dtype):
        loss = twin(**on_gpu(batch)).loss
    (loss * 256).backward()  # as a gradient scaler does
    torch.testing.assert_close(loss.float().cpu(), model(**batch).loss, rtol=0.05, atol=0.05)
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        if one.grad is not None:
            off = (other.grad.cpu() / 256 - one.grad).norm() / model_scale(model)
            assert off < 0.1, name


def model_scale(model):
    """The norm of all gradients of a model."""
    return torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()


def test_the_pipeline_answers_as_on_the_cpu(tmp_path):
    write_folder(tmp_path / "model", max_seconds=5.0)
    write_long_clip(tmp_path / "clip.mp4", seconds=6, sound=6)
    cpu, gpu = (load_pipeline(str(tmp_path / "model"), device=device) for device in ("cpu", "cuda"))
    assert gpu.device.type == "cuda"
    options = {"window_seconds": 2, "hop_seconds": 1, "batch_size": 3}
    pairs = zip(cpu(str(tmp_path / "clip.mp4"), **options), gpu(str(tmp_path / "clip.mp4"), **options), strict=True)
    for expected, found in pairs:
        assert found["scores"] == pytest.approx(expected["scores"], abs=1e-4)
        assert found["label"] == expected["label"] and found["modalities"] == expected["modalities"]
