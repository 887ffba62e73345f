"""How long encoders that others trained take for a run's images, measured on a few made-up ones."""

import time
from pathlib import Path

import numpy as np

from taskonomy.config.params import Params
from taskonomy.estimate.workload import Hours, ImageCounts, code_inputs


def missing_files(params: Params) -> list[str]:
    """Say which encoders' files are not there yet, so that nothing can be measured of them; a line each."""
    return [
        f"what encoders.{name} takes for the images is not in the hours: {one.file} is not there"
        for name, one in params.encoders.items()
        if not Path(one.file).is_file()
    ]


def encodings(params: Params, images: ImageCounts) -> list[Hours]:
    """Measure each encoder's network, one thread, and extrapolate to the images that it sees; images are read besides.

    Raises:
        TaskonomyError: A file is not what the parameters say.
    """
    from taskonomy.pretrained.encode_images import FIT
    from taskonomy.pretrained.multiply_adds import multiply_adds
    from taskonomy.pretrained.onnx_encoder import BATCH, OnnxEncoder

    found = []
    for name, one in params.encoders.items():
        if not Path(one.file).is_file():
            continue
        encoder = OnnxEncoder(name, one)
        some = np.random.default_rng(0).integers(0, 256, (BATCH, one.side, one.side, 3), dtype=np.uint8)
        spent = []
        for _again in range(2):  # the first opens the network
            began = time.process_time()
            encoder.maps(some)
            spent.append(time.process_time() - began)
        count = code_inputs(params) * images.coded + (0 if one.channels is None else min(FIT, images.of["train"]))
        flop = 2 * multiply_adds(encoder.model, one.side)
        found.append(Hours(f"codes of {one.title or name}", count, count * min(spent) / BATCH, count * flop / 1e12))
    return found
