"""What every architecture has to do, one test for all of them."""

import itertools

import accelerate
import pytest
import torch
from transformers import AutoModel, AutoModelForVideoClassification
from transformers.modeling_layers import GradientCheckpointingLayer

from affecthub.architectures import PROCESSORS

from .conftest import CONFIGS


def build(config, **kwargs):
    torch.manual_seed(0)
    return AutoModelForVideoClassification.from_config(config, **kwargs)


def subsets(modalities):
    return [c for size in range(1, len(modalities) + 1) for c in itertools.combinations(modalities, size)]


def test_shapes_and_loss(make_config, inputs_for):
    config = make_config()
    model = build(config).eval()
    labels = torch.tensor([0, 1, 6, 3])
    output = model(**inputs_for(config.modalities), labels=labels, output_modality_logits=True)
    assert output.logits.shape == (4, 7)
    assert output.modality_logits.shape == (4, len(config.modalities), 7)
    torch.testing.assert_close(output.loss, torch.nn.functional.cross_entropy(output.logits, labels))
    trunk = model.base_model(**inputs_for(config.modalities))
    assert len(trunk.embeddings) == 4 and trunk.presence.shape == (4, len(config.modalities))


@pytest.mark.parametrize(
    ("problem_type", "num_labels", "labels", "reference"),
    [
        ("multi_label_classification", 1, torch.tensor([0.0, 1, 1, 0]), "binary_cross_entropy_with_logits"),
        ("regression", 1, torch.tensor([0.1, 0.5, 0.9, 0.0]), "mse_loss"),
        ("multi_label_classification", 7, torch.eye(7)[:4], "binary_cross_entropy_with_logits"),
    ],
)
def test_problem_types(make_config, inputs_for, problem_type, num_labels, labels, reference):
    config = make_config(problem_type=problem_type, num_labels=num_labels)
    output = build(config).eval()(**inputs_for(config.modalities), labels=labels)
    expected = getattr(torch.nn.functional, reference)(output.logits, labels.view(4, num_labels))
    torch.testing.assert_close(output.loss, expected)


def test_save_and_load_give_the_same_logits(make_config, inputs_for, tmp_path):
    config = make_config()
    model = build(config).eval()
    inputs = inputs_for(config.modalities)
    model.save_pretrained(tmp_path)
    loaded, report = AutoModelForVideoClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    loaded.save_pretrained(tmp_path / "again")
    first, second = ((tmp_path / name / "config.json").read_text().splitlines() for name in (".", "again"))
    # loading fills in the encoders' dtype, which their fresh configurations leave open
    assert [line for line in second if "dtype" not in line] == [line for line in first if "dtype" not in line]
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(**inputs).logits, model(**inputs).logits, rtol=0, atol=0)
        trunk = AutoModel.from_pretrained(tmp_path).eval()
        torch.testing.assert_close(trunk(**inputs).embeddings, model.base_model(**inputs).embeddings, rtol=0, atol=0)


def test_a_batch_gives_what_its_samples_give_alone_and_padding_changes_nothing(make_config, inputs_for):
    config = make_config()
    model = build(config).eval()
    inputs = inputs_for(config.modalities)
    with torch.no_grad():
        together = model(**inputs).logits
        for i in range(4):
            alone = {key: value[i : i + 1] for key, value in inputs.items()}
            for steps, mask in (
                (("input_ids", "attention_mask", "token_type_ids"), "attention_mask"),
                (("input_features", "feature_attention_mask"), "feature_attention_mask"),
                (("pixel_values_videos", "video_attention_mask"), "video_attention_mask"),
                (("physio_values", "physio_attention_mask"), "physio_attention_mask"),
                (("input_values", "audio_attention_mask"), "audio_attention_mask"),
            ):
                if mask in alone:
                    length = int(alone[mask].sum())
                    alone |= {key: alone[key][:, :length] for key in steps}
            torch.testing.assert_close(model(**alone).logits, together[i : i + 1], rtol=1e-4, atol=1e-5)


def test_every_subset_of_modalities_serves(make_config, inputs_for):
    config = make_config()
    model = build(config).eval()
    seen = []
    for subset in subsets(config.modalities):
        passed_alone = inputs_for(subset)
        masked = inputs_for(config.modalities)
        for name in set(config.modalities) - set(subset):
            masked[f"{name}_present"][:] = 0
        with torch.no_grad():
            logits = model(**passed_alone).logits
            torch.testing.assert_close(model(**masked).logits, logits, rtol=1e-5, atol=1e-6)
        seen.append(logits)
    for one, other in itertools.combinations(seen, 2):
        assert not torch.allclose(one, other)


