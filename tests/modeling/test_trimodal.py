"""What is particular to the utterance models: fusion, frozen encoders, modality dropout, pretrained encoders."""

import numpy as np
import pytest
import scipy
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    DistilBertConfig,
    DistilBertModel,
    ViTConfig,
    ViTModel,
)

from affecthub import (
    LogMelFeatureExtractor,
    TrimodalEnsembleConfig,
    TrimodalEnsembleForVideoClassification,
    TrimodalLateFusionConfig,
    TrimodalLateFusionForVideoClassification,
    TrimodalProcessor,
    UnimodalBaselineConfig,
    UnimodalBaselineForVideoClassification,
)
from affecthub.modeling.audio_encoders import PresentBatchNorm, cepstrum, functionals
from affecthub.modeling.modalities import drop_modalities

LAYERS = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37)
TINY = dict(
    text_config=dict(model_type="bert", vocab_size=99, max_position_embeddings=64, **LAYERS),
    vision_config=dict(model_type="clip_vision_model", image_size=16, patch_size=8, projection_dim=24, **LAYERS),
    num_mel_bins=10,
    hidden_size=32,
)


def test_default_sizes_are_those_of_the_reference():
    model = TrimodalEnsembleForVideoClassification._from_config(TrimodalEnsembleConfig(), dtype=torch.bfloat16)
    trunk = model.trimodal
    assert trunk.text_model.num_parameters() == 109_482_240 - 590_592  # BERT-base without its unused pooler
    assert trunk.vision_projection.weight.shape == (256, 512)
    assert [tuple(b.convolution.weight.shape) for b in trunk.audio_model.blocks] == [(64, 40, 3), (128, 64, 3)]
    assert [tuple(m.weight.shape) for m in model.early_fusion if hasattr(m, "in_features")] == [(512, 768), (256, 512)]
    assert [m.p for m in model.early_fusion if isinstance(m, torch.nn.Dropout)] == [0.4, 0.3]
    assert [tuple(m.weight.shape) for m in model.classifiers["audio"] if hasattr(m, "weight")] == [
        (128, 256),
        (7, 128),
    ]


def test_late_fusion_averages_the_present(inputs_for):
    torch.manual_seed(0)
    model = TrimodalLateFusionForVideoClassification(TrimodalLateFusionConfig(**TINY)).eval()
    inputs = inputs_for(["text", "audio", "video"])
    inputs["video_present"] = torch.tensor([0, 1, 1, 1])
    output = model(**inputs, output_modality_logits=True)
    torch.testing.assert_close(output.logits[0], output.modality_logits[0, :2].mean(dim=0))
    torch.testing.assert_close(output.logits[1], output.modality_logits[1].mean(dim=0))
    assert output.modality_weights[0].tolist() == [0.5, 0.5, 0.0]


def test_ensemble_follows_its_formula(inputs_for):
    torch.manual_seed(0)
    model = TrimodalEnsembleForVideoClassification(TrimodalEnsembleConfig(**TINY)).eval()
    model.path_weights.scores.data = torch.tensor([1.5, -0.5])
    inputs = inputs_for(["text", "audio", "video"])
    output = model(**inputs, output_modality_logits=True)
    w_e, w_l = torch.sigmoid(torch.tensor(1.5)), torch.sigmoid(torch.tensor(-0.5))
    embeddings = model.trimodal(**inputs).embeddings
    early = model.early_classifier(model.early_fusion(embeddings.flatten(1)))
    late = output.modality_logits.mean(dim=1)
    torch.testing.assert_close(output.logits, (early * w_e + late * w_l) / (w_e + w_l))
    torch.testing.assert_close(output.path_weights, torch.stack([w_e, w_l]) / (w_e + w_l))


def test_a_training_batch_of_one_is_normalised_by_the_running_statistics(inputs_for):
    torch.manual_seed(0)
    model = TrimodalEnsembleForVideoClassification(TrimodalEnsembleConfig(**TINY, fusion_dropouts=[0.0, 0.0]))
    norm = model.early_fusion[1].train()
    values = torch.randn(64, 512) * 3 + 1
    norm(values)
    before = norm.running_mean.clone(), norm.running_var.clone()
    expected = (values[:1] - before[0]) / (before[1] + norm.eps).sqrt()
    torch.testing.assert_close(norm(values[:1]), expected)
    torch.testing.assert_close((norm.running_mean, norm.running_var), before)
    one = {key: value[:1] for key, value in inputs_for(["text", "audio", "video"]).items()}
    assert torch.isfinite(model.train()(**one, labels=torch.tensor([1])).loss)


