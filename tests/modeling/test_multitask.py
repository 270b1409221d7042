"""Several tasks at once, of every architecture: what a model says of each, what it learns, and what it refuses."""

import json

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch.nn import functional as F
from transformers import AutoModelForVideoClassification
from transformers.trainer_pt_utils import nested_concat, nested_detach, nested_numpify

from affecthub.modeling.configuration_base import Task

SENTIMENT = {"name": "sentiment", "labels": ["neutral", "positive", "negative"], "weight": 0.5}
AFFECT = {"name": "affect", "labels": ["joy", "fear"], "problem_type": "multi_label_classification", "weight": 2.0}
VALENCE = {"name": "valence", "labels": ["valence"], "problem_type": "regression"}
FURTHER = [SENTIMENT, AFFECT, VALENCE]
TASKS = dict(task="emotion", task_weight=1.5, further_tasks=FURTHER)
CALIBRATION = {"emotion": {"temperature": 1.3}, "affect": {"temperature": 0.7, "thresholds": [0.2, 0.5]}}
LABELS = {
    "emotion": torch.tensor([0, 1, 6, -100]),
    "sentiment": torch.tensor([2, -100, 1, 0]),
    "affect": torch.tensor([[0.0, 1], [1, float("nan")], [0, 0], [1, 1]]),
    "valence": torch.tensor([[-0.5], [0.25], [float("nan")], [1.0]]),
}


@pytest.fixture
def model(make_config):
    torch.manual_seed(0)
    return AutoModelForVideoClassification.from_config(make_config(**TASKS)).eval()


def expected_terms(logits):
    """Each task's loss by torch's own functions, on what is known."""
    affect, valence = LABELS["affect"], LABELS["valence"]
    known, measured = ~affect.isnan(), ~valence.isnan()
    return {
        "emotion": 1.5 * F.cross_entropy(logits["emotion"], LABELS["emotion"]),
        "sentiment": 0.5 * F.cross_entropy(logits["sentiment"], LABELS["sentiment"]),
        "affect": 2.0 * F.binary_cross_entropy_with_logits(logits["affect"][known], affect[known]),
        "valence": F.mse_loss(logits["valence"][measured], valence[measured]),
    }


def test_every_task_has_logits_a_loss_and_gradients(model, inputs_for):
    modalities = model.config.modalities
    output = model(**inputs_for(modalities), labels=LABELS, output_modality_logits=True)
    shapes = {name: tuple(logits.shape) for name, logits in output.task_logits.items()}
    assert shapes == {"emotion": (4, 7), "sentiment": (4, 3), "affect": (4, 2), "valence": (4, 1)}
    assert output.logits.equal(output.task_logits["emotion"])
    assert output.modality_logits.shape == (4, len(modalities), 7)
    torch.testing.assert_close(output.loss, sum(expected_terms(output.task_logits).values()))
    output.loss.backward()
    last = [m for m in model.modules() if getattr(m, "out_features", None) == model.config.num_outputs][-1]
    assert model.config.num_outputs == 13
    assert (last.weight.grad.abs().sum(dim=1) > 0).all()


def test_a_task_may_be_left_out(model, inputs_for):
    inputs = inputs_for(model.config.modalities)
    for name in LABELS:
        output = model(**inputs, labels={name: LABELS[name]})
        torch.testing.assert_close(output.loss, expected_terms(output.task_logits)[name])
    assert model(**inputs, labels={}).loss is None and model(**inputs).loss is None


def test_samples_can_be_weighted(model, inputs_for):
    inputs, labels = inputs_for(model.config.modalities), {"emotion": torch.tensor([0, 1, 6, 3])}
    output = model(**inputs, labels=labels, sample_weights=torch.tensor([1.0, 0.0, 3.0, 0.5]))
    rows = F.cross_entropy(output.logits, labels["emotion"], reduction="none")
    torch.testing.assert_close(output.loss, 1.5 * (rows[0] + 3 * rows[2] + 0.5 * rows[3]) / 4.5)


def test_the_main_task_is_what_it_is_alone(make_config, inputs_for):
    alone = AutoModelForVideoClassification.from_config(make_config(task="emotion")).eval()
    inputs = inputs_for(alone.config.modalities)
    labels = torch.tensor([0, 1, 6, 3])
    output = alone(**inputs, labels=labels)
    assert output.task_logits is None and alone.config.num_outputs == 7
    assert output.loss.equal(alone(**inputs, labels={"emotion": labels}).loss)


