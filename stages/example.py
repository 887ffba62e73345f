"""Stage `example`, of projects created by `taskonomy init`: pictures of balls and boxes with a task of every kind, all or some of them labelled."""

from taskonomy.stage.guard import stage
from taskonomy.project.example import write_example
from taskonomy.stage.paths import path_parser


def main() -> None:
    parser = path_parser(__doc__, "example")
    parser.add_argument("--partial", action="store_true", help="some images lack labels, and distances have holes")
    args = parser.parse_args()
    write_example(args.example, partial=args.partial)


if __name__ == "__main__":
    with stage():
        main()
