"""What is particular to the models of recordings: weights, time, batch statistics, attention, pretrained encoders."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForVideoClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from affecthub import (
    FrameCnnConfig,
    FrameCnnForVideoClassification,
    FrameResnetConfig,
    FrameResnetForVideoClassification,
    FrameVitConfig,
    FrameVitForVideoClassification,
    PhysioConcatConfig,
    PhysioCrossAttentionConfig,
    PhysioPretrainedFusionConfig,
    PhysioPretrainedFusionForVideoClassification,
    TemporalVitConfig,
)
from affecthub.modeling.attention import MaskedAttention, TransformerLayer
from affecthub.modeling.checkpointing import still_statistics
from affecthub.modeling.wavenet import WaveNetEncoder

LAYERS = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37)
VIT = dict(model_type="vit", image_size=16, patch_size=8, **LAYERS)
RESNET = dict(model_type="resnet", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic")
CNN = dict(channels=[4, 8], block_dropouts=[0.1], pooled_size=2, head_sizes=[8], head_dropouts=[0.1, 0.1])


def build(config):
    torch.manual_seed(0)
    return AutoModelForVideoClassification.from_config(config)


def fusion_model():
    return build(PhysioPretrainedFusionConfig(vision_config=VIT, physio_size=5, fusion_size=16, num_attention_heads=2))


def test_modality_weights_start_at_their_values_and_are_saved(inputs_for, tmp_path):
    model = fusion_model().eval()
    inputs = inputs_for(["video", "physio"])
    weights = model(**inputs, output_modality_logits=True).modality_weights
    torch.testing.assert_close(weights, torch.tensor([[0.6, 0.4]] * 4))
    model.model.modality_weights.scores.data = torch.tensor([0.0, 2.0])
    model.save_pretrained(tmp_path)
    loaded = PhysioPretrainedFusionForVideoClassification.from_pretrained(tmp_path).eval()
    expected = torch.tensor([0.0, 2.0]).softmax(0).expand(4, 2)
    torch.testing.assert_close(loaded(**inputs, output_modality_logits=True).modality_weights, expected)
    state = load_file(tmp_path / "model.safetensors")
    del state["model.modality_weights.scores"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    without = PhysioPretrainedFusionForVideoClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(without(**inputs, output_modality_logits=True).modality_weights, weights)


def test_modality_weights_go_over_what_is_present(inputs_for):
    inputs = inputs_for(["video", "physio"])
    inputs["video_present"], inputs["physio_present"] = torch.tensor([1, 0, 1, 1]), torch.tensor([1, 1, 0, 1])
    weights = fusion_model().eval()(**inputs, output_modality_logits=True).modality_weights
    torch.testing.assert_close(weights, torch.tensor([[0.6, 0.4], [0, 1], [1, 0], [0.6, 0.4]]))


def test_modality_logits_are_what_each_modality_says_alone(inputs_for):
    model = fusion_model().eval()
    inputs = inputs_for(["video", "physio"])
    inputs["physio_present"] = torch.tensor([1, 1, 0, 1])
    each = model(**inputs, output_modality_logits=True).modality_logits
    torch.testing.assert_close(each[:, 0], model(**inputs_for(["video"])).logits, rtol=1e-4, atol=1e-5)
    alone = model(**inputs_for(["physio"])).logits
    torch.testing.assert_close(each[[0, 1, 3], 1], alone[[0, 1, 3]], rtol=1e-4, atol=1e-5)
    assert not each[2, 1].any()


@pytest.mark.parametrize("config", [FrameCnnConfig(**CNN), FrameResnetConfig(vision_config=RESNET)])
def test_batch_statistics_are_counted_once_under_checkpointing_and_see_no_padding(config, inputs_for):
    inputs, seen = inputs_for(["video"]), []
    junk = inputs | {"pixel_values_videos": inputs["pixel_values_videos"].clone()}
    junk["pixel_values_videos"][inputs["video_attention_mask"] == 0] = 1e3
    for batch, checkpointing in ((inputs, False), (inputs, True), (junk, False)):
        model = build(config).train()
        if checkpointing:
            model.activation_checkpointing_enable()
        torch.manual_seed(1)
        model(**batch, labels=torch.tensor([0.0, 1, 1, 0])).loss.backward()
        seen.append(dict(model.named_buffers()))
    assert any(name.endswith("num_batches_tracked") and value == 1 for name, value in seen[0].items())
    for other in seen[1:]:
        for name, value in seen[0].items():
            torch.testing.assert_close(other[name], value, msg=name)


def test_a_batch_norm_without_running_statistics_has_none_to_keep_still():
    norm = torch.nn.BatchNorm1d(3, track_running_stats=False)
    with still_statistics(norm):
        assert norm(torch.randn(4, 3)).shape == (4, 3)


def test_a_frozen_resnet_keeps_its_statistics(inputs_for):
    model = build(FrameResnetConfig(vision_config=RESNET))
    model.model.vision_model.requires_grad_(False)
    before = {name: value.clone() for name, value in model.named_buffers()}
    model.train()
    model(**inputs_for(["video"]), labels=torch.tensor([0.0, 1, 1, 0])).loss.backward()
    assert model.head.training
    for name, value in model.named_buffers():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, msg=name)


def test_the_resnet_stages_make_what_the_whole_resnet_makes(inputs_for):
    model = build(FrameResnetConfig(vision_config=RESNET)).eval().model
    pixels = inputs_for(["video"])["pixel_values_videos"][:, 0]
    expected = model.vision_model(pixel_values=pixels).pooler_output.flatten(1)
    torch.testing.assert_close(model(pixel_values_videos=pixels.unsqueeze(1)).embeddings, expected)


def test_the_transformer_layer_is_torchs():
    torch.manual_seed(0)
    own = TransformerLayer(FrameVitConfig(attn_implementation="sdpa"), 16, 4, dropout=0.0).eval()
    reference = torch.nn.TransformerEncoderLayer(
        16, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    names = {"attention.o_proj": "self_attn.out_proj", "attention_norm": "norm1", "feed_forward_norm": "norm2"}
    names |= {"feed_forward.0": "linear1", "feed_forward.2": "linear2"}
    for source, target in names.items():
        reference.get_submodule(target).load_state_dict(own.get_submodule(source).state_dict())
    projections = [own.get_submodule(f"attention.{name}_proj") for name in "qkv"]
    reference.self_attn.in_proj_weight.data = torch.cat([projection.weight for projection in projections])
    reference.self_attn.in_proj_bias.data = torch.cat([projection.bias for projection in projections])
    hidden, mask = torch.randn(3, 7, 16), torch.arange(7) < torch.tensor([[7], [4], [1]])
    expected = reference(hidden, src_key_padding_mask=~mask)
    torch.testing.assert_close(own(hidden, mask)[mask], expected[mask], rtol=1e-4, atol=1e-5)


def test_attention_goes_to_real_keys_and_a_sample_without_any_gets_nothing():
    torch.manual_seed(0)
    attention = MaskedAttention(FrameVitConfig(attn_implementation="eager"), 16, 4, dropout=0.0)
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]]).bool()
    output, weights = attention(torch.randn(2, 5, 16), torch.randn(2, 3, 16), mask)
    assert weights.shape == (2, 4, 5, 3)
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(4, 5))
    assert not weights[0, ..., 2].any() and not weights[1].any() and not output[1].any()
    output.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in attention.parameters())


def test_weights_saved_with_torchs_attention_inside_still_load(inputs_for, tmp_path):
    model = fusion_model().eval()
    inputs = inputs_for(["video", "physio"])
    expected = model(**inputs).logits
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    for place in ("model.cross_attention", "model.layer.attention"):
        for kind in ("weight", "bias"):
            joined = torch.cat([state.pop(f"{place}.{name}_proj.{kind}") for name in "qkv"])
            state[f"{place}.attention.in_proj_{kind}"] = joined
            state[f"{place}.attention.out_proj.{kind}"] = state.pop(f"{place}.o_proj.{kind}")
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded, report = AutoModelForVideoClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    torch.testing.assert_close(loaded.eval()(**inputs).logits, expected, rtol=0, atol=0)
    trunk = AutoModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(model.head(trunk(**inputs).embeddings), expected, rtol=0, atol=0)


def test_attentions_on_request(inputs_for):
    model = fusion_model().eval()
    model.set_attn_implementation("eager")
    output = model(**inputs_for(["video", "physio"]), output_attentions=True)
    assert [a.shape for a in output.cross_attentions] == [(4, 2, 15, 3)]
    assert [a.shape for a in output.fusion_attentions] == [(4, 2, 18, 18)]
    config = TemporalVitConfig(vision_config=VIT, num_attention_heads=2, attn_implementation="eager")
    attentions = build(config).eval()(**inputs_for(["video"]), output_attentions=True).temporal_attentions
    assert [a.shape for a in attentions] == [(4, 2, 3, 3)] * 2
    assert not attentions[0][1, :, :, 1:].any()  # sample 1 has one real frame


def test_only_the_temporal_vit_knows_the_order_of_frames(inputs_for):
    clip = inputs_for(["video"])["pixel_values_videos"]
    for config, ordered in ((TemporalVitConfig(vision_config=VIT), True), (FrameVitConfig(vision_config=VIT), False)):
        model = build(config).eval()
        same = torch.allclose(
            model(pixel_values_videos=clip).logits, model(pixel_values_videos=clip.flip(1)).logits, atol=1e-6
        )
        assert same is not ordered


def test_too_many_steps_are_refused(inputs_for):
    model = build(TemporalVitConfig(vision_config=VIT, num_frames=2))
    with pytest.raises(ValueError, match="3 steps in time, but the model has positions for 2"):
        model(**inputs_for(["video"]))
    model = build(PhysioCrossAttentionConfig(vision_config=VIT, physio_size=5))
    with pytest.raises(ValueError, match="101 steps in time, but the model has positions for 100"):
        model(physio_values=torch.zeros(1, 101, 5))
    with pytest.raises(ValueError, match=r"`physio_values` has shape \(1, 5\); expected \(batch, steps, features\)"):
        model(physio_values=torch.zeros(1, 5))


def test_the_wavenet_is_causal_and_sees_as_far_as_its_dilations():
    torch.manual_seed(0)
    encoder = WaveNetEncoder(size=6, channels=4, skip_channels=5, layers_per_stack=3, num_stacks=2, hop_length=1)
    encoder = encoder.double()
    signal = torch.randn(1, 60, dtype=torch.float64, requires_grad=True)
    tokens, mask = encoder(signal, torch.ones(1, 60).bool())
    assert tokens.shape == (1, 60, 6) and mask.all()
    tokens[0, 40].sum().backward()
    reached = signal.grad[0].nonzero().flatten()
    # the input's two taps, then two stacks of dilations 1, 2, 4: 1 + 2 * 7 samples before the present one
    assert (int(reached.min()), int(reached.max())) == (40 - 15, 40)


def test_hops_average_their_real_samples():
    torch.manual_seed(0)
    settings = dict(size=6, channels=4, skip_channels=5, layers_per_stack=2, num_stacks=1)
    fine, coarse = WaveNetEncoder(**settings, hop_length=1), WaveNetEncoder(**settings, hop_length=4)
    coarse.load_state_dict(fine.state_dict())
    signal, mask = torch.randn(1, 10), (torch.arange(10) < 7).unsqueeze(0)
    each = fine(signal, mask)[0]
    tokens, real = coarse(signal, mask)
    assert real.tolist() == [[True, True, False]]
    torch.testing.assert_close(tokens[0, 0], each[0, :4].mean(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(tokens[0, 1], each[0, 4:7].mean(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("classifier", "source", "parameter", "in_source"),
    [
        (
            FrameVitForVideoClassification,
            (ViTForImageClassification, ViTConfig(**VIT)),
            "layers.1.mlp.fc1.weight",
            "vit.",
        ),
        (
            FrameResnetForVideoClassification,
            (ResNetForImageClassification, ResNetConfig(**RESNET)),
            "encoder.stages.1.layers.1.layer.0.normalization.running_mean",
            "resnet.",
        ),
    ],
)
def test_encoders_come_from_a_folder(tmp_path, classifier, source, parameter, in_source):
    torch.manual_seed(0)
    model_class, config = source
    original = model_class(config)
    for value in original.state_dict().values():
        if value.is_floating_point():
            value.normal_()
    original.save_pretrained(tmp_path / "encoder")
    model = classifier.from_encoders_pretrained(str(tmp_path / "encoder"), num_labels=3)
    reference = original.state_dict()[in_source + parameter]
    torch.testing.assert_close(model.model.vision_model.state_dict()[parameter], reference, rtol=0, atol=0)
    model.save_pretrained(tmp_path / "model")
    again = classifier.from_pretrained(tmp_path / "model")
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)
    assert again.config.num_labels == 3


def test_what_has_no_pretrained_encoder_says_so():
    with pytest.raises(ValueError, match="frame_cnn model has no pretrained encoder"):
        FrameCnnForVideoClassification.from_encoders_pretrained("somewhere")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrameVitConfig(modalities=["video", "physio"]), "a frame_vit model has"),
        (lambda: FrameVitConfig(head_sizes=[8]), "one dropout before each linear layer"),
        (lambda: FrameCnnConfig(channels=[8]), "one dropout for each block but the last"),
        (lambda: FrameResnetConfig(vision_config={"model_type": "vit"}), "model_type 'vit'"),
        (lambda: PhysioPretrainedFusionConfig(initial_modality_weights=[1.0, 1.0]), "sum to 1"),
        (lambda: PhysioConcatConfig(problem_type="ranking"), "ranking"),
    ],
)
def test_configuration_refuses_nonsense_with_the_values(make, message):
    with pytest.raises(StrictDataclassError, match=message):
        make()


def test_modality_dropout_hides_in_training_only(inputs_for):
    config = PhysioPretrainedFusionConfig(
        vision_config=VIT, physio_size=5, fusion_size=16, num_attention_heads=2, modality_dropout=0.9
    )
    model, inputs = build(config), inputs_for(["video", "physio"])
    weights = model.train()(**inputs, output_modality_logits=True).modality_weights
    assert weights.max() == 1
    torch.testing.assert_close(
        model.eval()(**inputs, output_modality_logits=True).modality_weights, torch.tensor([[0.6, 0.4]] * 4)
    )


@pytest.mark.parametrize(
    "config", [FrameCnnConfig(**CNN), PhysioCrossAttentionConfig(vision_config=VIT, physio_size=5)]
)
def test_compiles(config, inputs_for):
    model = build(config).eval()
    inputs = inputs_for(config.modalities)
    compiled = torch.compile(model, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(**inputs).logits, model(**inputs).logits, rtol=1e-4, atol=1e-5)