def test_tasks_are_saved_and_loaded(model, inputs_for, tmp_path):
    model.config.calibration = CALIBRATION
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["further_tasks"] == FURTHER
    loaded = AutoModelForVideoClassification.from_pretrained(tmp_path).eval()
    assert loaded.config.tasks == model.config.tasks and loaded.config.calibration == CALIBRATION
    assert loaded.config.tasks[1:3] == [
        Task("sentiment", ("neutral", "positive", "negative"), "single_label_classification", 0.5),
        Task("affect", ("joy", "fear"), "multi_label_classification", 2.0),
    ]
    inputs = inputs_for(model.config.modalities)
    for name, logits in model(**inputs).task_logits.items():
        torch.testing.assert_close(loaded(**inputs).task_logits[name], logits, rtol=0, atol=0)


def test_the_trainers_own_functions_take_the_output_apart(model, inputs_for):
    output = model(**inputs_for(model.config.modalities), labels=LABELS)
    rest = tuple(value for key, value in output.items() if key != "loss")
    half = nested_detach(rest)
    whole = nested_numpify(nested_concat(half, half))
    assert list(whole[-1]) == list(LABELS) and whole[-1]["valence"].shape == (8, 1)
    assert model(**inputs_for(model.config.modalities), return_dict=False)[-1].keys() == LABELS.keys()


def test_labels_that_belong_to_no_task_are_refused(model, inputs_for):
    inputs = inputs_for(model.config.modalities)
    with pytest.raises(ValueError, match=r"dictionary by task, of one or more of \['emotion', 'sentiment', 'affect'"):
        model(**inputs, labels=LABELS["emotion"])
    with pytest.raises(ValueError, match=r"labels of \['mood'\] passed to a model whose tasks are \['emotion'"):
        model(**inputs, labels={"mood": LABELS["emotion"]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(further_tasks=[SENTIMENT, SENTIMENT]), r"named \['label', 'sentiment', 'sentiment'\]"),
        (dict(task="valence", further_tasks=[VALENCE]), r"named \['valence', 'valence'\]"),
        (dict(further_tasks=[VALENCE | {"problem_type": "ranking"}]), "'ranking' of 'valence'"),
        (dict(further_tasks=[VALENCE | {"labels": []}]), r"labels=\[\] of 'valence'"),
        (dict(further_tasks=[VALENCE | {"labels": ["a", "a"]}]), r"labels=\['a', 'a'\] of 'valence'"),
        (dict(further_tasks=[VALENCE | {"labels": "valence"}]), "labels='valence' of 'valence': a list"),
        (dict(further_tasks=[VALENCE | {"weight": -1}]), "weight=-1 of 'valence'"),
        (dict(further_tasks=[VALENCE | {"weight": float("nan")}]), "weight=nan of 'valence'"),
        (dict(further_tasks=[VALENCE | {"wieght": 1}]), r"'wieght': 1.*may have \['problem_type', 'weight'\]"),
        (dict(further_tasks=[{"name": "valence"}]), r"\{'name': 'valence'\}: name and labels are needed"),
        (dict(task_weight=-0.5), "weight=-0.5 of 'label'"),
        (dict(task=""), "task='': a name is needed"),
    ],
)
def test_tasks_that_are_none_are_refused_with_their_values(make_config, values, message):
    with pytest.raises(StrictDataclassError, match=message):
        make_config(**values)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ({"mood": {"temperature": 1.0}}, r"calibration of 'mood': the tasks are \['emotion', "),
        ({"emotion": {"temperature": 0}}, "calibration of 'emotion': temperature=0: a number above 0 is needed"),
        ({"emotion": {"temperature": float("nan")}}, "'emotion': temperature=nan: a number above 0"),
        ({"emotion": {"temperature": float("inf")}}, "'emotion': temperature=inf: a number above 0"),
        ({"emotion": {}}, "'emotion': temperature=None: a number above 0"),
        ({"emotion": {"temperature": "1"}}, "'emotion': temperature='1': a number above 0"),
        (
            {"emotion": {"temperature": 1, "thresholds": [0.5] * 7}},
            "'emotion': thresholds are for problem_type='multi",
        ),
        (
            {"emotion": {"temperature": 1, "bias": 0}},
            r"'emotion' has \['bias'\]: there are temperature and thresholds",
        ),
        ({"affect": {"temperature": 1, "thresholds": [0.5]}}, r"'affect': thresholds=\[0.5\]: 2 numbers in \[0, 1\)"),
        ({"affect": {"temperature": 1, "thresholds": [0.5, float("nan")]}}, r"thresholds=\[0.5, nan\]: 2 numbers"),
        ({"affect": {"temperature": 1, "thresholds": [0.5, 1]}}, r"thresholds=\[0.5, 1\]: 2 numbers"),
    ],
)
def test_a_calibration_that_is_none_is_refused_with_its_values(make_config, calibration, message):
    with pytest.raises(StrictDataclassError, match=message):
        make_config(**TASKS, calibration=calibration)


def test_only_models_of_utterances_are_built_of_any_subset(make_config):
    config = make_config()
    assert config.any_subset is ("text" in config.allowed_modalities)
