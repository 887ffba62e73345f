"""Show the page's provenance: data, networks, parameters, and fingerprints for comparing two pages."""

from collections.abc import Iterator
from typing import Any

from taskonomy.report.inputs import Results
from taskonomy.report.provenance import fingerprint
from taskonomy.wording.wording import count


def shown(results: Results) -> dict[str, Any]:
    """Collect counts, fingerprints and parameters; for a table from elsewhere only the parameters used here."""
    table = results.table
    text = table.assign(sources=table["sources"].map("+".join)).to_csv(index=False)
    rows = [("affinity table", f"{count(len(table), 'transfer')} to {count(table['target'].nunique(), 'target')}", fingerprint([text]))]
    facts = results.facts or {}
    rows += [(kind, f"{one['count']:,}", one["fingerprint"]) for kind, one in facts.get("networks", {}).items()]
    params = {**facts.get("params", {}), **(results.params or {})}
    said = f"Everything above follows from {count(len(table), 'measured transfer')}"
    if networks := sum(one["count"] for one in facts.get("networks", {}).values()):
        views, buildings = (sum(facts["data"][name].values()) for name in ("views", "buildings"))
        said += f", {count(networks, 'trained network')} and {count(views, 'image')} of {count(buildings, 'building')}"
    said += "; two runs with the same fingerprints had the same data, code and parameters."
    return {"see": said, "rows": rows, "data": facts.get("data"), "params": dict(_flat(params))}


def _flat(values: dict[str, Any], key: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        path = f"{key}.{name}" if key else name
        if isinstance(value, dict) and value:
            yield from _flat(value, path)
        else:
            yield path, _written(value)


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_written, value)) or "none"
    if isinstance(value, dict) or value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
