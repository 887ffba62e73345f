"""Image files of every usual kind against Pillow, which shares no decoder with the reader."""

import io
from typing import Any

import numpy as np
import pytest
from by_hand import png
from PIL import Image, ImageOps

from taskonomy.release.formats import DamagedFileError
from taskonomy.release.pictures import bits_of, label_from, orientation_of, rgb_from, stored_shape, turned, white_of

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (12, 20, 3), np.uint8)
KINDS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF"}


def saved(image: Image.Image, extension: str, orientation: int | None = None, **more: Any) -> bytes:
    file = io.BytesIO()
    if orientation is not None:
        exif = image.getexif()
        exif[0x0112] = orientation
        more["exif"] = exif.tobytes()
    if extension == "webp":
        more["lossless"] = True
    image.save(file, KINDS[extension], **more)
    return file.getvalue()


def upright(data: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


@pytest.mark.parametrize("extension", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_format_gives_the_colours_that_pillow_sees(extension: str, mode: str) -> None:
    data = saved(Image.fromarray(COLOURS).convert(mode), extension)
    difference = np.abs(rgb_from(data).astype(int) - upright(data))
    assert difference.max() <= (4 if extension == "jpg" else 0)  # decoders of JPEG round differently


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_upright_and_a_label_alike(extension: str, orientation: int) -> None:
    blocks = np.kron(RNG.integers(0, 2, (3, 5, 1), np.uint8).repeat(3, -1) * 255, np.ones((16, 16, 1), np.uint8))  # large: JPEG keeps them
    data = saved(Image.fromarray(blocks), extension, orientation)
    assert orientation_of(data) == orientation
    np.testing.assert_allclose(rgb_from(data), upright(data), atol=12)
    assert (turned(blocks, orientation) == upright(saved(Image.fromarray(blocks), "png", orientation))).all()
    assert stored_shape(rgb_from(data).shape, orientation) == (48, 80)


def test_a_label_with_an_orientation_of_its_own_is_turned_by_it() -> None:
    ids = RNG.integers(0, 9, (4, 6), np.uint8)
    assert (label_from(saved(Image.fromarray(ids), "png", 6), ".png") == np.rot90(ids, -1)).all()


@pytest.mark.parametrize("extension", ["png", "webp", "tif"])
def test_transparency_lies_over_white_as_in_a_viewer(extension: str) -> None:
    alpha = RNG.integers(0, 256, (12, 20, 1), np.uint8)
    image = Image.fromarray(np.concatenate([COLOURS, alpha], -1))
    data = saved(image, extension, orientation=1, **({"exact": True} if extension == "webp" else {}))
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    expected = np.asarray(Image.alpha_composite(white, image).convert("RGB")).astype(int)
    assert np.abs(rgb_from(data) - expected).max() <= 1


def test_a_transparent_colour_of_a_palette_or_of_a_grey_image_shows_white() -> None:
    palette = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    assert rgb_from(saved(palette, "png", transparency=2)).reshape(-1, 3).tolist() == [[10, 20, 30], [40, 50, 60], [255] * 3, [100, 110, 120]]
    grey = saved(Image.fromarray(np.array([[7, 9]], np.uint8)), "png", transparency=9)
    assert rgb_from(grey).tolist() == [[[7, 7, 7], [255, 255, 255]]]


@pytest.mark.parametrize(("largest", "white"), [(200, 255), (256, 511), (1000, 1023), (4000, 4095), (4096, 8191), (65535, 65535)])
def test_deep_images_are_scaled_by_as_many_bits_as_they_use_or_as_declared(largest: int, white: int) -> None:
    grey = np.array([[0, largest // 2, largest]], np.uint16)
    assert white_of(largest) == white
    for data in (png(grey), saved(Image.fromarray(grey), "tif")):
        assert bits_of(data) == 16
        assert rgb_from(data)[..., 0].tolist() == [[round(one * 255 / white) for one in grey[0].tolist()]]
        assert rgb_from(data, 65535)[0, 2, 0] == round(largest * 255 / 65535)
        assert rgb_from(data, largest / 2)[..., 0].tolist()[0][1:] == [255, 255]  # brighter than white is white
        assert (label_from(data, ".png") == grey).all()


def test_ids_of_palettes_and_of_few_bits_are_their_numbers() -> None:
    ids = RNG.integers(0, 4, (5, 7), np.uint8)
    palette = Image.fromarray(ids).convert("P")
    palette.putdata(ids.ravel().tolist())
    palette.putpalette(RNG.integers(0, 256, 768, np.uint8).tolist())
    for extension in ("png", "bmp", "tif"):
        assert (label_from(saved(palette, extension), f".{extension}") == ids).all()
        if extension != "bmp":
            assert (label_from(saved(palette, extension, 6), f".{extension}") == np.rot90(ids, -1)).all()
    few = Image.fromarray((ids > 1).astype(np.uint8) * 255).convert("1")
    assert (label_from(saved(few, "png"), ".png") == (ids > 1)).all()  # one bit a pixel


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "bmp", "tif"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
def test_a_file_that_is_cut_off_is_damage_and_never_half_an_image(extension: str, share: float) -> None:
    data = saved(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)), extension)
    with pytest.raises(DamagedFileError):
        rgb_from(data[: int(len(data) * share)])


def test_what_is_no_image_of_whole_numbers_is_damage() -> None:
    with pytest.raises(DamagedFileError, match="pixels of type float32; images have 8 or 16 bits"):
        rgb_from(saved(Image.fromarray(RNG.random((4, 4)).astype(np.float32)), "tif"))
    assert label_from(saved(Image.fromarray(np.full((4, 4), 0.25, np.float32)), "tif"), ".tif").tolist() == np.full((4, 4), 0.25).tolist()
    with pytest.raises(DamagedFileError, match="image that cannot be decoded"):
        rgb_from(b"<html>not found</html>")
