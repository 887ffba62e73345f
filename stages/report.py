"""Stage `report`: all results of a table -> one page that works offline."""

import argparse
from pathlib import Path

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_text
from taskonomy.config.params import read_params
from taskonomy.report.inputs import read_results
from taskonomy.report.page import page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--subtitle", required=True)
    parser.add_argument("--networks", type=Path, help="win rates of the task networks: task,average,random")
    parser.add_argument("--experiments", type=Path, help="what `taskonomy experiments collect` wrote")
    args = parser.parse_args()

    params = read_params()
    results = read_results(args.table, args.results, params, args.networks, args.experiments)
    write_text(args.page, page(f"{params.report.title}: {args.subtitle}", results))
    print(f"open {args.page}")


with stage():
    main()
