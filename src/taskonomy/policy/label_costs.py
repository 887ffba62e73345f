"""What a policy's labels cost: the images that each task takes, their price, and the policy's bill.

A source is labelled in full. A target that is not a source needs only the labelled images of a transfer; a target that is a source has them already.
All targets are solved, so every policy pays the labels of their transfers, and a source costs what its full labels cost beyond those.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd

from taskonomy.config.checked import checked
from taskonomy.config.policy_params import LabelsParams, PolicyParams, Preset
from taskonomy.errors import TaskonomyError
from taskonomy.machine.terminal import text_table
from taskonomy.parsing.user_text import normal, whole
from taskonomy.policy.numbers import as_written, shown
from taskonomy.tables.csv_reader import Sheet, read_sheet
from taskonomy.tables.transfer_spec import variant
from taskonomy.tasks import BUILT_IN

OTHERS = "*"  # in a price list: the row for every task without a row of its own
COLUMNS = ("price", "full", "transfer", "there")


@dataclass(frozen=True)
class Prices:
    """The label costs of one table.

    Attributes:
        sources: Cost of each source, beyond what every policy pays.
        transfers: What every policy pays: the labels for the transfers to its targets.
    """

    sources: dict[str, Fraction]
    transfers: Fraction


def prices(params: LabelsParams, targets: Iterable[str], sources: Iterable[str]) -> Prices:
    """Compute the cost of each source and of the targets' transfers, in the currency of the parameters.

    Raises:
        TaskonomyError: Some tasks have no price.
    """
    targets, sources = tuple(targets), tuple(sources)
    exact = exact_prices(params, (*targets, *sources))

    def between(name: str, lower: int, upper: int) -> Fraction:
        there = images_there(params, name)
        return exact[name] * (max(upper, there) - max(lower, there))

    cost = {name: between(name, transfer_images(params, name) if name in targets else 0, full_images(params, name)) for name in sources}
    return Prices(cost, sum((between(name, 0, transfer_images(params, name)) for name in targets), start=Fraction(0)))


def exact_prices(params: LabelsParams, names: Iterable[str]) -> dict[str, Fraction]:
    """Return the price of one labelled image of each task, as written.

    Raises:
        TaskonomyError: Some tasks have no price.
    """
    of = {name: _price(params, name) for name in names}
    if missing := sorted(name for name, price in of.items() if price is None):
        raise TaskonomyError(
            f"policy.labels: no price for {', '.join(missing)}; set policy.labels.price for all tasks, or policy.labels.tasks.{missing[0]}.price"
        )
    return {name: as_written(price or 0.0) for name, price in of.items()}


def check_variants(params: LabelsParams, targets: Iterable[str], transfers: Iterable[tuple[str, tuple[str, ...]]]) -> None:
    """Check that every policy pays for the labels of every transfer: transitive and fine-tuned ones may take other labels than plain ones.

    Raises:
        TaskonomyError: A transfer takes labels that no budget pays for; names the first.
    """
    targets = set(targets)
    for target, sources in transfers:
        for one in filter(None, map(variant, sources)):
            if one.intermediate is not None and one.intermediate not in targets and _price(params, one.intermediate) != 0:
                raise TaskonomyError(
                    f"policy.labels: {one.written} -> {target} takes labels of {one.intermediate}, which is no target, so that no budget"
                    " pays for them; leave it out of transfer.variants"
                )
            if _fine_tuning(params, target, one.share) > transfer_images(params, target) and _price(params, target) != 0:
                raise TaskonomyError(
                    f"policy.labels: {one.written} -> {target} takes {_fine_tuning(params, target, one.share):,} labelled images, more than the"
                    f" {transfer_images(params, target):,} of a transfer; prices of such transfers are not known to the program"
                )


def bill(
    params: LabelsParams,
    targets: Iterable[str],
    sources: Iterable[str],
    transfers: Iterable[tuple[str, tuple[str, ...]]],
    amounts: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """List a policy's labels, a row per task: what they are for, how many images, the price of one and the sum, beside those of training in full.

    Args:
        params: Images and prices.
        targets: The tasks that the policy solves.
        sources: The tasks that it labels in full.
        transfers: Target and sources of each transfer.
        amounts: Target -> labelled images that its transfer was trained on, where the table says it.

    Returns:
        `task`, `labels` (full, transfer, or none: the images label themselves), `images` labelled, `price`, `sum` (of the images that are not
        labelled yet), and `images_in_full`, `sum_in_full`: what the targets' own networks would take. Prices and sums are NaN without a currency.
    """
    amounts = amounts or {}
    targets, sources = set(targets), set(sources)
    fine = {
        target: max((_fine_tuning(params, target, one.share) for one in filter(None, map(variant, group))), default=0) for target, group in transfers
    }
    through = {one.intermediate for _target, group in transfers for one in filter(None, map(variant, group)) if one.intermediate is not None}
    rows: list[dict[str, Any]] = []
    for name in sorted({*targets, *sources, *through}):
        free = _is_free(params, name)
        images = full_images(params, name) if name in sources else amounts.get(name, max(transfer_images(params, name), fine.get(name, 0)))
        there = images_there(params, name)
        whole = full_images(params, name) if name in targets else 0
        price = float("nan") if (known := _price(params, name)) is None or params.currency is None else known
        rows.append(
            {
                "task": name,
                "labels": "none" if free else "full" if name in sources else "transfer",
                "images": 0 if free else images,
                "price": price,
                "sum": _times(max(0, images - there), price),
                "images_in_full": 0 if free else whole,
                "sum_in_full": _times(whole, price),
            }
        )
    return pd.DataFrame(rows).sort_values(["labels", "task"], ignore_index=True)


def totals(table: pd.DataFrame, currency: str | None) -> dict[str, Any]:
    """Sum up a bill in one line: images and, with a currency, money, each beside the same for training every target in full."""
    found: dict[str, Any] = {"images": int(table["images"].sum()), "images_in_full": int(table["images_in_full"].sum())}
    if currency is not None:
        found |= {"currency": currency, "sum": _total(table["sum"]), "sum_in_full": _total(table["sum_in_full"])}
    return found


def _times(images: int, price: float) -> float:
    return float(as_written(price) * images) if math.isfinite(price) else math.nan


def _total(sums: "pd.Series[float]") -> float:
    return float(sum(map(as_written, sums), start=Fraction(0)))


def summary_of_bill(table: pd.DataFrame, currency: str | None) -> str:
    """Sum up a bill in one sentence."""
    found = totals(table, currency)
    parts = [f"{found['images']:,} labelled images, {found['images'] / max(1, found['images_in_full']):.0%} of labelling every target in full"]
    if currency is not None:
        share = f", {found['sum'] / found['sum_in_full']:.0%} of" if found["sum_in_full"] else " of"
        parts.append(f"{money(found['sum'], currency)}{share} {money(found['sum_in_full'], currency)}")
    return "; ".join(parts)


def bill_table(table: pd.DataFrame, currency: str | None) -> str:
    """Format a bill for a terminal, the most expensive task first."""
    rows: list[tuple[str, ...]] = [("task", "labels", "images", "price", f"sum, {currency}", "in full")]
    for row in table.sort_values(["sum", "task"], ascending=[False, True]).itertuples():
        amounts = [shown(row.price), _grouped(row.sum), _grouped(row.sum_in_full)]  # type: ignore[arg-type]
        rows.append((str(row.task), str(row.labels), f"{row.images:,}", *amounts))
    sums = totals(table, currency)
    rows.append(("together", "", f"{sums['images']:,}", "", _grouped(sums["sum"]), _grouped(sums["sum_in_full"])))
    return text_table(rows, left=2)


def money(amount: float, currency: str | None) -> str:
    """Format an amount with all its digits, so that no excess is hidden: 8, 1234567.4; with a currency 1,234,567.40 EUR."""
    return shown(amount) if currency is None else f"{_grouped(amount)} {currency}"


def _grouped(amount: float) -> str:
    """Format an amount with thousands separators and at least two decimals (more only where there are smaller parts): 1,234,567.40."""
    if not math.isfinite(amount):
        return str(amount)
    whole, _dot, rest = f"{Decimal(repr(float(amount))):,f}".partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def read_prices(path: Path, currency: str) -> LabelsParams:
    """Read a price list: task, price[, full, transfer, there], as `taskonomy.tables.csv_reader` reads tables; the row of task * is for all others.

    Raises:
        TaskonomyError: A row is invalid; names its line.
    """
    sheet = read_sheet(path, "price list", ("task",), COLUMNS, ("task",))
    rows: dict[str, dict[str, float]] = {}
    for line, cells in sheet.rows:
        row = dict(zip(sheet.columns, cells, strict=True))
        name = normal(row.pop("task"))
        if not name or not name.isprintable():
            raise TaskonomyError(f"{path}: line {line}: {name!r} is not a task name; task {OTHERS} is for all others")
        if name in rows:
            raise TaskonomyError(f"{path}: line {line}: {name} stands twice")
        try:
            rows[name] = {column: _amount(column, cell, sheet) for column, cell in row.items() if cell}
        except ValueError as error:
            raise TaskonomyError(f"{path}: line {line}: {name}: {error}") from None
    return checked(LabelsParams, {"currency": currency, **rows.pop(OTHERS, {}), "tasks": rows}, str(path))


def _amount(column: str, cell: str, sheet: Sheet) -> float:
    """Parse a price, or a whole number of images, which may be written as a decimal (20000.0).

    Raises:
        ValueError: The cell is neither.
    """
    try:
        return sheet.number(cell) if column == "price" else whole(cell.removesuffix(".0"))
    except ValueError as error:
        raise ValueError(f"{column} {error}") from None


def _price(params: LabelsParams, name: str) -> float | None:
    """Return a task's price: its own if it has one, else 0 if it labels itself, else the price for all tasks."""
    own = params.tasks[name].price if name in params.tasks else None
    return own if own is not None else 0.0 if BUILT_IN.labels_itself(name) else params.price


