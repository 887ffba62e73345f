"""Stage `agreement`: two affinity tables -> how well they agree on the ranking of sources."""

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_json
from taskonomy.evaluation.agreement import headline
from taskonomy.evaluation.trivial import CountedRows, Ranking, beside_the_trivial
from taskonomy.stage.paths import paths
from taskonomy.tables.table import measured, read_table


def main() -> None:
    args = paths(__doc__, "table", "reference", "results")

    found = beside_the_trivial(measured(read_table(args.table)), measured(read_table(args.reference)))
    summary = headline(found)
    trivial = summary["beside"][CountedRows.OTHERS.value]

    write_json(args.results / "agreement.json", found)
    write_json(args.results / "agreement_metrics.json", summary)
    print(
        f"mean rank correlation {summary['mean_spearman']:.3f} over {summary['targets']} targets and {summary['sources']} sources,"
        f" without own and random rows (by family alone {trivial[Ranking.FAMILY.value]:.3f},"
        f" with mean goodness {trivial[Ranking.GOODNESS.value]:.3f});"
        f" of the 5 best sources, {summary['top5']:.0%} agree ({summary['top5_by_chance']:.0%} by chance)"
    )


with stage():
    main()
