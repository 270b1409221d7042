"""What is particular to token fusion: latents that read each modality token by token, whatever else is there."""

import itertools
import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from affecthub import TokenFusionForVideoClassification
from affecthub.modeling.fusion import sinusoids
from affecthub.modeling.modalities import MODALITIES

from ..tiny_configs import tiny_config

TOKENS = dict(zip(MODALITIES, (9, 7, 3, 3), strict=True))
"""Of each modality in the batch of the shared tests; of sound, half of its 13 frames."""


def build(**fields):
    torch.manual_seed(0)
    config = tiny_config("token_fusion", **{"initializer_range": 0.1, **fields})
    return TokenFusionForVideoClassification._from_config(config, attn_implementation="eager").eval()


def test_any_four_subsets_stand_in_one_batch(inputs_for):
    model, held = build(), [("text",), ("audio", "physio"), ("text", "video"), MODALITIES]
    together = inputs_for(MODALITIES)
    for name in MODALITIES:
        together[f"{name}_present"] = torch.tensor([int(name in some) for some in held])
    with torch.no_grad():
        logits = model(**together).logits
        for row, some in enumerate(held):
            alone = {key: values[row : row + 1] for key, values in inputs_for(some).items()}
            torch.testing.assert_close(model(**alone).logits, logits[row : row + 1], rtol=1e-4, atol=1e-5)


def test_each_modality_alone_is_what_the_model_says_to_it_alone(inputs_for):
    model, inputs = build(), inputs_for(MODALITIES)
    inputs["audio_present"][2] = 0
    with torch.no_grad():
        output = model(**inputs, output_modality_logits=True)
        for place, name in enumerate(MODALITIES):
            alone = model(**inputs_for([name])).logits * inputs[f"{name}_present"].unsqueeze(-1)
            torch.testing.assert_close(output.modality_logits[:, place], alone, rtol=1e-4, atol=1e-5)


def test_training_adds_the_loss_of_each_modality_alone(inputs_for):
    text = tiny_config("token_fusion").text_config.to_dict()
    text |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = build(text_config=text, dropout=0.0, fusion_dropout=0.0, modality_loss_weight=0.5)
    inputs, labels, weights = inputs_for(MODALITIES), torch.tensor([0, -100, 6, 3]), torch.tensor([1.0, 1, 2, 3])
    inputs["audio_present"][2] = 0
    given = {"labels": labels, "sample_weights": weights, "output_modality_logits": True}
    judged = model(**inputs, **given)
    terms = [
        (weights[row], torch.nn.functional.cross_entropy(judged.modality_logits[row, place], labels[row]))
        for row, place in itertools.product((0, 2, 3), range(4))
        if inputs[f"{MODALITIES[place]}_present"][row]
    ]
    apart = sum(weight * loss for weight, loss in terms) / sum(weight for weight, _ in terms)
    torch.testing.assert_close(model.train()(**inputs, **given).loss, judged.loss + 0.5 * apart)
    model.config.modality_loss_weight = 0.0
    torch.testing.assert_close(model(**inputs, **given).loss, judged.loss)


def test_attentions_sum_to_one_over_what_is_there(inputs_for):
    model, inputs = build(), inputs_for(MODALITIES)
    inputs["audio_present"][2] = 0
    with torch.no_grad():
        attentions = model(**inputs, output_attentions=True).fusion_attentions
    layers, latents = model.config.num_fusion_layers, model.config.num_latents
    assert len(attentions) == layers * len(MODALITIES)
    masks = {"text": "attention_mask", "video": "video_attention_mask", "physio": "physio_attention_mask"}
    for weights, name in zip(attentions, itertools.cycle(MODALITIES), strict=False):
        assert weights.shape == (4, 2, latents, latents + TOKENS[name])
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(4, 2, latents))
        of_tokens = weights[..., latents:]
        if name == "audio":
            assert not of_tokens[2].any() and of_tokens[0].all()
        else:
            padding = (inputs[masks[name]] == 0)[:, None, None].expand_as(of_tokens)
            assert not of_tokens[padding].any() and (of_tokens[~padding] > 0).all()


