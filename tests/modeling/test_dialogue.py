"""The dialogue model: turns that are not there change nothing, those that are there are used, and a control is not."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from affecthub import DialogueConfig, DialogueForVideoClassification, DialogueModel

from ..tiny_configs import tiny_config

SIZE = 12


def text_model(**fields):
    """A model of text alone, whose encoder gives (batch, 32)."""
    torch.manual_seed(0)
    config = tiny_config("dialogue", modalities=["text"], **{"initializer_range": 0.3, **fields})
    model = DialogueForVideoClassification(config).eval()
    torch.nn.init.normal_(model.context_classifier.weight)
    return model


def turns_of(batch=3, turns=4):
    """Features of turns, all of them there, and who speaks."""
    generator = torch.Generator().manual_seed(1)
    return {
        "text_features": torch.randn(batch, turns, 32, generator=generator),
        "text_present": torch.ones(batch, turns, dtype=torch.long),
        "speaker_ids": torch.tensor([[1, 0, 0, 1]]).expand(batch, -1),
    }


def logits(model, **inputs):
    with torch.no_grad():
        return model(**inputs).logits


def changed(inputs, name, place, value):
    """Inputs with another value at a place of the turns."""
    values = inputs[name].clone()
    values[:, place] = value
    return inputs | {name: values}


def test_what_stands_where_there_is_no_turn_changes_nothing():
    model, inputs = text_model(), changed(turns_of(), "text_present", 0, 0)
    expected = logits(model, **inputs)
    for value in (float("nan"), 7.0):
        torch.testing.assert_close(logits(model, **changed(inputs, "text_features", 0, value)), expected)
    assert not torch.allclose(logits(model, **turns_of()), expected, atol=1e-3)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_every_turn_and_who_speaks_in_it_counts(place):
    model, inputs = text_model(), turns_of()
    expected = logits(model, **inputs)
    assert not torch.allclose(logits(model, **changed(inputs, "text_features", place, 3.0)), expected, atol=1e-3)
    assert not torch.allclose(logits(model, **changed(inputs, "speaker_ids", place, 5)), expected, atol=1e-3)


def test_the_order_of_turns_counts():
    model, inputs = text_model(), turns_of()
    swapped = inputs | {"text_features": inputs["text_features"][:, [1, 0, 2, 3]]}
    assert not torch.allclose(logits(model, **swapped), logits(model, **inputs), atol=1e-3)


def test_an_utterance_by_itself_is_a_turn_without_any_around_it():
    model, inputs = text_model(), turns_of()
    alone = inputs | {"text_present": torch.tensor([[0, 0, 1, 0]]).expand(3, -1)}
    alone["speaker_ids"] = torch.full((3, 4), 7)
    expected = logits(model, **alone)
    torch.testing.assert_close(logits(model, text_features=inputs["text_features"][:, 2]), expected)
    del alone["speaker_ids"]
    torch.testing.assert_close(logits(model, **alone), expected)


def test_company_changes_nothing():
    model, inputs = text_model(), changed(turns_of(), "text_present", 0, torch.tensor([0, 1, 1]))
    together = logits(model, **inputs)
    for row in range(3):
        one = {name: values[row : row + 1] for name, values in inputs.items()}
        torch.testing.assert_close(logits(model, **one), together[row : row + 1], rtol=1e-5, atol=1e-5)


def test_in_training_what_the_turn_says_by_itself_is_learned_too():
    model, inputs, labels = text_model(dropout=0, dialogue_dropout=0.0), turns_of(), torch.tensor([0, 3, 6])
    evaluated = model(**inputs, labels=labels).loss
    torch.testing.assert_close(evaluated, torch.nn.functional.cross_entropy(logits(model, **inputs), labels))
    model.train()
    by_itself = model.classifiers["text"](model.trimodal.text_projection(inputs["text_features"][:, 2]))
    expected = evaluated + torch.nn.functional.cross_entropy(by_itself, labels)
    torch.testing.assert_close(model(**inputs, labels=labels).loss, expected)
    model.config.turn_loss_weight = 0.0
    torch.testing.assert_close(model(**inputs, labels=labels).loss, evaluated)


@pytest.mark.parametrize("shuffled", [False, True])
def test_it_learns_from_the_turn_before_and_from_nothing_where_turns_are_shuffled(shuffled):
    torch.manual_seed(0)
    model = text_model(num_labels=2, turns_after=0, turns_before=2, dialogue_size=16)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    centres = torch.randn(2, 32)

    def batch(size):
        mood = torch.randint(2, (size, 3))
        labels = torch.randint(2, (size,)) if shuffled else mood[:, 1]  # what the turn before was like
        return {"text_features": centres[mood] + 0.3 * torch.randn(size, 3, 32)}, labels

    model.train()
    for _ in range(150):
        inputs, labels = batch(64)
        model(**inputs, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    inputs, labels = batch(500)
    accuracy = (logits(model, **inputs).argmax(-1) == labels).float().mean().item()
    assert 0.4 < accuracy < 0.6 if shuffled else accuracy > 0.95


def test_pixels_sound_and_text_of_turns_go_through_the_encoders():
    torch.manual_seed(0)
    model = DialogueForVideoClassification(tiny_config("dialogue")).eval()
    torch.nn.init.normal_(model.context_classifier.weight)
    mask = torch.tensor([[1, 0, 1, 0], [0, 1, 1, 1]])
    inputs = {
        "input_ids": torch.randint(1, 99, (2, 4, 5)),
        "attention_mask": torch.ones(2, 4, 5, dtype=torch.long),
        "text_present": mask,
        "input_features": torch.randn(2, 4, 8, 10),
        "audio_present": mask.flip(0),
        "pixel_values_videos": torch.randn(2, 4, 2, 3, 16, 16),
        "video_present": torch.tensor([[0, 0, 1, 0]]).expand(2, -1),
    }
    output = model(**inputs, output_modality_logits=True)
    assert output.logits.shape == (2, 7) and output.modality_logits.shape == (2, 3, 7)
    assert torch.isfinite(output.logits).all()
    trunk = model.trimodal(**inputs)
    assert trunk.embeddings.shape == (2, 3, 32) and trunk.presence.all() and trunk.context.shape == (2, 8)
    alone = {name: values[:, 2] for name, values in inputs.items()}
    torch.testing.assert_close(trunk.embeddings, model.trimodal(**alone).embeddings, rtol=1e-5, atol=1e-5)


def test_attentions_over_turns_are_given():
    model = DialogueForVideoClassification._from_config(tiny_config("dialogue"), attn_implementation="eager").eval()
    features = {"text_features": torch.randn(2, 4, 32), "text_present": torch.tensor([[0, 1, 1, 1], [1, 1, 1, 0]])}
    (weights,) = model(**features, output_attentions=True).dialogue_attentions
    assert weights.shape == (2, 2, 4, 4)
    torch.testing.assert_close(weights[:, :, 2].sum(-1), torch.ones(2, 2))
    assert (weights[0, :, 2, 0] == 0).all() and (weights[1, :, 2, 3] == 0).all()


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (
            {"text_features": torch.randn(2, 3, 32)},
            r"`text_features` has shape \(2, 3, 32\); expected \(batch, 4, ...\)",
        ),
        (
            {"text_features": torch.randn(2, 4, 32), "text_present": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 1]])},
            r"judged in samples \[1\] have no modality at all",
        ),
        ({}, "No input: pass one or more of"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, said):
    with pytest.raises(ValueError, match=said):
        DialogueModel(tiny_config("dialogue"))(**inputs)


@pytest.mark.parametrize(
    "fields", [{"turns_before": 0}, {"dialogue_size": 30, "num_attention_heads": 4}, {"num_speakers": 2}]
)
def test_configurations_that_cannot_be_are_refused(fields):
    with pytest.raises((ValueError, StrictDataclassError)):
        DialogueConfig(**fields)