def test_frozen_encoders_stay_in_eval_mode_and_repeat_themselves(inputs_for):
    model = TrimodalEnsembleForVideoClassification(TrimodalEnsembleConfig(**TINY))
    model.trimodal.text_model.requires_grad_(False)
    model.trimodal.vision_model.vision_model.embeddings.requires_grad_(False)  # gradual unfreezing: a part only
    model.train()
    text, vision = model.trimodal.text_model, model.trimodal.vision_model.vision_model
    assert not any(module.training for module in text.modules())
    assert not vision.embeddings.training and vision.encoder.training
    assert model.early_fusion.training
    inputs = inputs_for(["text"])
    one, two = (model.trimodal(**inputs).embeddings for _ in range(2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    model.trimodal.text_model.requires_grad_(True)
    model.train()
    assert model.trimodal.text_model.training


def test_modality_dropout_hides_but_never_the_last():
    torch.manual_seed(0)
    presence = torch.tensor([[1, 1, 1], [0, 1, 0], [1, 0, 1]]).bool().repeat(2000, 1)
    dropped = drop_modalities(presence, 0.4)
    assert (dropped & ~presence).sum() == 0
    assert dropped.any(dim=1).all()
    assert dropped[1::3].equal(presence[1::3])
    # P(kept) = 0.6 + P(all dropped) * 1/3 = 0.6 + 0.064 / 3; standard error 0.006
    assert abs(dropped[::3].float().mean() - (0.6 + 0.064 / 3)) < 0.02


def test_modality_dropout_is_for_training_only(inputs_for):
    model = TrimodalLateFusionForVideoClassification(TrimodalLateFusionConfig(**TINY, modality_dropout=0.9)).train()
    torch.manual_seed(0)
    assert model(**inputs_for(["text", "audio", "video"]), output_modality_logits=True).modality_weights.max() == 1
    shares = model.eval()(**inputs_for(["text", "audio", "video"]), output_modality_logits=True).modality_weights
    torch.testing.assert_close(shares, torch.full((4, 3), 1 / 3))


@pytest.mark.parametrize("text_class", [(BertModel, BertConfig), (DistilBertModel, DistilBertConfig)])
@pytest.mark.parametrize("vision", ["clip", "vit"])
def test_encoders_come_from_a_folder(tmp_path, text_class, vision):
    torch.manual_seed(0)
    model_class, config_class = text_class
    if config_class is BertConfig:
        text = model_class(config_class(vocab_size=99, **LAYERS))
    else:
        text = model_class(config_class(vocab_size=99, dim=32, n_layers=2, n_heads=2, hidden_dim=37))
    text.save_pretrained(tmp_path / "text")
    small = dict(image_size=16, patch_size=8, **LAYERS)
    if vision == "clip":  # a whole CLIP: only its vision half is taken
        clip_layers = dict(**small, projection_dim=24)
        text_layers = dict(vocab_size=99, **LAYERS)
        source = CLIPModel(CLIPConfig(text_config=text_layers, vision_config=clip_layers, projection_dim=24))
        reference, name = source.visual_projection.weight, "visual_projection.weight"
    else:
        source = ViTModel(ViTConfig(**small))
        reference, name = source.pooler.dense.weight, "pooler.dense.weight"
    source.save_pretrained(tmp_path / "vision")
    model = TrimodalEnsembleForVideoClassification.from_encoders_pretrained(
        text_encoder=str(tmp_path / "text"), vision_encoder=str(tmp_path / "vision"), hidden_size=32, num_mel_bins=10
    )
    loaded = model.trimodal.text_model.get_input_embeddings().weight
    torch.testing.assert_close(loaded, text.get_input_embeddings().weight, rtol=0, atol=0)
    torch.testing.assert_close(dict(model.trimodal.vision_model.named_parameters())[name], reference, rtol=0, atol=0)
    assert model.config.text_config.model_type == text.config.model_type
    model.save_pretrained(tmp_path / "model")
    again = TrimodalEnsembleForVideoClassification.from_pretrained(tmp_path / "model")
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)
    assert sorted(p.name for p in (tmp_path / "model").glob("*.safetensors")) == ["model.safetensors"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(modalities=["video", "text"]), "name one or more"),
        (dict(modalities=["smell"]), "smell"),
        (dict(problem_type="ranking"), "ranking"),
        (dict(class_weights=[1.0, 2.0]), "2 class_weights for 7 labels"),
        (dict(class_weights=[-1.0] * 7), "class_weights=.*: numbers of at least 0 are needed"),
        (dict(class_weights=[1.0] * 7, problem_type="multi_label_classification"), "class_weights with problem_type="),
        (
            dict(pos_weight=[1.0] * 7),
            "pos_weight with problem_type='single_label_classification': they are for 'multi",
        ),
        (dict(modality_dropout=1.0), r"modality_dropout=1.0"),
        (dict(fusion_sizes=[8]), "one dropout a layer"),
        (dict(audio_encoder="lstm"), r"audio_encoder='lstm': choose one of \['cnn', 'cnn2d', 'functionals'\]"),
        (dict(audio_channels=[]), r"audio_channels=\[\]: name the channels"),
    ],
)
def test_configuration_refuses_nonsense_with_the_values(values, message):
    with pytest.raises(StrictDataclassError, match=message):
        TrimodalEnsembleConfig(**{**TINY, **values})