def test_what_stands_behind_an_absent_mask_reaches_neither_logits_nor_gradients(make_config, inputs_for):
    config = make_config()
    if len(config.modalities) == 1:
        config_presence = {}
    else:  # sample 0 lacks the first modality, 1 the second, and so on: a mixed batch
        config_presence = {name: [int(i != row) for row in range(4)] for i, name in enumerate(config.modalities)}
    model = build(config).train()  # batch statistics too
    results = []
    for junk in (0.0, 7.5, float("nan")):
        inputs = inputs_for(config.modalities)
        for name, present in config_presence.items():
            inputs[f"{name}_present"] = torch.tensor(present)
            absent = torch.tensor(present) == 0
            values = inputs[model.main_inputs[name]]
            values[absent] = 3 if name == "text" else junk
            if name == "text":
                inputs["attention_mask"][absent] = 0 if junk == 0 else 1
        model.zero_grad()
        torch.manual_seed(1)
        output = model(**inputs, labels=torch.tensor([0, 1, 2, 3]))
        output.loss.backward()
        results.append((output.logits.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    for logits, gradients in results[1:]:
        torch.testing.assert_close(logits, results[0][0], rtol=0, atol=0)
        for gradient, reference in zip(gradients, results[0][1], strict=True):
            assert torch.isfinite(gradient).all()
            torch.testing.assert_close(gradient, reference, rtol=0, atol=0)


def test_every_parameter_gets_a_gradient(make_config, inputs_for):
    config = make_config()
    model, inputs = build(config).train(), inputs_for(config.modalities)
    if config.model_type == "dialogue":  # a turn by itself has nothing to choose between
        inputs = {name: torch.stack([values.roll(i, 0) for i in range(4)], dim=1) for name, values in inputs.items()}
    model(**inputs, labels=torch.tensor([0, 1, 2, 3])).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A key's bias shifts all scores of a query alike, and softmax is blind to that; the loss's gradient is rounding.
    assert [name for name in without if "k_proj.bias" not in name and "key.bias" not in name] == []


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")  # of frozen encoders
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_changes_nothing(make_config, inputs_for, use_reentrant, frozen):
    config = make_config()
    inputs = inputs_for(config.modalities)
    gradients = []
    for checkpointing in (False, True):
        # eager, because without gradients PyTorch's fused attention takes another kernel, which rounds otherwise
        model = build(config, attn_implementation="eager").train()
        if frozen:
            for name, parameter in model.base_model.named_parameters():
                parameter.requires_grad_(not name.startswith(model.encoder_prefixes))
            model.train()
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": use_reentrant})
        torch.manual_seed(1)
        model(**inputs, labels=torch.tensor([0, 1, 2, 3])).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, reference in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], reference, rtol=1e-5, atol=1e-7, msg=name)


def attends(config):
    """Whether the trunk's own layers or an encoder's attend."""
    encoders = [getattr(config, name, None) for name in ("text_config", "vision_config")]
    return any(encoder is not None and encoder.model_type != "resnet" for encoder in encoders)


