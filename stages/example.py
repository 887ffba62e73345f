"""Stage `example`, of projects created by `taskonomy init`: pictures of balls and boxes with a task of every kind."""

from taskonomy.stage.guard import stage
from taskonomy.project.example import write_example
from taskonomy.stage.paths import paths


def main() -> None:
    args = paths(__doc__, "example")
    write_example(args.example)


if __name__ == "__main__":
    with stage():
        main()
