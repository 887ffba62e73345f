"""The adversarial term: where it works, where it must not be felt, and that a kill cannot be felt either."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import KilledError, schedule, tiny_config

from taskonomy.config.network_params import AdversarialParams, DecoderParams, EncoderParams
from taskonomy.dataset.prepared_dataset import Prepared, PreparedTask
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Input, Loss
from taskonomy.models.discriminator import Critic
from taskonomy.models.networks import task_network
from taskonomy.store.store import Store, Unit
from taskonomy.store.unit_keys import UNIT_CODE, constant_key
from taskonomy.tasks import BUILT_IN, Task
from taskonomy.training import adversarial
from taskonomy.training import task_networks as networks
from taskonomy.training.adversarial import Adversary
from taskonomy.training.dataloader import Batch, Batches, ImageInputs, Labels
from taskonomy.training.losses import Targets
from taskonomy.training.trainer import fit, losses_of, seeded
from taskonomy.training.transfer_context import SCRATCH

SIDE, VIEWS = 32, 30
ENCODER, DECODER = EncoderParams(name="small", width=0.125, stride=8, channels=4), DecoderParams(layers=(16,), steps=((8,),), last=1, shuffle=4)
EPOCHS = 4
STRONG = AdversarialParams(share=0.9, after=0.25)  # three steps: the last shows what moments the critic had in the second


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Made(Prepared):
    """Views of noise, whose normals are their colours the other way round; a third of the pixels has no normal."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.images = np.kron(rng.integers(0, 256, (VIEWS, 8, 8, 3)), np.ones((1, 4, 4, 1))).astype(np.uint8)
        self.splits = np.arange(VIEWS) % len(Split)
        self._masks = rng.random((VIEWS, SIDE, SIDE)) < 2 / 3

    def task(self, task: Task) -> PreparedTask:
        stored = 255 - self.images if len(task.label.shape) == 3 else np.zeros((VIEWS, *task.label.shape), np.float32)
        masks = self._masks if task.name == "normal" else None
        return PreparedTask(task, np.arange(VIEWS)[:, None], stored, masks, {"mean": [0.0] * 9, "std": [1.0] * 9}, self.splits)


MADE = Made()


def batches(name: str, split: Split) -> Batches:
    one = MADE.task(BUILT_IN[name])
    return Batches(Labels(one), ImageInputs(MADE.images, one.task.input), one.of_split(split), VIEWS)


class Run:
    """A training, with the network's bits after each epoch."""

    def __init__(self, folder: Path, term: AdversarialParams | None, name: str = "normal", killed_after: int | None = None) -> None:
        self.bits: list[list[bytes]] = []
        seeded(0, name, "weights")
        self.network = task_network(BUILT_IN[name], ENCODER, DECODER, SIDE)

        def told(epoch: int, _curve: object) -> None:
            self.bits.append([value.numpy().tobytes() for value in self.network.state_dict().values()])
            if epoch == killed_after:
                raise KilledError

        where = folder / "a.state"
        parts = BUILT_IN[name].loss, batches(name, Split.TRAIN), batches(name, Split.VALIDATION), schedule(EPOCHS, rate=2e-3)
        self.result = fit(self.network, *parts, name=name, seed=0, checkpoint=where, adversarial=term, each_epoch=told)
        self.kept = [value.numpy().tobytes() for value in self.network.state_dict().values()]


def term(share: float) -> AdversarialParams:
    return AdversarialParams(share=share, after=0.0)


def example(count: int = 6, mask: Any = None, side: int = SIDE) -> Batch:
    """Smooth labels of noise."""
    source = torch.Generator().manual_seed(count)
    seen = 2 * torch.rand(count, 1, 3, side, side, generator=source) - 1
    labels = torch.linspace(-1, 1, side).expand(count, side, side)[..., None] * torch.rand(count, 1, 1, 1, generator=source)
    return Batch(np.arange(count), seen, Targets(labels, mask, {}))


class Always(Batches):
    """The same batch again and again, its labels in units of themselves."""

    def __init__(self, batch: Batch, scale: float = 1.0) -> None:
        self.batch, self.positions, self.labels, self.number = batch, batch.positions, self, scale

    def of(self, chosen: Any, epoch: int) -> Batch:
        return self.batch

    def scale(self, chosen: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((1,), self.number - 1), torch.full((1,), self.number)


def adversary(share: float = 0.5, batch: Batch | None = None, scale: float = 1.0) -> Adversary:
    torch.manual_seed(1)
    made = Adversary("some task", Loss.L1, Always(batch or example(), scale), term(share), 0.0, torch.device("cpu"))
    made.start(rate=0.01, done=0.5)
    return made


# ---- the critic


@pytest.mark.parametrize(("side", "patches", "convolutions"), [(16, 2, 3), (24, 4, 3), (32, 6, 3), (64, 2, 4), (128, 6, 4), (256, 2, 5)])
def test_critics_of_all_sides_judge_several_patches(side, patches, convolutions):
    critic = Critic(5, side)
    assert critic(torch.zeros(2, 3, side, side), torch.zeros(2, 2, side, side)).shape == (2, 1, patches, patches)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in critic.layers) == convolutions