def test_modalities_meet_in_the_latents(inputs_for):
    """What is read of one in the second layer depends on the other, in the first not yet."""
    model, inputs = build(), inputs_for(["text", "physio"])
    changed = inputs | {"physio_values": inputs["physio_values"] + 1}
    with torch.no_grad():
        before, after = (model(**each, output_attentions=True).fusion_attentions for each in (inputs, changed))
    torch.testing.assert_close(before[0], after[0], rtol=0, atol=0)  # text in the first layer
    assert not torch.allclose(before[2], after[2], atol=1e-4)


def test_the_order_of_steps_counts_once_it_is_learned(inputs_for):
    model, inputs = build(modalities=["physio"]), inputs_for(["physio"])
    inputs["physio_attention_mask"][:] = 1
    backwards = inputs | {"physio_values": inputs["physio_values"].flip(1)}
    with torch.no_grad():
        torch.testing.assert_close(model(**backwards).logits, model(**inputs).logits)
        model.trimodal.physio_projection.time_scale.fill_(1.0)
        assert not torch.allclose(model(**backwards).logits, model(**inputs).logits, atol=1e-4)


def test_sinusoids_are_those_of_the_paper():
    found = sinusoids(5, 6, like=torch.zeros(1))
    for step, pair in itertools.product(range(5), range(3)):
        angle = step / 10_000 ** (2 * pair / 6)
        assert found[step, pair] == pytest.approx(math.sin(angle), abs=1e-6)
        assert found[step, pair + 3] == pytest.approx(math.cos(angle), abs=1e-6)


def test_modality_dropout_hides_whole_modalities_in_training_alone(inputs_for):
    fields = {name: 0.0 for name in ("dropout", "fusion_dropout")}
    text = dict(tiny_config("token_fusion").text_config.to_dict(), hidden_dropout_prob=0.0)
    text["attention_probs_dropout_prob"] = 0.0
    model = build(modalities=["text", "physio"], text_config=text, modality_dropout=0.5, **fields)
    inputs = inputs_for(["text", "physio"])
    with torch.no_grad():
        every = [model(**inputs_for(some)).logits for some in (["text"], ["physio"], ["text", "physio"])]
        torch.testing.assert_close(model(**inputs).logits, every[2], rtol=0, atol=0)
        seen, model = set(), model.train()
        for _ in range(12):
            logits = model(**inputs).logits
            for row in range(4):
                close = [torch.allclose(logits[row], one[row], atol=1e-5) for one in every]
                assert sum(close) == 1
                seen.add(close.index(True))
    assert seen == {0, 1, 2}


def test_the_label_that_one_step_among_many_carries_is_learned():
    """What the mean over steps drowns, latents that attend to steps find."""
    torch.manual_seed(0)
    values, labels = torch.randn(256, 24, 5), torch.randint(0, 2, (256,))
    marked = torch.full((256, 5), 6.0)
    marked[:, 0] = labels * 8.0 - 4
    values[torch.arange(256), torch.randint(0, 24, (256,))] = marked
    model = build(modalities=["physio"], num_labels=2, fusion_dropout=0.0).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(60):
        rows = torch.arange(step % 2 * 96, step % 2 * 96 + 96)
        optimizer.zero_grad()
        model(physio_values=values[rows], labels=labels[rows]).loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = model.eval()(physio_values=values[192:]).logits.argmax(dim=1)
    assert (found == labels[192:]).float().mean() > 0.9


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_latents": 0}, "num_latents=0: 1 or more are needed"),
        ({"pooling": "attention"}, "pooling='attention': latents attend to each token of a modality; leave it out"),
        ({"physio_size": 0}, "physio_size=0: 1 or more are needed"),
        ({"num_attention_heads": 3}, "hidden_size=32 cannot be shared by num_attention_heads=3"),
        ({"hidden_size": 31, "num_attention_heads": 1}, "hidden_size=31 cannot be shared by num_attention_heads=1"),
        ({"modality_loss_weight": -1.0}, "modality_loss_weight=-1.0: a number of at least 0 is needed"),
        ({"modalities": ["physio", "text"]}, "in that order"),
    ],
)
def test_wrong_values_are_refused(fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        tiny_config("token_fusion", **fields)
