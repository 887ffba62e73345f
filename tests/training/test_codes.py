"""CodeInputs: every image outside the train split is encoded once for each way in which targets see it."""

from collections import Counter

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from taskonomy.config.network_params import Precision
from taskonomy.labels.encodings import Input
from taskonomy.tasks import BUILT_IN
from taskonomy.training.codes import BATCH, code_input, coded_rows, codes_of, row_of_view
from taskonomy.training.dataloader import TESTING, CodeInputs, ImageInputs


class Counting(torch.nn.Module):
    """An encoder that keeps all that it was shown, and gives the middle pixel of every fourth row and column."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.shown: list[bytes] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.shown += [image.contiguous().numpy().tobytes() for image in images]
        return images[:, :, 2::4, 2::4] * self.weight


def images_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("how", [Input.IMAGE, Input.NOISE])
@pytest.mark.parametrize("source", [Input.IMAGE, Input.LIGHTNESS, Input.HOLE, Input.TILES])
def test_every_row_passes_the_encoder_once_and_no_other_does(how, source):
    images, rows = images_of(3 * BATCH), np.random.default_rng(1).permutation(3 * BATCH)[: 2 * BATCH + 5]
    encoder = Counting()
    codes = codes_of(encoder, images, np.sort(rows), how, source, Precision.FLOAT32, "float32")
    seen = {row: code_input(images[[row]], np.array([row]), how, source)[0] for row in range(len(images))}
    assert Counter(encoder.shown) == Counter(seen[row].contiguous().numpy().tobytes() for row in rows)
    for code, row in zip(codes, np.sort(rows), strict=True):
        np.testing.assert_array_equal(code, seen[row][:, 2::4, 2::4])


def test_the_train_split_has_no_codes_and_every_other_view_one(prepared):
    rows, where = coded_rows(prepared.splits), row_of_view(prepared.splits)
    split = prepared.index["split"].to_numpy()
    assert (where[split == "train"] == -1).all()
    assert sorted(where[split != "train"]) == list(range((split != "train").sum()))
    np.testing.assert_array_equal(np.flatnonzero(split != "train"), rows)
    np.testing.assert_array_equal(where[rows], np.arange(len(rows)))


def test_a_source_sees_a_targets_noise_as_the_targets_own_network_does_when_it_is_tested(prepared):
    rows = coded_rows(prepared.splits)[10:20]
    of_source = code_input(prepared.images[rows], rows, Input.NOISE, Input.IMAGE)
    of_target = ImageInputs(prepared.images, BUILT_IN["denoising"].input).seen(rows[:, None], rows, TESTING, None)
    assert torch.equal(of_source, of_target[:, 0])
    assert not torch.equal(of_source, code_input(prepared.images[rows], rows, Input.IMAGE, Input.IMAGE))


def test_sources_of_lightness_see_that_of_the_noisy_image():
    images, rows = images_of(4), np.arange(4)
    grey = code_input(images, rows, Input.NOISE, Input.LIGHTNESS)
    noisy = (code_input(images, rows, Input.NOISE, Input.IMAGE) + 1) / 2
    expected = rgb2lab(noisy.permute(0, 2, 3, 1).numpy())[..., 0] / 50 - 1
    assert grey.shape == (4, 1, 16, 16)
    np.testing.assert_allclose(grey[:, 0], expected, atol=2e-3)


def test_holes_and_tiles_are_the_targets_affair_and_not_the_sources():
    images, rows = images_of(4), np.arange(4)
    whole = code_input(images, rows, Input.IMAGE, Input.IMAGE)
    assert torch.equal(code_input(images, rows, Input.IMAGE, Input.HOLE), whole)
    assert torch.equal(code_input(images, rows, Input.IMAGE, Input.TILES), whole)


def test_codes_of_several_sources_stand_side_by_side_for_each_image():
    rng = np.random.default_rng(0)
    first, second = (rng.random((6, 3, 2, 2)).astype(np.float16) for _source in range(2))
    row_of = np.array([-1, 0, 1, -1, 2, 3, 4, 5])
    seen = CodeInputs([first, second], row_of).seen(np.array([[1, 7], [4, 2]]), np.array([0, 1]), 0, None)
    assert seen.dtype == torch.float32
    assert seen.shape == (2, 2, 6, 2, 2)
    for sample, views in enumerate([[1, 7], [4, 2]]):
        for image, view in enumerate(views):
            np.testing.assert_array_equal(seen[sample, image, :3], first[row_of[view]])
            np.testing.assert_array_equal(seen[sample, image, 3:], second[row_of[view]])


def test_codes_of_training_images_are_refused():
    with pytest.raises(ValueError, match="train split"):
        CodeInputs([np.zeros((1, 1, 2, 2), np.float16)], np.array([0, -1])).seen(np.array([[0], [1]]), np.array([0, 1]), 0, None)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_codes_are_those_of_testing_and_coding_does_not_change_the_encoder(dtype):
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, 4), torch.nn.BatchNorm2d(4))
    encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    images, rows = images_of(9), np.arange(9)
    codes = codes_of(encoder, images, rows, Input.IMAGE, Input.IMAGE, Precision.FLOAT32, dtype)
    assert codes.dtype == dtype
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    alone = [codes_of(encoder, images, rows[[row]], Input.IMAGE, Input.IMAGE, Precision.FLOAT32, dtype)[0] for row in rows]
    np.testing.assert_allclose(codes, alone, rtol=2e-3, atol=1e-5)  # a batch's statistics have no part in them
