"""Stage `policy`: affinity table -> supervision policy for `policy.budget`, the next-best policies, and the cost of the labels."""

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_csv, write_json
from taskonomy.config.params import read_params
from taskonomy.policy.label_costs import summary_of_bill, totals
from taskonomy.policy.planner import plan
from taskonomy.stage.paths import paths
from taskonomy.tables.table import read_table, unmeasured


def main() -> None:
    args = paths(__doc__, "table", "results")

    run = read_params()
    params = run.policy
    table = read_table(args.table)
    print(unmeasured(table) or f"{len(table):,} transfers")
    best, others = plan(table, params, run.registry)

    write_json(args.results / "policy.json", {**best.reproducible(), "alternatives": [one.reproducible() for one in others]})
    bill = best.bill(params.labels)
    priced = {} if params.labels.currency is None else {"bill": totals(bill, params.labels.currency)}
    write_csv(args.results / "bill.csv", bill)
    write_json(args.results / "policy_metrics.json", {**best.metrics(), **priced})
    as_they_are = f"; used as they are: {', '.join(best.licences)}" if best.licences else ""
    free = f" (free: {', '.join(best.free)})" if best.free else ""
    print(f"{best.status}: {', '.join(best.labelled)}{free}{as_they_are}; gain {best.mean_gain:.4f}, quality {best.mean_quality:.4f}")
    print(summary_of_bill(bill, params.labels.currency))


with stage():
    main()
