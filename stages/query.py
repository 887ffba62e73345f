"""Stage `query`: a new task and the sources of this run -> ranking, learning curve, page."""

import argparse
from pathlib import Path

from taskonomy.stage import stage
from taskonomy.query.run import run_query


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", help="Of query.tasks")
    parser.add_argument("results", type=Path)
    args = parser.parse_args()

    run_query(Path(), args.task, output=args.results)


if __name__ == "__main__":
    with stage():
        main()
