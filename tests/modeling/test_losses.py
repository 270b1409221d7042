"""The losses against PyTorch's functions and plain formulas, with what is unknown, weighted or absent altogether."""

import math

import pytest
import torch
from torch.nn import functional as F

from affecthub.modeling.heads import classification_loss

SINGLE, MULTI, REGRESSION = "single_label_classification", "multi_label_classification", "regression"
NAN = float("nan")


def sample(labels, rows=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, labels, generator=generator, dtype=torch.float64, requires_grad=True), generator


def shares_of(generator, rows=6, labels=3):
    shares = torch.rand(rows, labels, generator=generator, dtype=torch.float64)
    shares[0] = torch.tensor([0.0, 1, 0])  # all raters agree
    return shares / shares.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("weights", [None, [0.3, 1.7, 0.9, 2.1, 0.5, 1.1, 0.4]])
@pytest.mark.parametrize("rows", [1, 7, 33, 256])
def test_without_unknowns_and_weights_it_is_pytorchs_own_to_the_last_digit(rows, weights):
    torch.manual_seed(rows)
    logits, ids, values = torch.randn(rows, 7), torch.randint(0, 7, (rows,)), torch.rand(rows, 7)
    ids[1::5] = -100
    scale = None if weights is None else torch.tensor(weights)
    exact = dict(rtol=0, atol=0)
    torch.testing.assert_close(
        classification_loss(logits, ids, SINGLE, weights), F.cross_entropy(logits, ids, weight=scale), **exact
    )
    torch.testing.assert_close(
        classification_loss(logits, values, MULTI, pos_weight=weights),
        F.binary_cross_entropy_with_logits(logits, values, pos_weight=scale),
        **exact,
    )
    torch.testing.assert_close(classification_loss(logits, values, REGRESSION), F.mse_loss(logits, values), **exact)


@pytest.mark.parametrize("sample_weights", [None, [1.0, 0.0, 2.5, 0.5, 3.0, 1.0]])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 3.0]])
def test_ids_are_the_formula(weights, gamma, sample_weights):
    logits, _ = sample(3)
    labels = torch.tensor([0, 1, 2, 2, -100, 1])
    kept = labels != -100
    p = logits.softmax(-1)[kept, labels[kept]]
    w = torch.tensor(weights or [1.0] * 3, dtype=torch.float64)[labels[kept]]
    s = torch.tensor(sample_weights or [1.0] * 6, dtype=torch.float64)[kept]
    expected = (s * w * (1 - p) ** gamma * -p.log()).sum() / (s * w).sum()
    given = None if sample_weights is None else torch.tensor(sample_weights)
    loss = classification_loss(logits, labels, SINGLE, weights, gamma, given)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    (reference,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, reference)


@pytest.mark.parametrize("sample_weights", [None, [1.0, 0.0, 2.5, 0.5, 3.0, 1.0]])
def test_shares_are_the_divergence_and_a_perfect_answer_costs_nothing(sample_weights):
    logits, generator = sample(3)
    shares = shares_of(generator)
    shares[3, 1] = NAN  # one rater's share unknown: the row is
    kept = [0, 1, 2, 4, 5]
    p, q = shares[kept], logits.softmax(-1)[kept]
    divergence = torch.where(p > 0, p * (p / q).log(), 0).sum(dim=1)
    s = torch.tensor(sample_weights or [1.0] * 6, dtype=torch.float64)[kept]
    given = None if sample_weights is None else torch.tensor(sample_weights)
    loss = classification_loss(logits, shares, SINGLE, sample_weights=given)
    torch.testing.assert_close(loss, (s * divergence).sum() / s.sum())
    entropy = -torch.where(p > 0, p * p.log(), 0).sum(dim=1)
    soft = F.cross_entropy(logits[kept], p, reduction="none") - entropy
    torch.testing.assert_close(loss, (s * soft).sum() / s.sum())
    perfect = classification_loss(shares[kept].clamp(min=1e-300).log(), p, SINGLE)
    torch.testing.assert_close(perfect, torch.zeros((), dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 3.0]])
def test_shares_of_which_one_is_all_are_ids(weights, gamma):
    logits, _ = sample(3)
    ids = torch.tensor([0, 1, 2, 2, 0, 1])
    one_hot = F.one_hot(ids, 3).double()
    loss = classification_loss(logits, one_hot, SINGLE, weights, gamma)
    torch.testing.assert_close(loss, classification_loss(logits, ids, SINGLE, weights, gamma))


@pytest.mark.parametrize("sample_weights", [None, [1.0, 0.0, 2.5, 0.5, 3.0, 1.0]])
@pytest.mark.parametrize(("weights", "gamma"), [(None, 0.0), ([0.5, 1.0, 3.0], 0.0), (None, 2.0), ([0.5, 1, 3], 2.0)])
def test_unknown_labels_of_several_are_left_out_one_by_one(weights, gamma, sample_weights):
    logits, generator = sample(3)
    labels = torch.randint(0, 2, (6, 3), generator=generator).double()
    labels[0, 1] = labels[2] = NAN
    known = ~labels.isnan()
    p = torch.where(labels == 1, logits.sigmoid(), 1 - logits.sigmoid())
    w = torch.where(labels == 1, torch.tensor(weights or [1.0] * 3, dtype=torch.float64), 1)
    s = torch.tensor(sample_weights or [1.0] * 6, dtype=torch.float64)[:, None].expand(6, 3)
    each = w * (1 - p) ** gamma * -p.log()
    given = None if sample_weights is None else torch.tensor(sample_weights)
    loss = classification_loss(logits, labels, MULTI, None, gamma, given, weights)
    torch.testing.assert_close(loss, (s * each)[known].sum() / s[known].sum())