def test_of_a_smaller_map_the_critic_sees_the_averaged_image():
    critic, image, small = Critic(4, 16), torch.rand(2, 3, 64, 64), torch.rand(2, 1, 16, 16)
    averaged = image.unflatten(3, (16, 4)).unflatten(2, (16, 4)).mean((3, 5))
    torch.testing.assert_close(critic(image, small), critic(averaged, small))
    assert not torch.allclose(critic(image, small), critic(-image, small))


def test_a_map_without_patches_is_refused():
    with pytest.raises(TaskonomyError, match=r"at least 16 x 16 pixels \(these are 8 x 8\)"):
        Critic(4, 8)


def test_the_critic_learns_to_tell_different_maps_apart():
    made, batch = adversary(), example()
    outputs = torch.zeros(6, 1, SIDE, SIDE)
    losses = [float(made.learn(outputs + 0.3 * (-1) ** step, batch)) for step in range(60)]
    # Never surer of labels than 0.9: at least half the entropy of 0.9 remains.
    least = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / 2
    assert losses[0] > np.log(2) * 0.9
    assert least < losses[-1] < least + 0.1


# ---- the term


def gradient(share: float, batch: Batch) -> torch.Tensor:
    made = adversary(share, batch)
    output = torch.zeros(6, 1, SIDE, SIDE, requires_grad=True)
    torch.manual_seed(2)
    made.whole(torch.tensor(0.0), output, batch).backward()
    return output.grad


def test_the_gradient_is_in_proportion_to_the_share_and_leaves_the_critic_alone():
    little, much = gradient(0.004, example()), gradient(0.04, example())
    assert little.abs().max() > 0
    torch.testing.assert_close(much, 10 * little)
    made = adversary()
    made.whole(torch.tensor(0.0), torch.zeros(6, 1, SIDE, SIDE, requires_grad=True), example()).backward()
    assert all(weights.grad is None for weights in made.critic.parameters())


def test_the_whole_loss_is_the_plain_one_but_for_the_share():
    made, batch, output = adversary(0.25), example(), torch.zeros(6, 1, SIDE, SIDE)
    values = []
    for plain in (0.0, 8.0):
        torch.manual_seed(2)
        values.append(float(made.whole(torch.tensor(plain), output, batch)))
    assert values[1] - values[0] == pytest.approx(0.75 * 8)


