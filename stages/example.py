"""Stage `example`, of projects created by `taskonomy init`: pictures of balls and boxes with a task of every kind."""

import argparse
from pathlib import Path

from taskonomy.stage.guard import stage
from taskonomy.project.example import write_example


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    args = parser.parse_args()
    write_example(args.root)


if __name__ == "__main__":
    with stage():
        main()
