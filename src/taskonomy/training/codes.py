"""Codes: the outputs of frozen encoders, computed once per image and stored (paper section 3.2)."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor, nn

from taskonomy.config.network_params import Precision
from taskonomy.dataset.splits import Split
from taskonomy.labels.encodings import Input
from taskonomy.training.dataloader import TESTING
from taskonomy.training.trainer import autocast
from taskonomy.training.transforms import as_seen, lightness

BATCH = 64


def coded_rows(splits: Int[np.ndarray, " views"]) -> Int[np.ndarray, " coded"]:
    """Find the rows of the views that have codes: all but those that task networks are trained on."""
    return np.flatnonzero(splits != Split.TRAIN.number)


def row_of_view(splits: Int[np.ndarray, " views"]) -> Int[np.ndarray, " views"]:
    """Find the row of each view among the codes; -1 where it has none."""
    rows = coded_rows(splits)
    where = np.full(len(splits), -1)
    where[rows] = np.arange(len(rows))
    return where


@torch.no_grad()
def codes_of(
    encoder: nn.Module, images: Any, rows: Int[np.ndarray, " coded"], how: Input, source: Input, precision: Precision, dtype: str
) -> Shaped[np.ndarray, "coded channels height width"]:
    """Compute the codes of images, each image once.

    Args:
        encoder: The encoder, on the device to compute on; it is not changed.
        images: Every prepared image.
        rows: Rows of the images to encode.
        how: What the target does to its images: those of denoising are noisy for the sources, too. The noise is that of testing.
        source: What the source's encoder reads: lightness alone, or colours. A context encoder sees whole images, a jigsaw's the image in one piece.
        precision: Precision of the encoder's arithmetic.
        dtype: Type of the stored codes.
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    parts = []
    for start in range(0, len(rows), BATCH):
        chosen = rows[start : start + BATCH]
        seen = code_input(np.asarray(images[chosen]), chosen, how, source)
        with autocast(device, precision):
            codes = encoder(seen.to(device))
        parts.append(codes.float().cpu().numpy().astype(dtype))
    return np.ascontiguousarray(np.concatenate(parts))


def code_input(
    images: UInt8[np.ndarray, "batch side side 3"], keys: Int[np.ndarray, " batch"], how: Input, source: Input
) -> Float[Tensor, "batch channels side side"]:
    """Build what a source's encoder sees of a target's images."""
    seen = as_seen(images[:, None], how, keys, TESTING)
    return (lightness((seen + 1) / 2) if source is Input.LIGHTNESS else seen)[:, 0]