def cost_of(params: PolicyParams, name: str) -> Fraction:
    """Return the cost of a source where the budget counts tasks: its own, or else what the preset says."""
    free = params.preset is Preset.PRACTICE and BUILT_IN.labels_itself(name)
    return as_written(params.cost.get(name, 0.0 if free else 1.0))


def costs_nothing(params: PolicyParams, name: str) -> bool:
    """Return whether the labels of a task are free: by their price where there is a currency, else by what the task costs."""
    return (_price(params.labels, name) if params.labels.currency is not None else cost_of(params, name)) == 0


def cost_of_rest(params: PolicyParams, name: str, least: int) -> Fraction:
    """Return the cost of a source where the budget counts tasks and some images are labelled already: its cost times the share that is missing.

    Args:
        params: The section `policy`.
        name: The source.
        least: Its labelled images that cost nothing, whether they are there or not: those of a transfer, if it is a target.
    """
    cost, there, full = cost_of(params, name), images_there(params.labels, name), full_images(params.labels, name)
    if full <= least:
        return cost if there < full else Fraction(0)
    return cost * Fraction(max(0, full - max(least, there)), full - least)


def _is_free(params: LabelsParams, name: str) -> bool:
    """Return whether a task's labels are free: it labels itself and has no price of its own."""
    return BUILT_IN.labels_itself(name) and (name not in params.tasks or params.tasks[name].price is None)


def full_images(params: LabelsParams, name: str) -> int:
    """Return the labelled images that a task takes in full."""
    return params.of(name).full or 0


def transfer_images(params: LabelsParams, name: str) -> int:
    """Return the labelled images that a transfer to a task takes, where the table does not say it."""
    return params.of(name).transfer or 0


def images_there(params: LabelsParams, name: str) -> int:
    """Return the labelled images of a task that there are already: they cost nothing."""
    return params.of(name).there or 0


def needed_images(params: LabelsParams, target: str, sources: Iterable[str]) -> int:
    """Return the labelled images of its target that a transfer takes, where the table does not say it: more where an encoder is fine-tuned."""
    fine = (_fine_tuning(params, target, one.share) for one in filter(None, map(variant, sources)))
    return max(transfer_images(params, target), *fine, 0)


def _fine_tuning(params: LabelsParams, target: str, share: float | None) -> int:
    return round((share or 0.0) * full_images(params, target))