def test_eager_and_sdpa_agree(make_config, inputs_for):
    config = make_config()
    if not attends(config):
        pytest.skip("nothing in it attends")
    inputs = inputs_for(config.modalities)
    model = build(config, attn_implementation="sdpa").eval()
    eager = build(make_config(), attn_implementation="eager").eval()
    eager.load_state_dict(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(eager(**inputs).logits, model(**inputs).logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="output_attentions=True with attn_implementation='sdpa', which gives none"):
        model(**inputs, output_attentions=True)


ATTENTIONS = {"text_attentions": [(4, 2, 9, 9)] * 2, "vision_attentions": [(12, 2, 5, 5)] * 2}
HIDDEN_STATES = {"text_hidden_states": [(4, 9, 32)] * 3, "vision_hidden_states": [(12, 5, 32)] * 3}
RECORDED = {
    "dialogue": {"dialogue_attentions": [(4, 2, 4, 4)], "dialogue_hidden_states": [(4, 4, 8)] * 2},
    "token_fusion": {
        "fusion_attentions": [(4, 2, 3, 3 + tokens) for tokens in (9, 7, 3, 3)] * 2,
        "fusion_hidden_states": [(4, 3, 32)] * 2,
    },
    "frame_cnn": {"vision_hidden_states": [(12, 4, 8, 8), (12, 8, 2, 2)]},
    "frame_resnet": {"vision_hidden_states": [(12, 8, 4, 4), (12, 8, 4, 4), (12, 16, 2, 2)]},
    "temporal_vit": {"temporal_attentions": [(4, 2, 3, 3)] * 2, "temporal_hidden_states": [(4, 3, 32)] * 3},
    "physio_cross_attention": {
        "temporal_attentions": [(4, 2, 3, 3)] * 3,
        "temporal_hidden_states": [(4, 3, 32)] * 4,
        "cross_attentions": [(4, 2, 15, 3)],
        "fusion_hidden_states": [(4, 18, 32)],
    },
    "physio_pretrained_fusion": {
        "cross_attentions": [(4, 2, 15, 3)],
        "fusion_attentions": [(4, 2, 18, 18)],
        "fusion_hidden_states": [(4, 18, 16)],
    },
    "audio_visual_fusion": {"cross_attentions": [(4, 2, 15, 5)], "fusion_hidden_states": [(4, 20, 32)]},
}
"""`model_type` -> the fields that its own layers add, or that replace its encoder's, with their shapes."""


def recorded_fields(config):
    """The fields that requests fill, with their shapes."""
    encoders = {"text": getattr(config, "text_config", None), "vision": config.vision_config}
    fields = ATTENTIONS | HIDDEN_STATES if attends(config) else {}
    fields = {name: shapes for name, shapes in fields.items() if encoders[name.split("_")[0]] is not None}
    fields |= RECORDED.get(config.model_type, {})
    if config.model_type == "token_fusion" and config.audio_encoder == "cnn2d":  # which pools: one token
        fields["fusion_attentions"] = [(4, 2, 3, 3 + tokens) for tokens in (9, 1, 3, 3)] * 2
    return fields


def shapes_of(output):
    """The recorded fields of an output, with their shapes."""
    endings = ("_attentions", "_hidden_states")
    return {name: [tuple(v.shape) for v in value] for name, value in output.items() if name.endswith(endings)}


@torch.no_grad()
def test_hidden_states_and_attentions_on_request(make_config, inputs_for):
    config = make_config()
    inputs = inputs_for(config.modalities)
    model = build(config, attn_implementation="eager").eval()
    fields = recorded_fields(config)
    assert shapes_of(model(**inputs)) == {}
    for part in (model, model.base_model):
        for ending in ("hidden_states", "attentions"):
            expected = {name: shapes for name, shapes in fields.items() if name.endswith(ending)}
            assert shapes_of(part(**inputs, **{f"output_{ending}": True})) == expected
            setattr(model.config, f"output_{ending}", True)
            assert shapes_of(part(**inputs)) == expected
            assert shapes_of(part(**inputs, **{f"output_{ending}": False})) == {}
            setattr(model.config, f"output_{ending}", False)
    output = model(**inputs, output_hidden_states=True, output_attentions=True, output_modality_logits=True)
    assert shapes_of(output) == fields
    torch.testing.assert_close(output.logits, model(**inputs).logits, rtol=0, atol=0)


def test_bfloat16_runs(make_config, inputs_for):
    config = make_config()
    model = build(config).eval()
    inputs = inputs_for(config.modalities)
    with torch.no_grad():
        exact = model(**inputs).logits
        rough = model.to(torch.bfloat16)(**inputs).logits
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.05)


def test_tuple_output(make_config, inputs_for):
    config = make_config()
    model = build(config).eval()
    inputs, labels = inputs_for(config.modalities), torch.tensor([0, 1, 2, 3])
    output, trunk = model(**inputs, labels=labels), model.base_model(**inputs)
    as_tuple = model(**inputs, labels=labels, return_dict=False)
    assert isinstance(as_tuple, tuple) and len(as_tuple) == 2
    assert isinstance(model.base_model(**inputs, return_dict=False), tuple)
    model.config.return_dict = False
    torch.testing.assert_close(model(**inputs, labels=labels)[1], output.logits, rtol=0, atol=0)
    torch.testing.assert_close(model.base_model(**inputs)[0], trunk.embeddings, rtol=0, atol=0)
    torch.testing.assert_close(model(**inputs, return_dict=True).logits, output.logits, rtol=0, atol=0)


