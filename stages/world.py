"""Stage `world`: parameters -> buildings, rendered and annotated, as a released dataset would lie on disk."""

import argparse
from pathlib import Path

from taskonomy.errors import one_line
from taskonomy.params import read_params
from taskonomy.world.make import make_world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    args = parser.parse_args()
    make_world(args.root, read_params().world)


if __name__ == "__main__":
    with one_line():
        main()
