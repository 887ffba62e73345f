"""Phrase the result of a query, for the terminal and the page."""

from taskonomy.new_task.learning_curve import Way
from taskonomy.new_task.ranking import QueryResult
from taskonomy.tasks import Registry

HOW = {
    Way.TRANSFER.value: "a transfer from frozen encoders",
    Way.FINE_TUNED.value: "fine-tuning of its encoder",
    Way.SCRATCH.value: "training from scratch",
}


def titles(sources: tuple[str, ...] | str, registry: Registry) -> str:
    """Join the sources' titles with plus signs."""
    return " + ".join(registry.title(name) for name in (sources.split("+") if isinstance(sources, str) else sources))


def verdict(found: QueryResult) -> str:
    """State in one sentence what to start from."""
    best = found.verdict()
    if best["way"] == Way.SCRATCH.value:
        return f"With {best['images']:,} labelled samples nothing beats training from scratch."
    start = {Way.TRANSFER.value: "Transfer from", Way.FINE_TUNED.value: "Fine-tune"}[best["way"]]
    sure = ", which may be chance" if best["gain_low"] <= 0.5 else ""
    wins = f"beats training from scratch on {_percent(best['gain'])} of the held-out images"
    between = "" if best["gain_low"] != best["gain_low"] else f" ({_percent(best['gain_low'])} to {_percent(best['gain_high'])})"
    return f"{start} {titles(best['sources'], found.registry)}: with {best['images']:,} labelled samples that {wins}{between}{sure}."


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


def lines(found: QueryResult) -> list[str]:
    """Format the result for the terminal."""
    out = [f"{found.registry.title(found.target)}: {verdict(found)}", ""]
    rows = found.ranking
    out.append(f"{'best of each order':<52}{'affinity':>9}{'interval':>18}{'best in':>9}{'gain':>6}")
    for sources in found.best:
        row = rows[rows["sources"] == sources].iloc[0]
        between = f"{row['low']:.4f} to {row['high']:.4f}"
        out.append(f"  {' + '.join(sources):<50}{row['affinity']:>9.4f}{between:>18}{_percent(row['best_of_order']):>9}{row['gain_held_out']:>6.2f}")
    singles = rows[rows["order"] == 1].head(6)
    listed = (f"{sources[0]} {affinity:.4f}" for sources, affinity in zip(singles["sources"], singles["affinity"], strict=True))
    out += ["", f"best single sources: {', '.join(listed)}", ""]
    out.append(f"{'labelled samples':<24}" + "".join(f"{images:>19,}" for images in sorted(found.curve["images"].unique())))
    for way in Way:
        held = found.curve[found.curve["way"] == way.value].sort_values("images")
        if not held.empty:
            out.append(f"  {way.value + ', loss':<22}" + "".join(f"{value:>19.4g}" for value in held["loss"]))
    for way in (Way.TRANSFER, Way.FINE_TUNED):
        held = found.curve[found.curve["way"] == way.value].sort_values("images")
        if not held.empty:
            cells = (f"{row.gain:.2f} ({row.gain_low:.2f}-{row.gain_high:.2f})" for row in held.itertuples())
            out.append(f"  {way.value + ', gain':<22}" + "".join(f"{cell:>19}" for cell in cells))
    return [*out, "", *(sentence for way in (Way.TRANSFER, Way.FINE_TUNED) if (sentence := crossing(found, way)))]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
