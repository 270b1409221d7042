"""Encoders of sound of transformers as the audio branch of the utterance models, one family after another."""

import math

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModel, BertConfig, BertModel

from affecthub import (
    TrimodalLateFusionForVideoClassification,
    TrimodalProcessor,
    UnimodalBaselineConfig,
    UnimodalBaselineForVideoClassification,
)
from affecthub.modeling.configuration_trimodal import SOUND_ENCODERS
from affecthub.modeling.pooling import AttentionPooling
from affecthub.modeling.pretrained_audio import LayerWeights
from affecthub.processing.sound_features import extractor_for

from ..sound_encoders import FAMILIES, save_encoder
from ..tiny_configs import LAYERS

RATE = 16_000


def sound(seconds, seed=0):
    """A glide with some noise, float32 (samples,)."""
    rng, time = np.random.default_rng(seed), np.arange(int(seconds * RATE)) / RATE
    glide = np.sin(2 * np.pi * (200 + 150 * seed + 300 * time) * time) * rng.uniform(0.5, 1)
    return (0.2 * glide + 0.01 * rng.normal(size=len(time))).astype(np.float32)


CLIPS = [sound(0.9), sound(0.31, 1), sound(0.05, 2), sound(0.9, 3), sound(0.5037, 4)]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    return save_encoder(request.param, tmp_path_factory.mktemp("sound") / request.param)


def build(folder, **values):
    torch.manual_seed(0)
    values = {"modalities": ["audio"], "hidden_size": 32, "initializer_range": 0.1, **values}
    return UnimodalBaselineForVideoClassification.from_encoders_pretrained(audio_encoder=folder, **values).eval()


@pytest.fixture
def processor(folder):
    return TrimodalProcessor.from_encoders_pretrained(audio_encoder=folder)


def listen(model, processor, clips):
    with torch.no_grad():
        return model(**processor(audio=clips, sampling_rate=RATE)).logits


def company_changes_nothing(model, processor):
    together = listen(model, processor, CLIPS)
    for clip, expected in zip(CLIPS, together, strict=True):
        torch.testing.assert_close(listen(model, processor, [clip])[0], expected, rtol=0, atol=1e-5)
    assert torch.pdist(together).min() > 1e-4  # and each clip has an answer of its own
    return together


def test_padding_and_company_change_nothing_as_built_as_trained_and_as_reloaded(folder, processor, tmp_path):
    model = build(folder)
    before = company_changes_nothing(model, processor)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    model.train()(**processor(audio=CLIPS, sampling_rate=RATE), labels=torch.arange(5)).loss.backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert missing in ([], ["trimodal.audio_model.encoder.embed_positions.weight"])  # which Whisper keeps as it is
    optimizer.step()
    model.eval()
    after = company_changes_nothing(model, processor)
    assert (after - before).abs().max() > 1e-4
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).eval()
    read = TrimodalProcessor.from_pretrained(tmp_path)
    torch.testing.assert_close(company_changes_nothing(loaded, read), after, rtol=0, atol=1e-5)
    assert loaded.config.audio_config is loaded.trimodal.audio_model.encoder.config
    assert folder not in (tmp_path / "config.json").read_text()


