"""How networks start: at the best constant of their loss, with no pattern of sub-pixels."""

import numpy as np
import pytest
import torch
from tiny import SIDE, schedule

from taskonomy.config.network_params import DecoderParams, EncoderParams, Precision
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.labels.encodings import Head, Loss
from taskonomy.models.decoders import FAR, PAPER, SMALL, Scaled, make_decoder
from taskonomy.models.networks import task_network, transfer_network
from taskonomy.tasks import BUILT_IN
from taskonomy.training.best_constant import STARTS, best_constant
from taskonomy.training.dataloader import Batches, ImageInputs, Labels
from taskonomy.training.losses import LOSSES, Targets, per_sample
from taskonomy.training.train_unit import Recipe, at_start

SHAPE = EncoderParams(name="small", width=0.125, stride=8, channels=4)
LEARNT = [task.name for task in BUILT_IN.values() if task.loss is not None]
METRIC = [name for name in LEARNT if BUILT_IN[name].loss is Loss.PAIRWISE]
MAPS = [name for name in LEARNT if not BUILT_IN[name].learnt_head.layers]


def recipe_of(prepared: Prepared, name: str) -> Recipe:
    task = prepared.task(BUILT_IN[name])
    inputs = ImageInputs(prepared.images, task.task.input)
    return Recipe(name, task.task, Labels(task), inputs, task.of_split(Split.TRAIN), schedule(1), Precision.FLOAT32, 0)


def first_outputs(prepared: Prepared, name: str) -> tuple[torch.nn.Module, torch.Tensor, Targets]:
    """Outputs for all samples that it learns from, in one batch as in training, and their labels."""
    recipe = recipe_of(prepared, name)
    network = at_start(recipe, lambda: task_network(recipe.task, SHAPE, SMALL.model_copy(update={"dropout": 0.0}), SIDE))
    (batch,) = Batches(recipe.labels, recipe.inputs, recipe.train, len(recipe.train)).in_order()
    with torch.no_grad():
        return network, network(batch.seen), batch.targets


@pytest.mark.parametrize("name", [name for name in LEARNT if name not in METRIC])
def test_a_network_starts_at_a_constant_that_no_other_constant_beats(prepared, name):
    """Constants near and far are tried, channel by channel and in random directions; all losses but egomotion's are convex."""
    network, output, targets = first_outputs(prepared, name)
    loss = BUILT_IN[name].loss
    constant = output.transpose(0, 1).flatten(1).double().median(1).values
    (scaled,) = [module for module in network.modules() if isinstance(module, Scaled)]

    def value(of: torch.Tensor) -> float:
        shape = (1, -1, *[1] * (output.ndim - 2))
        return per_sample(loss, of.view(shape).expand(output.shape), targets).mean().item()

    best, unit = value(constant), 1.0 if scaled.bounded or loss not in (Loss.L1, Loss.L2) else scaled.spread.double()
    spoilt = per_sample(loss, output, targets).mean().item()
    assert spoilt == pytest.approx(best, rel=0.02)
    rng = torch.Generator().manual_seed(0)
    directions = [*torch.eye(len(constant))[:6], *torch.randn(6, len(constant), generator=rng)]
    others = [
        value((constant + sign * far * unit * direction).clamp(-1, 1) if scaled.bounded else constant + sign * far * unit * direction)
        for direction in directions
        for far in (0.03, 0.5)
        for sign in (1, -1)
    ]
    # A bounded output starts short of its bounds, where some best constants are.
    short = (1 - FAR) * (constant.abs() > FAR - 1e-4).double().max().item() if scaled.bounded else 0.0
    assert min(others) > best - short - 0.005 * abs(best)


def test_every_loss_says_how_its_networks_start():
    assert STARTS.keys() == {loss for loss in LOSSES if not loss.compares_outputs}