def test_a_unimodal_baseline_has_one_modality():
    with pytest.raises(StrictDataclassError, match="exactly one"):
        UnimodalBaselineConfig(**TINY, modalities=["text", "audio"])
    config = UnimodalBaselineConfig(modalities=["audio"])
    assert config.text_config is None and config.vision_config is None


def test_compiles(inputs_for):
    torch.manual_seed(0)
    model = TrimodalLateFusionForVideoClassification(TrimodalLateFusionConfig(**TINY)).eval()
    inputs = inputs_for(["text", "audio", "video"])
    compiled = torch.compile(model, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(**inputs).logits, model(**inputs).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("audio_encoder", ["cnn", "cnn2d", "functionals"])
def test_no_modality_starts_much_quieter_than_another(inputs_for, audio_encoder):
    torch.manual_seed(0)
    wide = dict(hidden_size=256, num_hidden_layers=1, num_attention_heads=4, intermediate_size=256)
    encoders = {name: {**TINY[name], **wide} for name in ("text_config", "vision_config")}
    num_mel_bins = 8 if audio_encoder == "functionals" else 10  # beside which pitch takes two columns
    config = TrimodalEnsembleConfig(**encoders, num_mel_bins=num_mel_bins, audio_encoder=audio_encoder)
    model = TrimodalEnsembleForVideoClassification(config).train()  # with the statistics of this batch
    spread = model.trimodal(**inputs_for(["text", "audio", "video"])).embeddings.std(dim=(0, 2))
    assert spread.max() < 6 * spread.min()


@pytest.mark.parametrize(
    ("audio_encoder", "features"),
    [("cnn", {}), ("cnn2d", {}), ("functionals", {"normalization": "level", "pitch": True})],
)
def test_how_loud_a_recording_is_and_silence_around_it_change_no_answer(audio_encoder, features):
    torch.manual_seed(0)
    config = UnimodalBaselineConfig(modalities=["audio"], audio_encoder=audio_encoder, initializer_range=0.1)
    model = UnimodalBaselineForVideoClassification(config).eval()
    processor = TrimodalProcessor(feature_extractor=LogMelFeatureExtractor(**features))
    rng = np.random.default_rng(0)
    clip = 0.1 * np.sin(np.arange(30_000) ** 1.4 / 40) * rng.uniform(0.5, 1, 30_000)
    silence = 1e-5 * rng.normal(size=16_000)
    changed = [clip * 0.1, clip * 10, np.concatenate([silence, clip, silence]), clip[:9_000]]
    with torch.no_grad():
        alone = model(**processor(audio=[clip], sampling_rate=16_000)).logits
        together = model(**processor(audio=changed, sampling_rate=16_000)).logits
    torch.testing.assert_close(together[:3], alone.expand(3, -1), rtol=0, atol=1e-3)
    assert (together[3] - alone).abs().max() > 1e-2


def test_the_stronger_audio_branch_is_small():
    model = UnimodalBaselineForVideoClassification(UnimodalBaselineConfig(modalities=["audio"], audio_encoder="cnn2d"))
    assert 80_000 < sum(p.numel() for p in model.trimodal.audio_model.parameters()) < 200_000


def test_a_cepstrum_is_a_cosine_transform():
    features = torch.randn(2, 5, 40, generator=torch.Generator().manual_seed(0))
    expected = torch.from_numpy(scipy.fft.dct(features.numpy(), axis=-1, norm="ortho"))
    torch.testing.assert_close(cepstrum(features), expected, rtol=1e-4, atol=1e-5)


def test_functionals_are_those_of_each_clip_by_itself():
    generator = torch.Generator().manual_seed(0)
    features, mask = torch.randn(3, 30, 26, generator=generator), torch.ones(3, 30)
    features[..., -1] = torch.rand(3, 30, generator=generator)
    features[:, 5:9, -1] = 0  # a pause
    mask[1, 21:], features[1, 21:] = 0, 0
    mask[2, 1:], features[2, 1:] = 0, 0
    got = functionals(features, mask, num_mel_bins=24)
    for row, clip, count in zip(got, features, (30, 21, 1), strict=True):
        frames = clip[:count].numpy()
        torch.testing.assert_close(row, torch.from_numpy(expected_functionals(frames)).float(), rtol=1e-3, atol=1e-3)


def expected_functionals(frames):
    """By NumPy and SciPy, of the frames (frames, 26) of one clip: float (150,)."""
    cepstra = scipy.fft.dct(frames[:, :24].astype(float), norm="ortho")[:, :20]
    pitch, periodicity = frames[:, 24:25].astype(float), frames[:, 25:].astype(float)
    small, voice = 1e-4, periodicity[:, 0] ** 2

    def statistics(values, weights):
        mean = np.average(values, axis=0, weights=weights)
        return [mean, np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights) + small)]

    def movement(values, weights, lag):
        both = weights[lag:] * weights[:-lag]
        change = (np.square(values[lag:] - values[:-lag]) * both[:, None]).sum(axis=0)
        return np.sqrt(change / max(both.sum(), small) + small)

    heard, voiced, every = np.hstack([cepstra, periodicity]), np.hstack([cepstra, pitch]), np.ones(len(frames))
    figures = statistics(heard, every) + [movement(heard, every, lag) for lag in (1, 2, 4)]
    figures += statistics(voiced, voice) + [movement(pitch, voice, lag) for lag in (1, 2, 4)]
    return np.concatenate(figures)


