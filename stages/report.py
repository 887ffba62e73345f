"""Stage `report`: all results of a table -> one page that works offline, and the numbers by which runs are compared first."""

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_json, write_text
from taskonomy.config.params import read_params
from taskonomy.report.inputs import read_results
from taskonomy.report.page import page
from taskonomy.report.run_summary import summarize
from taskonomy.stage.paths import path_parser


def main() -> None:
    optional = {"networks": "win rates of the task networks: task,average,random", "experiments": "what `taskonomy experiments collect` wrote"}
    parser = path_parser(__doc__, "table", "results", "page", optional=optional)
    parser.add_argument("--subtitle", required=True)
    args = parser.parse_args()

    params = read_params()
    results = read_results(args.table, args.results, params, args.networks, args.experiments)
    write_text(args.page, page(f"{params.report.title}: {args.subtitle}", results))
    write_json(args.results / "summary.json", summarize(results))
    print(f"open {args.page}")


with stage():
    main()
