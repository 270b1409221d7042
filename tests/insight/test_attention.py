"""Figures of attention against what is known by hand, and what a run's folder gets."""

import json

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from affecthub.insight.attention import TOKENS, AttentionMap, rollout, write_attention


def made(weights, read=None):
    """A map of weights (layers, rows, heads, queries, keys)."""
    weights = torch.as_tensor(weights, dtype=torch.float64)
    keys = weights.shape[-1]
    read = torch.full((weights.shape[-2],), 1 / weights.shape[-2], dtype=torch.float64) if read is None else read
    return AttentionMap("text", TOKENS, [str(i) for i in range(keys)], weights, read)


def random_weights(*shape):
    return torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(shape[-1]), shape[:-1]))


def test_rollout_is_the_product_of_layers_mixed_with_their_residuals():
    layers = random_weights(3, 5, 5).numpy()
    expected = np.eye(5)
    for layer in layers:
        expected = (0.5 * layer + 0.5 * np.eye(5)) @ expected
    found = rollout(torch.from_numpy(layers)).numpy()
    assert np.allclose(found, expected) and np.allclose(found.sum(axis=1), 1)


def test_relevance_is_what_is_read_of_the_rollout():
    weights, read = random_weights(2, 1, 3, 4, 4), torch.tensor([0.0, 1, 0, 0], dtype=torch.float64)
    found = made(weights, read).relevance
    assert np.allclose(found[0], rollout(weights[:, 0].mean(dim=1)).numpy()[1])


def test_entropy_is_1_of_a_head_that_looks_everywhere_and_0_of_one_that_looks_at_one_thing():
    even, one = torch.full((4, 4), 0.25), torch.eye(4)
    assert np.allclose(made(torch.stack([even, one])[None, None]).entropy, [[1, 0]])


def test_padding_counts_as_no_key():
    weights = torch.zeros(1, 1, 2, 4, 4)
    weights[..., :2] = 0.5
    found = made(weights)
    assert found.real.tolist() == [True, True, False, False] and np.allclose(found.entropy, 1)


def test_entropy_and_diversity_are_those_of_scipy():
    weights = random_weights(2, 1, 3, 5, 5)
    found, each = made(weights), weights[:, 0].numpy()
    assert np.allclose(found.entropy, entropy(each, base=5, axis=-1).mean(axis=-1))
    pairs = [jensenshannon(each[:, a], each[:, b], base=2, axis=-1) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert np.allclose(found.diversity, np.mean(pairs, axis=(0, 2)))


def test_one_key_has_no_entropy_and_one_head_no_diversity():
    assert made(torch.ones(1, 1, 2, 3, 1)).entropy is None
    assert made(random_weights(1, 1, 1, 3, 3)).diversity is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trimodal_ensemble", {("text", "tokens"), ("vision", "patches")}),
        ("dialogue", {("text", "tokens"), ("vision", "patches"), ("dialogue", "turns")}),
        ("physio_cross_attention", {("vision", "patches"), ("temporal", "steps"), ("cross", "steps")}),
    ],
)
def test_what_attends_is_told_and_kept_beside_the_model(run_of, name, expected):
    run = run_of(name)
    found = write_attention(run, 3)
    assert {(each["field"], each["over"]) for each in found["fields"]} == expected
    assert json.loads((run.folder / "attention.json").read_text()) == found and "says" not in found
    assert len(found["examples"]) == 3
    for example in found["examples"]:
        for figures in example["maps"]:
            if "picture" in figures:
                assert (run.folder / figures["picture"]).read_bytes().startswith(b"\x89PNG")
            else:
                assert len(figures["labels"]) == len(figures["relevance"])
                assert sum(figures["relevance"]) == pytest.approx(1, abs=1e-3)


def test_tokens_and_turns_are_those_of_the_sample(run_of):
    run = run_of("dialogue")
    example = write_attention(run, 6)["examples"][-1]
    maps = {each["field"]: each for each in example["maps"]}
    words = "".join(maps["text"]["labels"]).replace("##", "")
    text = run.samples.rows["text"][5].lower().replace(" ", "")
    assert words.replace("[PAD]", "") == f"[CLS]{text}[SEP]"
    assert maps["dialogue"]["labels"] == ["-2", "-1", "0", "1"]


def test_a_model_without_attention_says_so(run_of):
    found = write_attention(run_of("frame_cnn"), 2)
    assert found["says"] == "frame_cnn has no attention." and not found["fields"] and not found["examples"]