def test_units_of_the_labels_do_not_matter():
    batch, output = example(), torch.rand(6, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    small = Batch(batch.positions, batch.seen, Targets(batch.targets.values / 50 - 0.98, None, {}))
    one, other = float(adversary().learn(output, batch)), float(adversary(scale=0.02).learn(output / 50 - 0.98, small))
    assert one == pytest.approx(other, rel=1e-4)


def test_pixels_without_label_are_the_same_for_both():
    mask = torch.rand(6, SIDE, SIDE, generator=torch.Generator().manual_seed(3)) < 0.5
    losses = []
    for filling in (0.0, 1e6, float("nan")):
        batch = example(mask=mask)
        batch.targets.values[~mask] = filling
        output = torch.zeros(6, 1, SIDE, SIDE).where(mask[:, None], filling)
        losses.append(float(adversary(batch=batch).learn(output, batch)))
    assert losses[0] == losses[1] == losses[2]
    felt = gradient(0.5, example(mask=mask)).abs()[:, 0]
    assert (felt[~mask] == 0).all()
    assert (felt[mask] > 0).float().mean() > 0.9


@pytest.mark.parametrize("name", ["room_layout", "point_matching", "segment_semantic", "colorization"])
def test_other_tasks_are_refused_by_the_term_and_passed_over_by_the_cards(name):
    batch = example()
    if BUILT_IN[name].loss is Loss.L2:
        batch = Batch(batch.positions, batch.seen, Targets(torch.zeros(6, 9), None, {}))
    with pytest.raises(TaskonomyError, match=r"some task: train\.adversarial is for maps trained with L1 or L2 alone"):
        Adversary("some task", BUILT_IN[name].loss, Always(batch), STRONG, 0.0, torch.device("cpu"))
    assert tiny_config(name, train={"adversarial": STRONG.model_dump()}) == tiny_config(name)


def test_cards_of_maps_carry_the_term_where_it_is_on():
    carrying = {name for name in BUILT_IN if tiny_config(name, train={"adversarial": STRONG.model_dump()}).adversarial == STRONG}
    assert carrying == {
        "normal", "depth_zbuffer", "depth_euclidean", "principal_curvature", "reshading", "edge_occlusion", "keypoints3d", "edge_texture",
        "keypoints2d", "autoencoding", "denoising", "inpainting",
    }  # fmt: skip
    assert tiny_config("normal", train={"adversarial": {"share": 0.0, "after": 0.9}}) == tiny_config("normal")


# ---- in training


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Run:
    torch.set_num_threads(1)
    return Run(tmp_path_factory.mktemp("plain"), None)


@pytest.fixture(scope="module")
def strong(tmp_path_factory) -> Run:
    torch.set_num_threads(1)
    return Run(tmp_path_factory.mktemp("strong"), STRONG)


def test_a_share_of_0_is_no_term(plain, tmp_path):
    off = Run(tmp_path, AdversarialParams(share=0.0, after=0.0))
    assert off.bits == plain.bits
    assert off.result == plain.result
    assert not any("weights 1" in name for name in names_in(tmp_path))


def names_in(folder: Path) -> list[str]:
    """Tensors of the training's state, which stand behind a seal of 16 bytes."""
    from safetensors.numpy import load

    return list(load((folder / "a.state").read_bytes()[16:]))


def test_the_term_begins_after_its_share_of_the_epochs(plain, strong):
    begins = int(STRONG.after * EPOCHS)
    same = [one == other for one, other in zip(strong.bits, plain.bits, strict=True)]
    assert same == [epoch < begins for epoch in range(EPOCHS)]


def test_losses_that_are_given_back_are_plain(strong, plain):
    """In the first epoch with the term, one step as in a profile of one batch, the network still is the one trained without."""
    curve, without = strong.result.curve, plain.result.curve
    begins = int(STRONG.after * EPOCHS)
    assert curve.train[: begins + 1] == without.train[: begins + 1]
    assert curve.validation[:begins] == without.validation[:begins]
    assert curve.validation[begins:] != without.validation[begins:]
    kept = losses_of(strong.network, Loss.L1, batches("normal", Split.VALIDATION))
    assert kept.mean(dtype=np.float64) == min(curve.validation)


@pytest.mark.parametrize("last", range(EPOCHS))
def test_a_training_with_a_critic_resumes_to_the_same_bits(strong, last, tmp_path):
    """Also when it was killed before its critic had begun."""
    with pytest.raises(KilledError):
        Run(tmp_path, STRONG, killed_after=last)
    again = Run(tmp_path, STRONG)
    assert again.kept == strong.kept
    assert again.bits[last + 1 :] == strong.bits[last + 1 :]
    assert again.result == strong.result


def test_the_critic_learns_beside_images_that_a_task_changes(tmp_path):
    assert MADE.task(BUILT_IN["denoising"]).task.input is Input.NOISE
    assert Run(tmp_path, term(0.1), "denoising").bits != Run(tmp_path / "plain", None, "denoising").bits


def test_a_loss_of_the_critic_that_is_not_finite_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(adversarial, "SURE", float("nan"))
    with pytest.raises(TaskonomyError, match="normal: the loss is not finite in epoch 2, step 1 of the critic; the last good state is"):
        Run(tmp_path, STRONG)


def test_a_term_of_the_network_that_is_not_finite_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(adversarial, "NOISE", float("inf"))
    with pytest.raises(TaskonomyError, match="normal: the loss is not finite in epoch 1, step 1; no epoch was finished before"):
        Run(tmp_path, term(0.1))


def test_only_a_tasks_own_network_has_it(monkeypatch, tmp_path):
    """Trained in full or from scratch, not the constant. Transfers neither know the parameter nor use the critic."""
    recipes = {}

    def instead(_store, _key, recipe, make, **_options):
        recipes[recipe.name] = recipe.adversarial
        return Unit({f"weights/{name}": value.numpy() for name, value in make().state_dict().items()}, {})

    monkeypatch.setattr(networks, "train_unit", instead)
    values = tiny_config("normal", train={"adversarial": STRONG.model_dump()})
    values = values.model_copy(update={"codes": values.codes.model_copy(update={"inputs": ()})})
    networks.train_task(MADE, values, Store(tmp_path))
    networks.train_scratch(MADE, values, MADE.task(BUILT_IN["normal"]).of_split(Split.TRANSFER), SCRATCH[0], Store(tmp_path))
    assert recipes == {"network normal": STRONG, "scratch normal": STRONG, "average normal": None}
    task, without = MADE.task(BUILT_IN["normal"]), tiny_config("normal")
    train = task.of_split(Split.TRAIN)
    assert constant_key(task, values, train) == constant_key(task, without, train)
    assert networks.network_key(MADE, task, values, train, "self") != networks.network_key(MADE, task, without, train, "self")
    assert {"taskonomy.models", "taskonomy.training"} <= set(UNIT_CODE)