def test_the_layers_are_those_of_the_encoder_itself(folder, processor):
    """Against transformers' own model, on one clip without padding, each layer by the outputs it says it has."""
    model = build(folder)
    batch = processor(audio=CLIPS[:1], sampling_rate=RATE)
    trunk = model.trimodal
    inputs, mask = batch[trunk.main_inputs["audio"]], batch["feature_attention_mask"]
    layers = trunk.encode_audio(inputs, mask, torch.ones(1, dtype=torch.bool))
    source = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        if source.config.model_type == "whisper":
            output = source.get_encoder()(inputs.transpose(1, 2), output_hidden_states=True)
            steps = slice(0, math.ceil(int(0.9 * RATE) / 160 / 2))
        elif source.config.model_type == "audio-spectrogram-transformer":
            output = source(inputs, output_hidden_states=True)
            assert mask.sum() == 1 + (int(0.9 * RATE) - 400) // 160 == 88
            steps = [2 + 12 * band + time for band in range(3) for time in range(9)]  # begin at frames 0, 10 to 80
        else:
            output, steps = source(inputs, output_hidden_states=True), slice(None)
    states = output.hidden_states[:-1]
    if not getattr(source.config, "add_adapter", False):
        states = [*states, output.last_hidden_state]
    for i, state in enumerate(states):
        torch.testing.assert_close(layers[:, i], state[:, steps].mean(dim=1), rtol=1e-4, atol=1e-5)
    assert layers.shape == (1, 3, 32)
    audio = trunk.audio_model
    audio.pooling = AttentionPooling(32)
    torch.nn.init.constant_(audio.layer_weights.scores, -torch.inf)
    torch.nn.init.zeros_(audio.layer_weights.scores[: len(states)])
    heard = torch.stack([state[:, steps] for state in states]).mean(dim=0)  # at each step
    expected = audio.pooling(heard, torch.ones(heard.shape[:2]))
    layers = trunk.encode_audio(inputs, mask, torch.ones(1, dtype=torch.bool))
    torch.testing.assert_close(audio.layer_weights(layers), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("folder", ["ast"], indirect=True)
def test_the_patches_that_are_averaged_are_those_that_hold_sound(folder, processor):
    model = build(folder)
    batch = processor(audio=CLIPS[:1], sampling_rate=RATE)  # 88 frames, whose last patch goes from frame 80 to 95
    inputs, mask, present = batch["input_features"], batch["feature_attention_mask"], torch.ones(1, dtype=torch.bool)
    before = model.trimodal.encode_audio(inputs, mask, present)[:, 0]
    for frame, counts in ((96, False), (95, True)):
        changed = inputs.clone()
        changed[:, frame:] += 1
        after = model.trimodal.encode_audio(changed, mask, present)[:, 0]
        assert ((after - before).abs().max() > 1e-4) == counts


def test_attention_over_time_goes_to_what_is_real_also_in_half_precision(folder, processor):
    model = build(folder, pooling="attention")
    for parameter in model.trimodal.audio_model.pooling.parameters():
        torch.nn.init.normal_(parameter)
    expected = company_changes_nothing(model, processor)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(listen(model, processor, CLIPS).float(), expected, rtol=0, atol=0.1)
        assert all(torch.isfinite(value).all() for value in gradients(model.train(), processor).values())


def test_what_a_frozen_encoder_gave_stands_for_the_sound(folder, processor):
    model = build(folder)
    batch = processor(audio=CLIPS, sampling_rate=RATE)
    present = torch.ones(len(CLIPS), dtype=torch.bool)
    trunk = model.trimodal
    inputs = batch[trunk.main_inputs["audio"]]
    with torch.no_grad():
        features = trunk.encode_audio(inputs, batch["feature_attention_mask"], present)
        torch.testing.assert_close(model(audio_features=features).logits, model(**batch).logits, rtol=0, atol=1e-6)
        with pytest.raises(ValueError, match="Both `input_.*` and `audio_features` were passed: leave one out"):
            model(**batch, audio_features=features)
    assert model.get_input_embeddings().weight.shape[0] in (8, 32)


def test_short_silent_and_long_sounds_have_finite_answers(folder, processor):
    model = build(folder)
    clips = [np.zeros(1, np.float32), np.ones(1, np.float32), np.zeros(RATE // 2), sound(20)]
    answers = listen(model, processor, clips)
    assert torch.isfinite(answers).all()
    processor.max_seconds = 0.5
    cut = listen(model, processor, [sound(20), sound(20)[: RATE // 2]])
    torch.testing.assert_close(cut[0], cut[1], rtol=0, atol=1e-6)
    gradients = build(folder).train()
    gradients(**processor(audio=clips[:3], sampling_rate=RATE), labels=torch.arange(3)).loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in gradients.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    "folder", [name for name in FAMILIES if name not in ("wavlm", "whisper", "ast")], indirect=True
)
def test_how_loud_a_recording_is_changes_nothing_where_the_extractor_normalises(folder, processor):
    clip = sound(0.8)
    quiet, plain, loud = listen(build(folder), processor, [clip * 0.1, clip, clip * 10])
    torch.testing.assert_close(quiet, plain, rtol=0, atol=1e-3)
    torch.testing.assert_close(loud, plain, rtol=0, atol=1e-3)


def test_a_sampling_rate_the_encoder_does_not_have_is_refused(processor):
    for rate in (8000, None):
        with pytest.raises(ValueError, match=f"sampling_rate={rate}, but this extractor was made for 16000 Hz"):
            processor(audio=CLIPS, sampling_rate=rate)
    with pytest.raises(ValueError, match="holds NaN or infinite samples"):
        processor(audio=[np.array([np.nan])], sampling_rate=RATE)


def test_samples_without_sound_change_nothing(folder, processor):
    torch.manual_seed(0)
    model = TrimodalLateFusionForVideoClassification.from_encoders_pretrained(
        audio_encoder=folder,
        modalities=["text", "audio"],
        hidden_size=32,
        text_config=dict(model_type="bert", vocab_size=99, **LAYERS),
    ).eval()
    batch = dict(processor(audio=CLIPS[1:3], sampling_rate=RATE))
    inputs = {key: torch.cat([value, torch.full_like(value[:1], -7)]) for key, value in batch.items()}
    inputs["audio_present"] = torch.tensor([1, 1, 0])
    ids = torch.randint(5, 99, (3, 4), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(input_ids=ids, **inputs).logits
        torch.testing.assert_close(logits[:2], model(input_ids=ids[:2], **batch).logits, rtol=0, atol=1e-5)
        torch.testing.assert_close(logits[2:], model(input_ids=ids[2:]).logits, rtol=0, atol=1e-5)


def test_an_encoder_from_scratch_and_its_extractor_go_together(folder):
    config = AutoConfig.from_pretrained(folder)
    model = UnimodalBaselineForVideoClassification(
        UnimodalBaselineConfig(modalities=["audio"], audio_config=config.to_dict())
    ).eval()
    answers = listen(model, TrimodalProcessor(feature_extractor=extractor_for(config)), CLIPS)
    assert torch.isfinite(answers).all() and model.config.audio_config.model_type == config.model_type


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_how_it_attends_can_be_set(folder, processor, implementation):
    expected = listen(build(folder), processor, CLIPS)
    if "wavlm" in folder and implementation == "sdpa":
        pytest.skip("WavLM attends in its own way")
    model = build(folder, attn_implementation=implementation)
    assert model.trimodal.audio_model.encoder.config._attn_implementation == implementation
    torch.testing.assert_close(listen(model, processor, CLIPS), expected, rtol=0, atol=1e-5)


def gradients(model, processor):
    batch = processor(audio=CLIPS, sampling_rate=RATE)
    torch.manual_seed(0)
    model(**batch, labels=torch.arange(5)).loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_gradient_checkpointing_changes_nothing(folder, processor):
    plain, checkpointed = build(folder).train(), build(folder).train()
    for part in (*plain.modules(), *checkpointed.modules()):
        if hasattr(part, "dropout") and isinstance(part.dropout, float):
            part.dropout = 0.0
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    checkpointed.activation_checkpointing_enable()
    expected = gradients(plain, processor)
    found = gradients(checkpointed, processor)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_half_precision_stays_near_the_whole(folder, processor):
    model = build(folder).train()
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.isfinite(value).all() for value in gradients(model, processor).values())
    expected = listen(model.eval(), processor, CLIPS)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(listen(model, processor, CLIPS).float(), expected, rtol=0, atol=0.1)
    torch.testing.assert_close(listen(model.bfloat16(), processor, CLIPS).float(), expected, rtol=0, atol=0.1)


def test_every_kind_that_is_named_is_tested():
    kinds = {make().config.model_type for make, _ in FAMILIES.values()}
    assert kinds == set(SOUND_ENCODERS)


def test_layers_start_equal_and_are_weighted_by_a_softmax():
    weights = LayerWeights(3)
    vectors = torch.randn(2, 3, 5)
    torch.testing.assert_close(weights(vectors), vectors.mean(dim=1))
    weights.scores.data = torch.tensor([1.0, -1.0, 0.5])
    expected = sum(w * vectors[:, i] for i, w in enumerate(weights.scores.softmax(0)))
    torch.testing.assert_close(weights(vectors), expected)


def test_what_encodes_no_sound_is_refused(tmp_path):
    BertModel(BertConfig(vocab_size=9, **LAYERS)).save_pretrained(tmp_path / "text")
    with pytest.raises(ValueError, match=r"audio_encoder='.*text' is a bert model; these encode sound: wav2vec2, .*"):
        build(str(tmp_path / "text"))
    with pytest.raises(StrictDataclassError, match="audio_config of a gpt2 model: choose one of"):
        UnimodalBaselineConfig(modalities=["audio"], audio_config=dict(model_type="gpt2"))
    with pytest.raises(ValueError, match="`input_values` was passed, but the audio encoder takes `input_features`"):
        build("cnn2d")(input_values=torch.zeros(1, 800))
    with pytest.raises(ValueError, match="`audio_features` was passed, but the audio encoder takes `input_features`"):
        build("cnn")(audio_features=torch.zeros(1, 3, 32))


def test_half_precision_weights_become_whole(tmp_path):
    folder = save_encoder("hubert", tmp_path / "hubert")
    AutoModel.from_pretrained(folder).half().save_pretrained(folder)
    assert {p.dtype for p in build(folder).parameters()} == {torch.float32}
