"""Freezing, unfreezing and the two learning rates, alone and within a real run of the Trainer."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    ModernBertConfig,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    ViTConfig,
    set_seed,
)

from affecthub.training.evaluate import epochs_run
from affecthub.training.from_recipe import build_model
from affecthub.training.phases import (
    START_EPOCH,
    EarlyStopping,
    PhaseCallback,
    apply_phase,
    early_stopping,
    encoder_stages,
    epochs_until_stopped,
    first_epochs,
    make_optimizer,
    phase_of,
    split_encoders,
)
from affecthub.training.recipe import Phase, load_recipe, recipe_names

SIZES = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16)
# what precedes the layers of each encoder, and what follows them
ENCODERS = {
    "bert": (
        lambda: AutoModel.from_config(BertConfig(vocab_size=9, **SIZES), add_pooling_layer=False),
        ("embeddings.",),
        (),
    ),
    "modernbert": (
        lambda: AutoModel.from_config(ModernBertConfig(vocab_size=9, pad_token_id=0, **SIZES)),
        ("embeddings.",),
        ("final_norm",),
    ),
    "clip": (
        lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(image_size=8, patch_size=4, projection_dim=6, **SIZES)),
        ("embeddings", "pre_layrnorm"),
        ("post_layernorm", "visual_projection"),
    ),
    "vit": (
        lambda: AutoModel.from_config(ViTConfig(image_size=8, patch_size=4, **SIZES)),
        ("embeddings.",),
        ("layernorm.", "pooler"),
    ),
}
TWO_PHASES = "--training.phases=[{start_epoch: 0, encoder_layers: 0}, {start_epoch: 1, encoder_layers: 1}]"


@pytest.fixture(params=ENCODERS)
def encoder(request):
    build, before, after = ENCODERS[request.param]
    return build(), before, after


@pytest.fixture
def model(tiny, corpus, processor):
    set_seed(0)
    return build_model(tiny(), corpus, processor)


class Snapshots(TrainerCallback):
    """The weights, and the flags, as each epoch ends."""

    def __init__(self):
        self.weights, self.learning = [], []

    def on_epoch_end(self, args, state, control, model, **kwargs):
        self.weights.append({name: p.detach().clone() for name, p in model.named_parameters()})
        self.learning.append({name for name, p in model.named_parameters() if p.requires_grad})


def test_stages_hold_every_parameter_once_and_run_from_input_to_output(encoder):
    network, before, after = encoder
    stages = encoder_stages(network)
    names = {id(p): name for name, p in network.named_parameters()}
    staged = [[names[id(p)] for p in stage] for stage in stages]
    assert len(stages) == 1 + SIZES["num_hidden_layers"]
    assert sorted(sum(staged, [])) == sorted(names.values())
    assert staged[0] and all(any(part in name for part in before) for name in staged[0])
    for depth, stage in enumerate(staged[1:]):
        of_layer = [name for name in stage if not any(part in f"{name}." for part in after) or ".layers." in name]
        assert of_layer and all(f".{depth}." in f".{name}" for name in of_layer), of_layer
        beyond = set(stage) - set(of_layer)
        assert bool(beyond) == (bool(after) and depth == SIZES["num_hidden_layers"] - 1)


def test_the_encoders_of_a_model_are_told_from_the_rest(model):
    encoders, names = split_encoders(model)
    assert [type(encoder).__name__ for encoder in encoders] == ["ModernBertModel", "CLIPVisionModelWithProjection"]
    everything = {name for name, _ in model.named_parameters()}
    prefixes = {name.split(".")[1] for name in names}
    assert prefixes == {"text_model", "vision_model"}
    assert not any("text_model" in name or "vision_model" in name for name in everything - names)


@pytest.mark.parametrize(
    ("layers", "learning", "frozen"),
    [
        (0, (), ("text_model", "vision_model")),
        (1, ("text_model.layers.0", "encoder.layers.1", "visual_projection"), ("embeddings", "encoder.layers.0")),
        (2, ("text_model.layers.0", "text_model.embeddings", "encoder.layers.0"), ("vision_model.embeddings",)),
        ("all", ("text_model", "vision_model"), ()),
    ],
)
def test_a_phase_frees_the_topmost_layers_and_leaves_everything_else_learning(model, layers, learning, frozen):
    apply_phase(model, Phase(0, 0))
    apply_phase(model, Phase(0, layers))
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    assert all(any(part in name for name in flags) for part in (*learning, *frozen))
    of_encoder = {name: flag for name, flag in flags.items() if "text_model" in name or "vision_model" in name}
    assert all(flag for name, flag in flags.items() if name not in of_encoder)
    assert all(flag for name, flag in of_encoder.items() if any(part in name for part in learning))
    held = [
        name for name in of_encoder if any(part in name for part in frozen) and not any(p in name for p in learning)
    ]
    assert not any(flags[name] for name in held)


def test_without_a_phase_everything_learns(model):
    apply_phase(model, Phase(0, 0))
    apply_phase(model, None)
    assert all(p.requires_grad for p in model.parameters())


def test_the_phase_of_an_epoch_is_the_last_that_began():
    phases = [Phase(4, "all"), Phase(1, 0), Phase(2, 2)]
    assert [phase_of(phases, epoch) for epoch in range(6)] == [
        *(None, Phase(1, 0), Phase(2, 2), Phase(2, 2), Phase(4, "all"), Phase(4, "all"))
    ]


def test_frozen_weights_stay_bit_equal_under_weight_decay_and_move_once_they_are_free(trainer_for, tiny):
    recipe = tiny(TWO_PHASES, "--training.weight_decay=0.5", "--training.scheduler=constant", "--training.epochs=2")
    trainer = trainer_for(recipe)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    seen = Snapshots()
    trainer.add_callback(seen)
    trainer.train()
    encoder_names = split_encoders(trainer.model)[1]
    after_first, after_second = seen.weights
    for name in encoder_names:
        assert torch.equal(after_first[name], before[name]), name
        moved = not torch.equal(after_second[name], before[name])
        assert moved == (name in seen.learning[1]), name
    assert seen.learning[0].isdisjoint(encoder_names)
    assert 0 < len(seen.learning[1] & encoder_names) < len(encoder_names)
    heads = [name for name in before if name not in encoder_names and before[name].dim() > 1]
    assert all(not torch.equal(after_first[name], before[name]) for name in heads)


def test_frozen_encoders_are_in_eval_mode_while_training(trainer_for, tiny):
    trainer = trainer_for(tiny("--training.phases=[{start_epoch: 0, encoder_layers: 0}]", "--training.epochs=1"))
    modes = []

    class Modes(TrainerCallback):
        def on_step_end(self, args, state, control, model, **kwargs):
            modes.append(
                (model.base_model.text_model.training, model.base_model.vision_model.training, model.training)
            )

    trainer.add_callback(Modes())
    trainer.train()
    assert modes == [(False, False, True)] * 3


def test_two_learning_rates_and_no_decay_on_vectors_land_in_the_optimizer(trainer_for, tiny):
    recipe = tiny(
        *("--training.learning_rate=0.02", "--training.encoder_learning_rate=0.003"),
        *("--training.weight_decay=0.1", "--training.scheduler=constant"),
    )
    trainer = trainer_for(recipe)
    groups = trainer.create_optimizer().param_groups
    encoder_ids = {id(p) for encoder in split_encoders(trainer.model)[0] for p in encoder.parameters()}
    seen = {}
    for group in groups:
        for parameter in group["params"]:
            assert group["lr"] == (0.003 if id(parameter) in encoder_ids else 0.02)
            assert group["weight_decay"] == (0.1 if parameter.dim() > 1 else 0.0)
            seen[id(parameter)] = parameter
    assert seen.keys() == {id(p) for p in trainer.model.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(seen)
    trainer.train()
    assert {group["lr"] for group in trainer.optimizer.param_groups} == {0.003, 0.02}


@pytest.mark.parametrize(
    ("phases", "held"),
    [([Phase(0, 0)], False), ([Phase(0, 0), Phase(1, 0)], False), ([Phase(1, 0)], True), ([], True)],
)
def test_encoders_that_never_learn_are_not_in_the_optimizer(model, tiny, phases, held):
    optimizer = make_optimizer(model, replace(tiny().training, phases=phases))
    inside = {id(p) for group in optimizer.param_groups for p in group["params"]}
    encoder_names = split_encoders(model)[1]
    for name, parameter in model.named_parameters():
        assert (id(parameter) in inside) == (held or name not in encoder_names), name


def test_a_resumed_run_is_in_the_phase_of_its_epoch(model):
    callback = PhaseCallback([Phase(0, 0), Phase(3, "all")])
    encoder_names = split_encoders(model)[1]
    for epoch, learning in ((0, False), (2, False), (3, True), (7, True)):
        callback.on_epoch_begin(None, type("State", (), {"epoch": float(epoch)})(), None, model=model)
        assert all(p.requires_grad == learning for name, p in model.named_parameters() if name in encoder_names)


def test_each_layer_is_in_the_group_of_the_epoch_in_which_it_learns_first(model, tiny):
    phases = [Phase(0, 0), Phase(2, 1), Phase(4, 2), Phase(5, 0)]
    starts = first_epochs(model, phases)
    groups = make_optimizer(model, replace(tiny().training, phases=phases)).param_groups
    of_group = {id(parameter): group[START_EPOCH] for group in groups for parameter in group["params"]}
    encoder_names = split_encoders(model)[1]
    for name, parameter in model.named_parameters():
        learns = []
        for epoch in range(8):
            apply_phase(model, phase_of(phases, epoch))
            learns += [epoch] if parameter.requires_grad else []
        assert of_group.get(id(parameter)) == (learns[0] if learns else None), name
        assert (parameter in starts) == (name in encoder_names and bool(learns)), name
    assert set(of_group.values()) == {0, 2, 4}
    assert {start for start in first_epochs(model, [Phase(3, 0)]).values()} == {0}  # all learns before the first phase


def stopped_after(stopping, figures, greater=True):
    """The epoch, from 1, after which training ends; None: it goes on."""
    args = SimpleNamespace(metric_for_best_model="figure", greater_is_better=greater)
    control = TrainerControl()
    for epoch, figure in enumerate(figures, start=1):
        stopping.on_evaluate(args, TrainerState(epoch=float(epoch)), control, {"eval_figure": figure})
        if control.should_training_stop:
            return epoch
    return None


@pytest.mark.parametrize(
    ("figures", "first", "ends"),
    [
        ([0.9] * 12, 0, 4),  # the first is the best; three are waited for
        ([0.9] * 12, 5, 9),  # none of the first phase counts
        ([0.9] * 5 + [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5], 5, 13),  # what is unfrozen gains, below the head's best
        ([0.9] * 5 + [0.5, 0.51, 0.52, 0.53, 0.54], 5, 9),  # by less than min_delta
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0, None),
        ([float("nan")] * 5, 0, 3),
        ([0.2, float("nan"), 0.5, 0.4, 0.4, 0.4], 0, 6),
    ],
)
def test_patience_counts_within_the_last_phase_alone(figures, first, ends):
    assert stopped_after(EarlyStopping(3, 0.05, first), figures) == ends
    assert stopped_after(EarlyStopping(3, 0.05, first), [-figure for figure in figures], greater=False) == ends


def test_a_restored_state_waits_no_longer_than_the_first_would_have():
    stopping = EarlyStopping(3, 0.0, 2)
    assert stopped_after(stopping, [0.5] * 5) is None
    kept = stopping.state()
    again = EarlyStopping(**kept["args"])
    for name, value in kept["attributes"].items():
        setattr(again, name, value)
    assert (again.best, again.waited) == (0.5, 2)
    args = SimpleNamespace(metric_for_best_model="figure", greater_is_better=True)
    control = TrainerControl()
    again.on_evaluate(args, TrainerState(epoch=6.0), control, {"eval_figure": 0.5})
    assert control.should_training_stop


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).training.patience])
def test_no_shipped_recipe_stops_before_its_last_phase_has_had_its_patience(name):
    recipe = load_recipe(name).training
    last = max((phase.start_epoch for phase in recipe.phases), default=0)
    ends = stopped_after(early_stopping(recipe), [0.5] * recipe.epochs)
    assert ends == last + 1 + recipe.patience <= recipe.epochs


def test_phases_that_are_never_reached_do_not_keep_a_run_from_stopping(tiny):
    recipe = replace(tiny().training, patience=2, epochs=10, phases=[Phase(0, 0), Phase(4, 1), Phase(15, "all")])
    assert early_stopping(recipe).first_epoch == 4


def test_a_run_of_two_phases_unfreezes_before_it_stops_and_says_how_long_it_ran(trainer_for, tiny, tmp_path):
    recipe = tiny(
        *("--training.epochs=6", "--training.patience=1", "--training.min_delta=10", "--training.learning_rate=1e-6"),
        "--training.phases=[{start_epoch: 0, encoder_layers: 0}, {start_epoch: 2, encoder_layers: all}]",
    )
    trainer = trainer_for(recipe)
    assert epochs_run(trainer) == {"epochs_planned": 6}
    seen = Snapshots()
    trainer.add_callback(seen)
    trainer.train()
    # two epochs of the head, one of the rest, and one that is waited for: the rate of 1e-6 gains nothing
    assert [len(learning) for learning in seen.learning] == [len(seen.learning[0])] * 2 + [len(seen.learning[3])] * 2
    assert len(seen.learning[3]) > len(seen.learning[0])
    figures = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
    best = 1 + max(range(4), key=figures.__getitem__)
    expected = {"epochs": 4, "epochs_planned": 6, "best_metric": "accuracy", "best_epoch": best}
    assert epochs_run(trainer) == expected
    checkpoints = sorted((tmp_path / "checkpoints").iterdir(), key=lambda path: int(path.name.rpartition("-")[2]))
    assert epochs_until_stopped(str(checkpoints[-1])) == 4
