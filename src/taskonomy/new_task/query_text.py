"""Phrase the result of a query, for the terminal and the page."""

from taskonomy.machine.terminal import text_table
from taskonomy.new_task.learning_curve import Way
from taskonomy.new_task.ranking import QueryResult
from taskonomy.tables.table import split_sources
from taskonomy.wording.wording import as_it_is, percent, sources_title

HOW = {
    Way.TRANSFER.value: "a transfer from frozen encoders",
    Way.FINE_TUNED.value: "fine-tuning of its encoder",
    Way.SCRATCH.value: "training from scratch",
}


def verdict(found: QueryResult) -> str:
    """State in one sentence what to start from."""
    best = found.verdict()
    if best["way"] == Way.SCRATCH.value:
        return f"With {best['images']:,} labelled samples nothing beats training from scratch."
    start = {Way.TRANSFER.value: "Transfer from", Way.FINE_TUNED.value: "Fine-tune"}[best["way"]]
    sure = ", which may be chance" if best["gain_low"] <= 0.5 else ""
    wins = f"beats training from scratch on {percent(best['gain'])} of the held-out images"
    between = "" if best["gain_low"] != best["gain_low"] else f" ({percent(best['gain_low'])} to {percent(best['gain_high'])})"
    sources = sources_title(split_sources(best["sources"]), found.registry)
    return f"{start} {sources}: with {best['images']:,} labelled samples that {wins}{between}{sure}."


def crossing(found: QueryResult, way: Way) -> str:
    """State up to, or from, how many samples a way beats training from scratch; empty where there is no such network."""
    rows = found.curve[found.curve["way"] == way.value].sort_values("images")
    if rows.empty:
        return ""
    subject = {Way.TRANSFER: "The transfer", Way.FINE_TUNED: "Fine-tuning"}[way]
    first, last = int(rows["images"].iloc[0]), int(rows["images"].iloc[-1])
    where = f"with {last:,} labelled samples" if first == last else f"at every size from {first:,} to {last:,} labelled samples"
    points = found.crossings.get(way.value, [])
    if not points:
        low, high = rows["gain"].min(), rows["gain"].max()
        how = "better" if low > 0.5 else "worse" if high < 0.5 else "as good as or better" if low == 0.5 else "as good as or worse"
        return f"{subject} is {how} than training from scratch {where}."
    better = rows["gain"].iloc[0] > 0.5
    if len(points) == 1:
        where = (
            f"up to about {points[0]:,.0f} labelled samples, and worse with more" if better else f"from about {points[0]:,.0f} labelled samples on"
        )
        return f"{subject} is better than training from scratch {where}."
    listed = ", ".join(f"{point:,.0f}" for point in points)
    return f"{subject} starts out {'better' if better else 'no better'} than training from scratch; the two cross at about {listed} labelled samples."


def as_they_are(found: QueryResult) -> list[str]:
    """Say under which licence, and at what price of inference, the best transfers use what others trained."""
    return [f"{found.registry.title(name)} is used as it is: {as_it_is(**about)}." for name, about in found.as_they_are.items()]


def lines(found: QueryResult) -> list[str]:
    """Format the result for the terminal."""
    singles = found.ranking[found.ranking["order"] == 1].head(6)
    listed = (f"{sources[0]} {affinity:.4f}" for sources, affinity in zip(singles["sources"], singles["affinity"], strict=True))
    return [
        f"{found.registry.title(found.target)}: {verdict(found)}",
        "",
        text_table([("best of each order", "affinity", "interval", "best in", "gain"), *(_ranked(found, sources) for sources in found.best)], 1),
        "",
        f"best single sources: {', '.join(listed)}",
        *as_they_are(found),
        "",
        text_table(_curve_rows(found), 1),
        "",
        *(sentence for way in (Way.TRANSFER, Way.FINE_TUNED) if (sentence := crossing(found, way))),
    ]


def _ranked(found: QueryResult, sources: tuple[str, ...]) -> tuple[str, ...]:
    row = found.ranking[found.ranking["sources"] == sources].iloc[0]
    between = f"{row['low']:.4f} to {row['high']:.4f}"
    return " + ".join(sources), f"{row['affinity']:.4f}", between, percent(row["best_of_order"]), f"{row['gain_held_out']:.2f}"


def _curve_rows(found: QueryResult) -> list[list[str]]:
    """Format the learning curve: a column for each number of samples."""
    rows = [["labelled samples", *(f"{images:,}" for images in sorted(found.curve["images"].unique()))]]
    held = {way: of_way for way in Way if not (of_way := found.curve[found.curve["way"] == way.value].sort_values("images")).empty}
    rows += [[f"{way.value}, loss", *(f"{value:.4g}" for value in of_way["loss"])] for way, of_way in held.items()]
    for way in (Way.TRANSFER, Way.FINE_TUNED):
        cells = [f"{row.gain:.2f} ({row.gain_low:.2f}-{row.gain_high:.2f})" for row in held[way].itertuples()] if way in held else []
        rows += [[f"{way.value}, gain", *cells]] if cells else []
    return rows