@pytest.mark.parametrize("name", METRIC)
def test_embeddings_start_apart_so_that_their_loss_has_a_gradient(prepared, name):
    network, output, _targets = first_outputs(prepared, name)
    assert output.std(dim=(0, 2, 3)).min() > 0.02
    recipe = recipe_of(prepared, name)
    batch = Batches(recipe.labels, recipe.inputs, recipe.train, 4).of(recipe.train[:4], 0)
    per_sample(recipe.task.loss, network(batch.seen, batch.targets.pixels), batch.targets).mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in network.encoder.parameters())


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("kernel", [1, 3])
def test_pixels_that_are_shuffled_into_one_place_start_equal(name, kernel):
    """Of a decoder with another last kernel too: the place alone decides, never the position within it."""
    head, shuffle = BUILT_IN[name].learnt_head, 4
    parts = DecoderParams(layers=(8,), steps=((8,),), last=kernel, shuffle=shuffle)
    decoder = make_decoder(head, 4, 4, SIDE * head.shrink, parts, scaled=BUILT_IN[name].loss is not Loss.PAIRWISE)
    output = decoder(torch.randn(3, 4, 4, 4))
    places = output.unflatten(3, (-1, shuffle)).unflatten(2, (-1, shuffle))
    torch.testing.assert_close(places, places[:, :, :, :1, :, :1].expand_as(places), rtol=0, atol=1e-6)
    assert output.std(dim=(2, 3)).min() > 0  # but places differ


def test_a_transfer_starts_at_the_same_constant_whatever_its_sources(prepared):
    recipe = recipe_of(prepared, "depth_zbuffer")
    first, second = (
        at_start(recipe, lambda order=order: transfer_network(recipe.task, order, SHAPE, PAPER.model_copy(update={"width": 0.02}), SIDE))
        for order in (1, 3)
    )
    one, three = first(torch.rand(4, 1, 4, 4, 4)), second(torch.rand(4, 1, 12, 4, 4))
    (centre,) = (module.centre for module in first.modules() if isinstance(module, Scaled))
    torch.testing.assert_close(one.mean((0, 2, 3)), centre.tanh(), rtol=0.05, atol=0.02)
    torch.testing.assert_close(one.mean((0, 2, 3)), three.mean((0, 2, 3)), rtol=0.05, atol=0.02)


@pytest.mark.parametrize("centre", [-1.0, -0.95, -0.3, 0.0, 0.4, 0.9999])
def test_a_bounded_output_starts_short_of_its_bounds_and_moves_by_the_spread(centre):
    """Its slope is the spread even where the label's centre is a bound, at which the hyperbolic tangent's own slope is 0."""
    scaled = Scaled(1, bounded=True)
    scaled.set_to(torch.tensor([centre]), torch.tensor([0.2]))
    step = torch.zeros(1, 1, requires_grad=True)
    output = scaled(step).tanh()
    output.backward()
    assert output.item() == pytest.approx(np.clip(centre, -0.97, 0.97), abs=1e-5)
    assert step.grad.item() == pytest.approx(0.2, rel=1e-3)


def test_unlabelled_pixels_and_few_labelled_ones_do_not_shift_the_start():
    """Each sample counts alike, and what has no label not at all: one labelled pixel of 5 against three of 1 each."""
    values = torch.full((4, 2, 2, 1), 100.0)
    mask = torch.zeros(4, 2, 2, dtype=torch.bool)
    values[0, 0, 0], mask[0, 0, 0] = 5.0, True
    values[1:], mask[1:] = 1.0, True
    targets = Targets(values, mask, {})
    assert STARTS[Loss.L2](targets, 1)[0].item() == pytest.approx((5 + 1 + 1 + 1) / 4)
    assert STARTS[Loss.L1](targets, 1)[0].item() == 1.0


def test_what_was_found_is_found_once_for_all_transfers_to_a_target(prepared, monkeypatch):
    recipe = recipe_of(prepared, "normal")
    first = best_constant(Loss.L1, recipe.labels, recipe.train, 3)
    monkeypatch.setitem(STARTS, Loss.L1, None)
    assert best_constant(Loss.L1, recipe.labels, recipe.train, 3) is first


def test_a_class_that_no_sample_has_starts_unlikely_but_possible():
    centre, _spread = STARTS[Loss.CROSS_ENTROPY](Targets(torch.tensor([[0], [0], [1]]), None, {}), 4)
    shares = centre.softmax(0)
    assert shares[:2].tolist() == pytest.approx([2 / 3, 1 / 3], rel=0.01)
    assert 1e-4 < shares[3] < 0.01


def test_heads_of_vectors_start_small():
    decoder = make_decoder(Head(4, layers=2), 8, 4, SIDE, SMALL, scaled=True)
    assert decoder(torch.rand(32, 8, 4, 4)).abs().max() < 0.02
