"""Stage `encode`: an encoder trained by others, an ONNX file -> the codes of all images that transfers read, and what it costs to run.

The encoder is taken from the stage's name rather than from the command, so that a name cannot affect a command before it is validated.
"""

import os

from taskonomy.stage.guard import DVC_STAGE, stage
from taskonomy.atomic_io import write_json
from taskonomy.config.params import read_params
from taskonomy.errors import TaskonomyError
from taskonomy.pretrained.encode_images import encode_images
from taskonomy.stage.paths import paths


def main() -> None:
    args = paths(__doc__, "prepared", "codes", "metrics")

    written = os.environ.get(DVC_STAGE, "")  # DVC sets it for every command
    name, params = written.partition("@")[2], read_params()
    if name not in params.encoders:
        raise TaskonomyError(f"DVC_STAGE must be encode@NAME, of the section encoders, as DVC sets it (is {written!r})")
    measured = encode_images(name, params, args.prepared, args.codes / name)
    write_json(args.metrics / f"{name}.json", measured)


if __name__ == "__main__":
    with stage():
        main()
