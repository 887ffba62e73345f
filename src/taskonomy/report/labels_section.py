"""Show how many labelled images each task has in each split, where some lack labels or there are few."""

from typing import Any

from taskonomy.report.figures import by_family
from taskonomy.report.inputs import Results
from taskonomy.tables.label_counts import FEW, words
from taskonomy.wording.wording import count


def shown(results: Results) -> dict[str, Any] | None:
    """Collect the counts and what so few cannot say; None where every image has every label and there are enough, or for a table from elsewhere."""
    data = (results.facts or {}).get("data")
    if data is None:
        return None
    registry, labelled = results.registry, data.get("labelled", {})
    counts = {registry.title(name): labelled[name] for name in by_family(list(labelled), registry)} or {"Every task": data["views"]}
    said = list(words(counts))
    if not labelled and not said:
        return None
    some = sum(of_task != data["views"] for of_task in counts.values())
    see = (
        f"{count(some, 'task')} of {len(counts)} {'has' if some == 1 else 'have'} labels of some images only; each is trained, transferred to and"
        " tested with its own. An image without a task's label still serves as input of transfers to others."
        if labelled
        else "Every image has every label, and there are few of them."
    )
    rows = [
        {"title": title, "counts": [{"number": there, "few": there < FEW[split]} for split, there in of_task.items()]}
        for title, of_task in counts.items()
    ]
    return {"see": see, "splits": list(data["views"]), "rows": rows, "words": said}
