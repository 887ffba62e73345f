"""Encoder, decoders, transfer: the sizes and properties that the method relies on."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from taskonomy.config.checked import checked
from taskonomy.config.network_params import DecoderParams, EncoderParams
from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Head
from taskonomy.models.decoders import PAPER, SMALL, START_APART, Decoder, Scaled, make_decoder, pack, shuffle_of
from taskonomy.models.encoder import check_size, make_encoder
from taskonomy.models.networks import TransferNetwork, parameters, task_network, transfer_network
from taskonomy.models.transfer import TransferModule, clipped
from taskonomy.tasks import BUILT_IN, Task

TASKS = [task for task in BUILT_IN.values() if task.head]


def decoder_of(**values: object) -> DecoderParams:
    """One that is good but for these values."""
    return checked(DecoderParams, {"layers": (64,), "steps": ((8,),), **values}, "train.decoder")


def encoder_of(name: str = "resnet50", *, width: float = 1.0, stride: int = 16, channels: int = 8) -> EncoderParams:
    """The paper's, where nothing else is said."""
    return EncoderParams(name=name, width=width, stride=stride, channels=channels)


NARROW = encoder_of("small", width=0.125, stride=8)  # what is tested does not depend on the width
THIN = DecoderParams(layers=(8,), steps=((8, 8), (4,)))
CODE = (8, 4, 4)


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """One thread, and random numbers of the test's own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


def expected_shape(task: Task, side: int) -> tuple[int, ...]:
    """From the label alone: a map has one value (or class scores) per pixel of the label, a vector has no side."""
    numbers = 12 if task.name == "egomotion" else task.head.channels  # two poses of six numbers; the third is composed
    sides = [one for one in task.label.shape if isinstance(one, str)]
    return (numbers, *(side if one == "h" else side // 4 for one in sides))


def conv_weights(inputs: int, outputs: int, kernel: int = 3) -> int:
    """Of one convolution without bias and the normalisation after it."""
    return kernel**2 * inputs * outputs + 2 * outputs


# ---- encoders


@pytest.mark.parametrize("name", ["small", "resnet26", "resnet50", "resnet101"])
@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_the_code_is_the_image_over_the_stride_by_eight_channels_and_never_negative(name: str, stride: int) -> None:
    encoder = make_encoder(encoder_of(name, width=0.25, stride=stride))
    codes = encoder(torch.randn(2, 3, 64, 96))
    assert codes.shape == (2, 8, 64 // stride, 96 // stride)
    assert codes.min() == 0 < codes.max()


def test_the_papers_code_of_256_pixels_has_2048_numbers() -> None:
    with torch.device("meta"):
        assert make_encoder(encoder_of())(torch.empty(1, 3, 256, 256)).shape[1:].numel() == 2048


@pytest.mark.parametrize(("name", "units"), [("resnet26", (2, 2, 2, 2)), ("resnet50", (3, 4, 6, 3)), ("resnet101", (3, 4, 23, 3))])
@pytest.mark.parametrize("stride", [4, 16])
def test_a_resnet_has_the_weights_of_its_bottleneck_units_whatever_its_stride(name: str, units: tuple[int, ...], stride: int) -> None:
    weights, inputs = conv_weights(3, 64, 7), 64
    for stage, count in enumerate(units):
        inner = 64 * 2**stage
        weights += conv_weights(inputs, 4 * inner, 1)  # the first unit's shortcut
        for _ in range(count):
            weights += conv_weights(inputs, inner, 1) + conv_weights(inner, inner) + conv_weights(inner, 4 * inner, 1)
            inputs = 4 * inner
    with torch.device("meta"):
        assert parameters(make_encoder(encoder_of(name, stride=stride))) == weights + conv_weights(2048, 8)


def test_resnet50_without_its_last_layer_has_the_weights_of_torchvisions_without_its_classifier() -> None:
    with torch.device("meta"):
        assert parameters(make_encoder(encoder_of())) - conv_weights(2048, 8) == 25_557_032 - (2048 * 1000 + 1000)


def test_the_number_of_layers_is_in_the_name() -> None:
    for layers in (26, 50, 101):
        with torch.device("meta"):
            convs = [one for one in make_encoder(encoder_of(f"resnet{layers}")).modules() if isinstance(one, nn.Conv2d)]
        shortcuts = 4
        assert len(convs) - shortcuts == layers  # the last convolution stands where the classifier was


def test_the_small_encoder_has_about_seven_hundred_thousand_weights() -> None:
    assert parameters(make_encoder(encoder_of("small", stride=8))) == pytest.approx(700_000, rel=0.02)


def test_positions_are_kept_until_the_last_unit_of_a_stage() -> None:
    """As in the reference: stage 1 of a 64-pixel image works at 16 x 16 and gives 8 x 8."""
    encoder = make_encoder(encoder_of("small", width=0.125, stride=16))
    sides: list[int] = []
    for stage in encoder[4:7]:
        for unit in stage:
            unit.register_forward_hook(lambda unit, inputs, output: sides.append(output.shape[-1]))
    encoder(torch.randn(2, 3, 64, 64))
    assert sides == [16, 8, 8, 4, 4, 4]


def test_he_initialisation_keeps_the_scale_of_activations() -> None:
    encoder = make_encoder(encoder_of("small"))
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.in_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "resnet18"}, "name must be 'small', 'resnet26', 'resnet50' or 'resnet101' (is 'resnet18')"),
        ({"stride": 12}, "stride must be 4, 8, 16 or 32 (is 12)"),
        ({"stride": 2}, "stride must be 4, 8, 16 or 32 (is 2)"),
        ({"name": "small", "width": 0.01}, "width must leave the first stage of small at least one channel of 32 (is 0.01)"),
        ({"width": -1.0}, "width must be greater than 0 (is -1.0)"),
        ({"width": float("nan")}, "width must be a finite number (is nan)"),
        ({"channels": 0}, "channels must be greater than or equal to 1 (is 0)"),
    ],
)
def test_an_encoder_that_does_not_exist_is_refused_by_parameter(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(TaskonomyError) as caught:
        checked(EncoderParams, {"name": "resnet50", "width": 1.0, "stride": 16, "channels": 8, **wrong}, "train.encoder")
    assert message in str(caught.value)


def test_a_side_that_the_stride_does_not_divide_is_refused() -> None:
    assert check_size(encoder_of(stride=16), 64) == 4
    for side in (0, 8, 72):
        with pytest.raises(TaskonomyError, match=rf"encoder.stride must divide the images' side of {side} px \(is 16\)"):
            check_size(encoder_of(stride=16), side)
    with pytest.raises(TaskonomyError, match="side of 20 px"):
        task_network(BUILT_IN["jigsaw"], NARROW, SMALL, 64, tile_side=20)


# ---- whole networks


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("side", [32, 64])
def test_a_network_gives_what_the_task_is_labelled_with(task: Task, stride: int, side: int) -> None:
    encoder = encoder_of("small", width=0.125, stride=stride)
    own = task_network(task, encoder, SMALL, side)
    assert own(torch.rand(2, task.tiles, task.in_channels, side, side)).shape == (2, *expected_shape(task, side))
    transfer = transfer_network(task, 2, encoder, SMALL, side)
    assert transfer(torch.rand(2, task.tiles, 16, side // stride, side // stride)).shape == (2, *expected_shape(task, side))


@pytest.mark.parametrize("code", [4, 8, 16])
@pytest.mark.parametrize("side", [32, 64, 128, 256])
@pytest.mark.parametrize("shape", [PAPER, SMALL], ids=["paper", "small"])
@pytest.mark.parametrize("shrink", [1, 4])
def test_maps_of_every_side_are_decoded_from_codes_of_every_side(code: int, side: int, shape: DecoderParams, shrink: int) -> None:
    with torch.device("meta"):
        decoder = make_decoder(Head(3, shrink=shrink), 8, code, side, shape)
        assert decoder(torch.empty(2, 8, code, code)).shape == (2, 3, side // shrink, side // shrink)


def test_colours_are_learned_from_lightness_and_everything_else_from_three_channels() -> None:
    assert {task.name: task.in_channels for task in TASKS if task.in_channels != 3} == {"colorization": 1}


def test_the_jigsaws_tiles_may_be_smaller_than_the_image() -> None:
    network = task_network(BUILT_IN["jigsaw"], NARROW, SMALL, 64, tile_side=24)
    assert network(torch.rand(2, 9, 3, 24, 24)).shape == (2, 100)
    assert network.encoder(torch.rand(2, 3, 64, 64)).shape == (2, 8, 8, 8)  # as a source it sees the whole image once


@pytest.mark.parametrize("name", ["random_projection", "class_object_100"])
def test_a_task_without_a_label_has_no_network(name: str) -> None:
    with pytest.raises(TaskonomyError, match=f"{name} has no network of its own"):
        task_network(BUILT_IN[name], NARROW, SMALL, 32)


@pytest.mark.parametrize("name", ["normal", "egomotion", "point_matching", "colorization", "jigsaw"])
def test_every_weight_of_a_network_learns(name: str) -> None:
    task = BUILT_IN[name]
    network = task_network(task, NARROW, THIN, 32)
    images = torch.rand(4, task.tiles, task.in_channels, 32, 32)
    transfer = transfer_network(task, 2, NARROW, THIN, 32)
    for one, inputs in ((network, images), (transfer, torch.rand(4, task.tiles, 16, 4, 4))):
        output = one(inputs)
        (output * torch.randn_like(output)).sum().backward()
        assert [name for name, weights in one.named_parameters() if weights.grad is None or not weights.grad.any()] == []


@pytest.mark.parametrize("name", ["reshading", "camera_pose_nonfixated", "class_scene"])
def test_when_evaluating_an_image_is_judged_without_regard_to_its_company(name: str) -> None:
    task = BUILT_IN[name]
    for network, shape in (
        (task_network(task, NARROW, THIN, 32), (task.tiles, 3, 32, 32)),
        (transfer_network(task, 1, NARROW, THIN, 32), (task.tiles, *CODE)),
    ):
        company = 5 * torch.randn(5, *shape)
        network(company)  # statistics of a training step
        network.eval()
        together, before = network(company), {name: values.clone() for name, values in network.state_dict().items()}
        alone = torch.cat([network(one[None]) for one in company])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
        assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
        network.train()
        assert not torch.allclose(network(company)[:2], network(company[:2]), atol=1e-3)


def test_a_pairs_images_share_an_encoder_but_not_their_place() -> None:
    network = task_network(BUILT_IN["camera_pose_fixated"], NARROW, SMALL, 32).eval()
    first, second = torch.rand(2, 1, 1, 3, 32, 32)
    network.decoder = Decoder()
    forth, back = network(torch.cat([first, second], 1)), network(torch.cat([second, first], 1))
    assert torch.equal(forth[:, :8], back[:, 8:])
    assert torch.equal(forth[:, 8:], back[:, :8])
    assert not torch.allclose(forth, back)
    with torch.no_grad():
        assert torch.allclose(forth[:, :8], network.encoder(first[:, 0]), atol=1e-6)


def test_exchanging_the_images_of_a_pair_changes_its_pose() -> None:
    for name in ("camera_pose_fixated", "egomotion", "point_matching"):
        task = BUILT_IN[name]
        network = transfer_network(task, 1, NARROW, SMALL, 32).eval()
        codes = torch.rand(2, task.images, *CODE)
        assert not torch.allclose(network(codes), network(codes.flip(1)), rtol=1e-3, atol=0)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        network = task_network(BUILT_IN["segment_semantic"], NARROW, THIN, 32)
        transfer = transfer_network(BUILT_IN["egomotion"], 3, NARROW, THIN, 32)
        return torch.cat([one.flatten() for both in (network, transfer) for one in both.parameters()])

    assert torch.equal(weights(7), weights(7))
    assert not torch.equal(weights(7), weights(8))


# ---- decoders


def test_the_papers_decoder_has_the_weights_of_its_fourteen_layers() -> None:
    """16 x 16 x 8 to 256 x 256 x 3: channels of the reference, layer by layer."""
    channels = [8, 1024, 1024, 512, 256, 256, 128, 64, 64, 32, 32, 16, 32, 16]
    weights = sum(conv_weights(*pair) for pair in pairwise(channels)) + 9 * 16 * 3 + 3
    with torch.device("meta"):
        decoder = make_decoder(Head(3, tanh=True), 8, 16, 256, PAPER)
    assert parameters(decoder) == weights
    assert sum(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in decoder) == 14
    assert sum(isinstance(layer, nn.ConvTranspose2d) for layer in decoder) == 4


def test_the_papers_decoder_of_colours_has_the_weights_of_its_layers() -> None:
    channels = [8, 1024, 1024, 512, 512, 512, 512, 256, 256, 256, 256, 256, 256]
    weights = sum(conv_weights(*pair) for pair in pairwise(channels)) + 256 * 313 + 313
    with torch.device("meta"):
        assert parameters(make_decoder(Head(313, shrink=4), 8, 16, 256, PAPER)) == weights


def test_the_papers_readout_of_classes_has_the_weights_of_its_two_layers() -> None:
    with torch.device("meta"):
        assert parameters(make_decoder(BUILT_IN["class_object"].head, 8, 16, 256, PAPER)) == 2048 * 2048 + 2 * 2048 + 2048 * 1000 + 1000


def test_the_small_decoder_has_four_layers_of_at_most_64_channels() -> None:
    convs = [layer for layer in make_decoder(Head(3), 8, 8, 64, SMALL) if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convs) == 4
    assert max(layer.out_channels for layer in convs) == 64


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("last", "shuffle"), [(1, 1), (3, 1), (1, 4), (3, 2), (5, 4)])
@pytest.mark.parametrize("bounded", [False, True])
def test_some_pixels_of_a_map_and_their_gradients_are_those_of_the_whole_map(bounded: bool, last: int, shuffle: int, memory: Any) -> None:
    decoder = make_decoder(Head(3, tanh=bounded), 8, 4, 32, decoder_of(last=last, shuffle=shuffle)).double().to(memory_format=memory)
    codes = torch.rand(2, *CODE, dtype=torch.float64, requires_grad=True)
    corners = torch.tensor([[0, 31, 32 * 31, 32 * 32 - 1]])
    pixels = torch.cat([corners.expand(2, -1), torch.randint(32 * 32, (2, 200))], 1)  # some pixels more than once
    rows, columns, samples = pixels // 32, pixels % 32, torch.arange(2)[:, None]
    weigh = torch.rand(2, 3, 204, dtype=torch.float64)
    whole = decoder(codes)[samples, :, rows, columns].mT
    some = decoder(codes, pixels)
    torch.testing.assert_close(some, whole, rtol=1e-12, atol=1e-12)
    changed = [codes, *decoder.parameters()]
    for one, other in zip(*(torch.autograd.grad((weigh * values).sum(), changed) for values in (some, whole)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_a_network_computes_the_compared_pixels_of_its_map_alone() -> None:
    pixels = torch.randint(32 * 32, (2, 7))
    for network, seen in (
        (task_network(BUILT_IN["segment_unsup2d"], NARROW, SMALL, 32), torch.rand(2, 1, 3, 32, 32)),
        (transfer_network(BUILT_IN["segment_unsup2d"], 2, NARROW, SMALL, 32), torch.rand(2, 1, 16, 4, 4)),
    ):
        whole = network.eval()(seen)
        torch.testing.assert_close(network(seen, pixels), whole.flatten(2).gather(2, pixels[:, None].expand(-1, whole.shape[1], -1)))


@pytest.mark.parametrize(("last", "shuffle"), [(1, 1), (3, 1), (1, 4), (3, 2)])
@pytest.mark.parametrize("head", [Head(3), Head(3, tanh=True), Head(5, shrink=4)])
def test_a_packed_map_has_the_pixels_and_gradients_of_the_whole_one(head: Head, last: int, shuffle: int) -> None:
    shape = decoder_of(last=last, shuffle=shuffle)
    decoder = make_decoder(head, 8, 4, 32, shape, scaled=True).double()
    decoder[[isinstance(layer, Scaled) for layer in decoder].index(True)].set_to(torch.rand(head.channels) - 0.5, 1 + torch.rand(head.channels))
    codes = torch.rand(2, *CODE, dtype=torch.float64, requires_grad=True)
    inside = shuffle_of(head, 4, 32, shape)
    whole = pack(decoder(codes).movedim(1, -1), inside).permute(0, 3, 4, 1, 2)
    packed = decoder(codes, packed=True)
    torch.testing.assert_close(packed, whole, rtol=1e-12, atol=1e-12)
    weigh, changed = torch.rand(packed.shape, dtype=torch.float64), [codes, *decoder.parameters()]
    for one, other in zip(*(torch.autograd.grad((weigh * values).sum(), changed) for values in (packed, whole)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_pixels_are_packed_place_by_place_as_the_shuffle_unpacks_them() -> None:
    pixels = torch.rand(2, 12, 8, 3)
    packed = pack(pixels, 4)
    assert packed.shape == (2, 3, 2, 3, 16)
    torch.testing.assert_close(torch.pixel_shuffle(packed.flatten(3).movedim(3, 1), 4).movedim(1, -1), pixels)


def test_only_a_bounded_head_is_bounded() -> None:
    codes = 100 * torch.rand(4, *CODE)
    for task in TASKS:
        if task.head.layers == 0:
            decoder = make_decoder(task.head, 8, 4, 32, THIN)
            for weights in decoder.parameters():
                weights.data.mul_(100)
            assert (decoder(codes).abs().max() <= 1) == task.head.tanh, task.name


def test_a_map_smaller_than_the_code_is_decoded_from_the_averaged_code() -> None:
    decoder = make_decoder(Head(5, shrink=4), 8, 16, 32, THIN).eval()
    codes = torch.rand(1, 8, 16, 16)
    averages = codes.unflatten(3, (8, 2)).unflatten(2, (8, 2)).mean((3, 5)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(decoder(codes), decoder(averages))
    assert decoder(codes).shape == (1, 5, 8, 8)


def test_egomotions_two_poses_are_read_independently_and_the_third_is_left_to_be_composed() -> None:
    task = BUILT_IN["egomotion"]
    assert task.outputs == 12
    decoder = task_network(task, NARROW, SMALL, 32).decoder
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in decoder.modules())
    decoder.eval()(torch.rand(2, 24, 4, 4))[:, :6].sum().backward()  # the first pose
    reached = [any(weights.grad is not None and weights.grad.any() for weights in head.parameters()) for head in decoder[0].heads]
    assert reached == [True, False]


@pytest.mark.parametrize("dropout", [0.2, 0.5])
def test_readouts_start_small_and_drop_a_share_of_their_hidden_units_in_training_only(dropout: float) -> None:
    decoder = make_decoder(Head(4, layers=3), 8, 4, 32, SMALL.model_copy(update={"dropout": dropout}))
    layers = [layer for layer in decoder.modules() if isinstance(layer, nn.Linear)]
    for number, layer in enumerate(layers):
        scale = START_APART if number == len(layers) - 1 else 1
        assert layer.weight.abs().max() <= 0.02 * scale
        assert layer.weight.std().item() == pytest.approx(0.01 * 0.88 * scale, rel=0.1)  # of a normal cut at two deviations
    shares: list[float] = []
    dropouts = [module for module in decoder.modules() if isinstance(module, nn.Dropout)]
    assert len(dropouts) == 2
    for layer in dropouts:
        layer.register_forward_hook(lambda module, inputs, output: shares.append((output != 0).sum().item() / (inputs[0] != 0).sum().item()))
    codes = torch.rand(32, *CODE)
    decoder(codes)
    assert shares == pytest.approx([1 - dropout, 1 - dropout], abs=0.05)
    decoder.eval()(codes)
    assert shares[2:] == [1, 1]


def test_an_upsampled_decoder_without_normalisation_keeps_the_scale_of_its_code() -> None:
    decoder = make_decoder(Head(64), 64, 8, 64, DecoderParams(layers=(64, 64), steps=((64, 64),)), batch_norm=False)
    assert 0.3 < decoder(torch.randn(8, 64, 8, 8)).std() / START_APART < 3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: make_decoder(Head(3), 8, 4, 48, SMALL), "codes of 4 x 4 cannot be decoded to 48 x 48"),
        (lambda: make_decoder(Head(3, shrink=4), 8, 4, 2, SMALL), "codes of 4 x 4 cannot be decoded to 0 x 0"),
        (lambda: make_decoder(Head(9, layers=2), 8, 4, 32, SMALL, heads=2), "2 heads cannot share 9 outputs evenly"),
        (lambda: decoder_of(steps=()), "steps"),
        (lambda: decoder_of(layers=(64, 0)), "layers.1 must be greater than or equal to 1 (is 0)"),
        (lambda: decoder_of(last=2), "last: must be odd (is 2)"),
        (lambda: decoder_of(shuffle=3), "shuffle: must be a power of two (is 3)"),
        (lambda: decoder_of(width=0.0), "width must be greater than 0 (is 0.0)"),
        (lambda: TransferModule(0, 8), "a transfer has at least one source (has 0)"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(build: object, message: str) -> None:
    with pytest.raises(TaskonomyError) as caught:
        build()
    assert message in str(caught.value)


# ---- transfers


@pytest.mark.parametrize("sources", [1, 2, 3, 4, 25])
def test_a_transfer_of_every_order_is_the_same_network_but_for_its_inputs(sources: int) -> None:
    transfer = TransferModule(sources, 8)
    assert transfer(torch.rand(4, sources * 8, 4, 4)).shape == (4, 16, 4, 4)
    assert parameters(transfer) == 2 * 8 * sources + 2 * (conv_weights(8 * sources, 8) + conv_weights(8, 8)) + 2 * 16
    with pytest.raises(RuntimeError, match="running_mean"):
        transfer(torch.rand(4, sources * 8 + 8, 4, 4))


def test_convolutions_of_a_transfer_start_at_a_hundredth_and_its_streams_differ() -> None:
    first, second = TransferModule(8, 8).streams
    assert first[0].weight.abs().max() <= 0.02
    assert first[0].weight.std().item() == pytest.approx(0.01 * 0.88, rel=0.05)
    assert not torch.equal(first[0].weight, second[0].weight)


def test_outliers_are_cut_at_five_deviations_of_their_channel_in_training_only() -> None:
    codes = torch.rand(64, 2, 4, 4)
    codes[0, 0, 0, 0] = 1000.0
    channel = codes[:, 0].double()
    limit = channel.mean() + 5 * channel.std(correction=0)
    cut = clipped(codes)
    assert cut[0, 0, 0, 0].item() == pytest.approx(limit.item(), rel=1e-4)
    cut[0, 0, 0, 0] = 1000.0
    assert torch.equal(cut, codes)  # nothing else is touched, in neither channel

    transfer, seen = TransferModule(1, 2), []
    transfer.before.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].max().item()))
    transfer(codes)
    transfer.eval()(codes)
    assert seen == pytest.approx([limit.item(), 1000.0], rel=1e-4)


def test_a_transfer_does_not_care_about_the_units_of_its_sources() -> None:
    """Codes of one encoder may be a hundred times those of another: normalisation makes them alike."""
    transfer, codes = TransferModule(2, 8), torch.rand(16, 16, 4, 4)
    scale = torch.tensor([1.0] * 8 + [100.0] * 8)[:, None, None]
    torch.testing.assert_close(transfer(codes), transfer(codes * scale), rtol=1e-2, atol=1e-2)


def test_a_transfer_is_shared_by_the_images_of_a_sample() -> None:
    network = transfer_network(BUILT_IN["egomotion"], 2, NARROW, SMALL, 32).eval()
    codes = torch.rand(2, 3, 16, 4, 4)
    joined = TransferNetwork(network.transfer, Decoder(), 3).eval()(codes)
    for image in range(3):
        torch.testing.assert_close(joined[:, 16 * image : 16 * (image + 1)], network.transfer(codes[:, image]))


def test_a_transfer_adds_less_than_three_thousand_weights_to_the_decoder() -> None:
    transfer = transfer_network(BUILT_IN["normal"], 1, encoder_of(), PAPER, 256)
    assert parameters(transfer.transfer) == 16 + 2 * (conv_weights(8, 8) * 2) + 32
    assert parameters(transfer.transfer) < 3000