def fitted(pos_weight, labels=(0.05, 0.5), rows=2_000):
    """Of a plain logistic model, at its optimum: its mean answer to each label, and how much of the rarer it finds."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    noisy = inputs + torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    truth = (noisy > noisy.quantile(1 - torch.tensor(labels, dtype=torch.float64), dim=0).diagonal()).double()
    model = torch.nn.Linear(2, 2, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        found = classification_loss(model(inputs), truth, MULTI, pos_weight=pos_weight)
        found.backward()
        return found

    optimizer.step(loss)
    answers = model(inputs).sigmoid().detach()
    return answers.mean(dim=0).tolist(), (answers[truth[:, 0] == 1, 0] > 0.5).double().mean().item()


def test_the_optimum_of_a_rare_label_moves_with_the_weight_of_its_presence():
    plain, recall = fitted(None)
    assert plain == pytest.approx([0.05, 0.5], abs=1e-3) and recall < 0.2
    weighted, recall = fitted([19.0, 1.0])
    assert weighted[0] > 0.2 and weighted[1] == pytest.approx(0.5, abs=1e-3) and recall > 0.7
    constant = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    truth = (torch.arange(100) < 5).double()[:, None]
    (gradient,) = torch.autograd.grad(
        classification_loss(constant.expand(100, 1), truth, MULTI, pos_weight=[19.0]), constant
    )
    assert gradient.item() == pytest.approx(0, abs=1e-12)  # of one that sees nothing, the optimum is one half


def test_unknown_numbers_are_left_out():
    logits, generator = sample(2)
    values = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    values[1, 0] = values[4] = NAN
    known = ~values.isnan()
    expected = F.mse_loss(logits[known], values[known])
    torch.testing.assert_close(classification_loss(logits, values, REGRESSION), expected)
    one, _ = sample(1)
    torch.testing.assert_close(
        classification_loss(one, values[:, 1], REGRESSION),
        F.mse_loss(one[known[:, 1], 0], values[known[:, 1], 1]),
    )


@pytest.mark.parametrize("sample_weights", [None, torch.ones(4), torch.zeros(4)])
@pytest.mark.parametrize("options", [(None, 0.0), ([0.0, 1.0, 3.0], 0.0), (None, 0.5), ([0.5, 1.0, 3.0], 2.0)])
@pytest.mark.parametrize(
    ("problem_type", "labels"),
    [
        (SINGLE, torch.full((4,), -100)),
        (SINGLE, torch.full((4, 3), NAN)),
        (MULTI, torch.full((4, 3), NAN)),
        (REGRESSION, torch.full((4, 3), NAN)),
    ],
)
def test_a_batch_of_which_nothing_is_known_changes_nothing(problem_type, labels, options, sample_weights):
    logits = torch.randn(4, 3, requires_grad=True)
    weights, gamma = options
    loss = classification_loss(logits, labels, problem_type, weights, gamma, sample_weights, weights)
    assert loss.item() == 0
    loss.backward()
    assert logits.grad.equal(torch.zeros(4, 3))


@pytest.mark.parametrize(
    ("problem_type", "labels"),
    [
        (SINGLE, torch.arange(500) % 3),
        (SINGLE, 0.1 + 0.7 * torch.eye(3)[torch.arange(500) % 3]),
        (MULTI, torch.arange(1500.0).view(500, 3) % 2),
        (REGRESSION, torch.linspace(-1, 1, 1500).view(500, 3)),
    ],
)
def test_under_autocast_sums_and_counts_keep_their_digits(problem_type, labels):
    torch.manual_seed(0)
    logits = torch.randn(500, 3).bfloat16()
    weights = None if problem_type == REGRESSION else [0.3, 1.1, 1.9]
    samples = torch.rand(500)
    exact = classification_loss(logits.double(), labels, problem_type, weights, 0.0, samples, weights)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = classification_loss(logits, labels, problem_type, weights, 0.0, samples, weights)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("problem_type", "labels", "message"),
    [
        (MULTI, torch.tensor([0, 1, 6, 3]), r"int64 \(4,\).*multi_label.*pass 0..1, float \(4, 7\)"),
        (REGRESSION, torch.zeros(4, 3), r"float32 \(4, 3\).*regression.*pass numbers, float \(4, 7\)"),
        (SINGLE, torch.zeros(4), r"float32 \(4,\).*pass ids, int \(4,\), -100 = unknown, or shares"),
        (SINGLE, torch.zeros(4, 7, dtype=torch.long), r"int64 \(4, 7\).*pass ids, int \(4,\)"),
        (SINGLE, torch.zeros(3, dtype=torch.long), r"int64 \(3,\)"),
    ],
)
def test_labels_of_another_type_or_shape_are_refused_with_what_is_needed(problem_type, labels, message):
    with pytest.raises(ValueError, match=message):
        classification_loss(torch.zeros(4, 7), labels, problem_type)


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"sample_weights of shape \(4, 1\): \(4,\) is needed"):
        classification_loss(torch.zeros(4, 3), torch.zeros(4).long(), SINGLE, sample_weights=torch.ones(4, 1))


def test_equal_logits_cost_the_logarithm_of_the_number_of_labels():
    loss = classification_loss(torch.zeros(5, 7), torch.arange(5), SINGLE)
    assert loss.item() == pytest.approx(math.log(7))