def test_functionals_need_pitch_beside_the_bands():
    config = UnimodalBaselineConfig(modalities=["audio"], audio_encoder="functionals")
    model = UnimodalBaselineForVideoClassification(config)
    inputs = LogMelFeatureExtractor()(np.ones(4_000), sampling_rate=16_000, return_tensors="pt")
    with pytest.raises(ValueError, match=r"width 40: 40 mel bands, pitch and .* LogMelFeatureExtractor\(pitch=True\)"):
        model(**inputs)


def test_batch_statistics_are_those_of_the_samples_that_have_sound():
    torch.manual_seed(0)
    norm, plain = PresentBatchNorm(5), torch.nn.BatchNorm1d(5)
    values = torch.randn(6, 5) * 3 + 1
    present = torch.tensor([1, 0, 1, 1, 0, 1])
    expected = plain(values[present == 1])
    torch.testing.assert_close(norm(values, present)[present == 1], expected)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    alone = norm(values, torch.tensor([0, 0, 1, 0, 0, 0]))[2]  # one has no variance: by the running statistics
    torch.testing.assert_close(alone, (values[2] - plain.running_mean) / (norm.running_var + norm.eps).sqrt())


@pytest.mark.parametrize("audio_encoder", ["cnn", "cnn2d", "functionals"])
def test_who_has_no_sound_counts_in_no_statistics_also_without_a_mask_of_frames(inputs_for, audio_encoder):
    num_mel_bins = 8 if audio_encoder == "functionals" else 10
    config = TrimodalLateFusionConfig(**{**TINY, "num_mel_bins": num_mel_bins}, audio_encoder=audio_encoder)
    inputs = inputs_for(["text", "audio"]) | {"audio_present": torch.tensor([0, 1, 1, 1])}
    everywhere = torch.ones_like(inputs.pop("feature_attention_mask"))

    def learned(**masks):
        torch.manual_seed(0)
        model = TrimodalLateFusionForVideoClassification(config).train()
        return model(**inputs, **masks).logits, dict(model.trimodal.audio_model.named_buffers())

    torch.testing.assert_close(learned(), learned(feature_attention_mask=everywhere))