def test_hooks_of_the_trunk_take_effect(make_config, inputs_for):
    config = make_config()
    model = build(config).eval()
    inputs, seen = inputs_for(config.modalities), []
    model.base_model.register_forward_pre_hook(lambda part, args: seen.append(part))
    model(**inputs, output_modality_logits=True)
    assert seen == [model.base_model]

    def nothing_seen(part, args, output):
        return type(output)(**output | {"embeddings": torch.zeros_like(output.embeddings)})

    before = model(**inputs).logits
    model.base_model.register_forward_hook(nothing_seen)
    assert not torch.allclose(model(**inputs).logits, before)


def mixed_batch(config, inputs_for, rows=4):
    """A batch with padding in which sample 0 lacks the first modality, sample 1 the second, and so on."""
    inputs = inputs_for(config.modalities)
    if len(config.modalities) > 1:
        for i, name in enumerate(config.modalities):
            inputs[f"{name}_present"][i] = 0
    return {key: value[:rows] for key, value in inputs.items()}


@pytest.mark.parametrize(
    "make_config", [name for name in CONFIGS if name in PROCESSORS or name.startswith("unimodal")], indirect=True
)
def test_it_is_compiled_whole(make_config, inputs_for):
    config = make_config()
    model = build(config).eval()
    torch.compiler.reset()  # the limit of recompilations counts those of all models together
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    inputs = mixed_batch(config, inputs_for)
    with torch.no_grad():
        model(**inputs, output_hidden_states=True)  # hooks that record stay in place
        torch.testing.assert_close(compiled(**inputs).logits, model(**inputs).logits, rtol=1e-4, atol=1e-5)


def test_no_layer_is_split_between_devices(make_config):
    model = build(make_config())
    layers = {type(part).__name__ for part in model.modules() if isinstance(part, GradientCheckpointingLayer)}
    assert layers <= model._no_split_modules <= {type(part).__name__ for part in model.modules()}


@pytest.mark.parametrize("place", ["cpu", "disk"])
def test_weights_are_off_loaded(make_config, inputs_for, tmp_path, place):
    config = make_config()
    model = build(config).eval()
    inputs = inputs_for(config.modalities)
    with torch.no_grad():
        expected = model(**inputs).logits
        if place == "cpu":
            accelerate.cpu_offload(model, execution_device="cpu")
        else:
            accelerate.disk_offload(model, tmp_path, execution_device="cpu")
        assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
        torch.testing.assert_close(model(**inputs).logits, expected, rtol=0, atol=0)


def test_it_says_what_it_takes_in(make_config):
    config = make_config()
    for model in (build(config), build(config).base_model):
        assert model.input_modalities == tuple(config.modalities)
        assert model.main_input_name == model.main_inputs[config.modalities[0]]
        assert type(model).input_modalities == config.allowed_modalities
        library = {"get_text_features", "get_image_features", "get_video_features", "get_audio_features"}
        assert not library & set(dir(model))  # their contract there is another


def test_wrong_calls_say_what_is_wrong(make_config, inputs_for):
    config = make_config()
    model = build(config).eval()
    with pytest.raises(ValueError, match="No input: pass one or more of"):
        model()
    with pytest.raises(TypeError, match=r"forward\(\) got unexpected arguments \['video_presnt'\]"):
        model(**inputs_for(config.modalities), video_presnt=torch.ones(4))
    name = config.modalities[0]
    inputs = inputs_for([name])
    inputs[f"{name}_present"][2] = 0
    with pytest.raises(ValueError, match=r"Samples \[2\] of the batch have no modality"):
        model(**inputs)
    with pytest.raises(ValueError, match="marks 4 samples as present, but"):
        model(**{f"{name}_present": torch.ones(4)})
    inputs[f"{name}_present"] = torch.ones(3)
    with pytest.raises(ValueError, match=r"has shape \(3,\); expected \(4,\)"):
        model(**inputs)
    if len(config.modalities) == 1:
        other = next(name for name in ("audio", "text") if name not in config.modalities)
        with pytest.raises(ValueError, match="passed to a model with modalities"):
            model(**{model.main_inputs[other]: torch.ones(4, 9, dtype=torch.long)})
