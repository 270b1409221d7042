"""The rates that an optimizer really learns by, from the first update of a run to the last."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from transformers import SchedulerType, TrainerCallback

from affecthub.training.phases import ENCODER, PEAK, START_EPOCH, make_optimizer
from affecthub.training.recipe import BY_METRIC, WARM_RESTARTS, TrainingRecipe, load_recipe, recipe_names
from affecthub.training.schedule import check_schedule, make_schedule, share_of_peak

FLOOR, HEAD, ENCODERS = 1e-6, 1e-3, 1e-4
COSINE = (
    *("--training.scheduler=cosine_with_min_lr", f"--training.scheduler_options={{min_lr: {FLOOR}}}"),
    *(f"--training.learning_rate={HEAD}", f"--training.encoder_learning_rate={ENCODERS}", "--training.epochs=4"),
)
PHASES = (
    "--training.phases=[{start_epoch: 0, encoder_layers: 0}, {start_epoch: 2, encoder_layers: 1}, "
    "{start_epoch: 3, encoder_layers: all}]"
)


class Rates(TrainerCallback):
    """The rate of each group before every update, by epoch; and those that the Trainer logged."""

    def __init__(self):
        self.seen, self.logged = [], []

    def on_step_begin(self, args, state, control, optimizer, **kwargs):
        self.seen.append((math.floor(state.epoch + 1e-6), [group["lr"] for group in optimizer.param_groups]))

    def on_log(self, args, state, control, logs, **kwargs):
        if "learning_rate" in logs:
            self.logged.append({name: rate for name, rate in logs.items() if name.startswith(("learning", "lr_"))})

    def first_of(self, epoch):
        return next(rates for begun, rates in self.seen if begun == epoch)


@pytest.mark.parametrize("phases", [(), (PHASES,)])
def test_every_group_goes_from_its_rate_to_the_floor(trainer_for, tiny, phases):
    batches = {
        (): 1,
        ("--training.gradient_accumulation=2",): 1,
        ("--training.gradient_accumulation=2", "--training.scale_learning_rate=true"): 2,
    }
    for (options, scale), warmup in itertools.product(batches.items(), (0, 0.25, 2)):
        trainer = trainer_for(tiny(*COSINE, f"--training.warmup={warmup}", *phases, *options))
        optimizer, updates = trainer.create_optimizer(), 40
        rates = rates_over(optimizer, trainer.create_scheduler(updates), updates)
        starts = {(group[ENCODER], group[START_EPOCH]) for group in optimizer.param_groups}
        assert starts == ({(False, 0), (True, 2), (True, 3)} if phases else {(False, 0), (True, 0)})
        for group, of_group in zip(optimizer.param_groups, rates, strict=True):
            peak, first = scale * (ENCODERS if group[ENCODER] else HEAD), group[START_EPOCH] * updates // 4
            assert max(of_group) == pytest.approx(peak) and of_group[-1] == pytest.approx(FLOOR)
            assert of_group[first] == (0 if warmup and not first else pytest.approx(peak))
            if first:
                assert of_group[first + 1] < peak


def rates_over(optimizer, scheduler, updates):
    """A group -> its rate before each update, and after the last."""
    rates = []
    for _ in range(updates):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return list(zip(*rates, [group["lr"] for group in optimizer.param_groups], strict=True))


def test_what_is_unfrozen_begins_at_its_full_rate_in_a_real_run(trainer_for, tiny):
    trainer, rates = trainer_for(tiny(*COSINE, PHASES, "--training.gradient_accumulation=2")), Rates()
    trainer.add_callback(rates)
    trainer.train()
    groups = trainer.optimizer.param_groups
    assert len(rates.seen) == trainer.state.global_step == 8
    for start in (2, 3):
        found = [
            rate for group, rate in zip(groups, rates.first_of(start), strict=True) if group[START_EPOCH] == start
        ]
        assert found and found == pytest.approx([ENCODERS] * len(found))
    assert [group["lr"] for group in groups] == pytest.approx([FLOOR] * len(groups))
    # the log names the head's rate, and those of the encoders once they learn
    assert [sorted(logged) for logged in rates.logged] == [
        ["learning_rate"],
        ["learning_rate"],
        ["learning_rate", "lr_encoders_from_epoch_2"],
        ["learning_rate", "lr_encoders_from_epoch_2", "lr_encoders_from_epoch_3"],
    ]
    assert rates.logged[0]["learning_rate"] > ENCODERS
    assert list(rates.logged[-1].values()) == pytest.approx([FLOOR] * 3)


def test_a_plateau_before_a_phase_leaves_what_it_unfreezes_its_full_rate(trainer_for, tiny):
    options = "{factor: 0.5, patience: 0, threshold: 10, threshold_mode: abs}"  # nothing is better by 10
    trainer, rates = (
        trainer_for(
            tiny(
                *(*COSINE, "--training.scheduler=reduce_lr_on_plateau", f"--training.scheduler_options={options}"),
                "--training.phases=[{start_epoch: 0, encoder_layers: 0}, {start_epoch: 3, encoder_layers: all}]",
            )
        ),
        Rates(),
    )
    trainer.add_callback(rates)
    trainer.train()
    of_encoders = [group[ENCODER] for group in trainer.optimizer.param_groups]
    found = {is_encoder: rate for is_encoder, rate in zip(of_encoders, rates.first_of(3), strict=True)}
    assert found == {False: pytest.approx(HEAD / 4), True: pytest.approx(ENCODERS)}


@pytest.mark.parametrize("name", [kind.value for kind in SchedulerType if kind.value not in BY_METRIC])
def test_each_schedule_of_transformers_makes_shares_of_a_rate(name):
    options = {
        "cosine_with_min_lr": {"min_lr": FLOOR},
        "cosine_warmup_with_min_lr": {"min_lr": FLOOR},
        "polynomial": {"lr_end": FLOOR},
        "warmup_stable_decay": {"num_decay_steps": 30},
    }
    for peak in (HEAD, ENCODERS):
        share = share_of_peak(name, options.get(name, {}), peak, 0, 100)
        assert share(0) == pytest.approx(1, abs=1e-3) and all(0 <= share(step) <= 1 for step in range(101))
        if FLOOR in options.get(name, {}).values():  # one of them counts from 1
            assert peak * min(share(99), share(100)) == pytest.approx(FLOOR)


def test_warm_restarts_are_those_of_pytorch():
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=HEAD)
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=2, eta_min=FLOOR)
    share = share_of_peak(WARM_RESTARTS, {"T_0": 10, "T_mult": 2, "eta_min": FLOOR}, HEAD, 0, 100)
    for step in range(100):
        assert HEAD * share(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        reference.step()


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).training.phases])
def test_shipped_phases_unfreeze_at_the_rate_that_the_recipe_says(name):
    recipe = load_recipe(name).training
    starts = sorted({phase.start_epoch for phase in recipe.phases if phase.encoder_layers != 0})
    groups = [
        {"params": [torch.zeros(1)], "lr": rate, PEAK: rate, START_EPOCH: start}
        for start, rate in [(0, recipe.learning_rate), *((start, recipe.encoder_learning_rate) for start in starts)]
    ]
    optimizer, updates = torch.optim.SGD(groups), 7 * recipe.epochs
    schedule = make_schedule(optimizer, recipe, updates, warmup=0)
    if starts:  # a plateau depends on the metric
        for group, rates in zip(groups, rates_over(optimizer, schedule, updates), strict=True):
            assert rates[7 * group[START_EPOCH]] == pytest.approx(group[PEAK])
            assert rates[-1] == pytest.approx(recipe.scheduler_options["min_lr"])


def test_phases_after_the_last_epoch_change_nothing(trainer_for, tiny):
    trainer = trainer_for(tiny(*COSINE, "--training.epochs=1", PHASES))
    trainer.train()
    assert trainer.state.epoch == 1


@pytest.mark.parametrize(
    ("values", "rates", "message"),
    [
        (
            dict(scheduler="cosine_with_min_lr", scheduler_options={"min_lr": 1e-4}),
            [1e-3, 1e-5],
            "above a rate of 1e-05",
        ),
        (
            dict(scheduler="cosine", scheduler_options={"min_rate": 1}),
            [1e-3],
            "cosine with .*unexpected keyword.*'min_r",
        ),
        (dict(scheduler=WARM_RESTARTS, scheduler_options={"eta": 1}), [1e-3], "unexpected keyword argument 'eta'"),
        (dict(scheduler="reduce_lr_on_plateau", scheduler_options={"T_0": 1}), [1e-3], "keyword argument 'T_0'"),
        (
            dict(scheduler="cosine_with_min_lr", scheduler_options={"min_lr": "1e-6"}),
            [1e-3],
            "min_lr.*'str' and 'float'",
        ),
        (dict(scheduler="cosine_with_min_lr"), [1e-3], "min_lr or min_lr_rate"),
    ],
)
def test_a_schedule_that_cannot_be_made_is_refused_before_training(values, rates, message):
    with pytest.raises(ValueError, match=f"training.scheduler=.*{message}"):
        check_schedule(TrainingRecipe(**values), rates)


def test_a_plateau_follows_the_metric_that_chooses(trainer_for, tiny):
    plateau = "--training.scheduler=reduce_lr_on_plateau"
    trainer = trainer_for(tiny(plateau, "--training.best_metric=loss"))
    assert trainer.settings.scheduler_options == {"mode": "min"}
    with pytest.raises(ValueError, match="scheduler_options.mode=max: of loss the min is best; leave mode out"):
        trainer_for(tiny(plateau, "--training.best_metric=loss", "--training.scheduler_options.mode=max"))


def test_optimizer_defaults_are_the_heads_rate(trainer_for, tiny):
    trainer = trainer_for(tiny(*COSINE))
    optimizer = make_optimizer(trainer.model, replace(trainer.settings))
    assert optimizer.defaults["lr"] == HEAD and optimizer.param_groups[0][ENCODER] is False
