"""Define `taskonomy advise`: which labels to buy next."""

from pathlib import Path
from typing import Annotated

import typer

from taskonomy.cli.common import Json, print_json
from taskonomy.cli.path_checks import existing, file_to_read
from taskonomy.cli.policy_options import Currency, PriceList
from taskonomy.errors import TaskonomyError


def advise(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|TABLE",
            help="The folder of a project that has run, or an affinity table with amounts.",
            show_default=False,
            callback=existing,
        ),
    ],
    money: Annotated[float | None, typer.Option(help="Money to spend on labels.", show_default=False)] = None,
    labels: Annotated[int | None, typer.Option(help="Number of images to label, of whichever task.", show_default=False)] = None,
    prices: PriceList = None,
    currency: Currency = None,
    losses: Annotated[
        Path | None,
        typer.Option(
            help="With a table: losses by building (CSV), to predict larger amounts.", show_default=False, callback=file_to_read("table of losses")
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say which labels to buy next: of which task, how many, and what they improve."""
    if (money is None) == (labels is None):
        raise TaskonomyError("give --money or --labels, one of both")
    budget = float(labels if money is None else money)  # type: ignore[arg-type]
    if not budget > 0 or budget == float("inf"):
        raise TaskonomyError(f"{'--labels' if money is None else '--money'} must be a number > 0 (is {budget:g})")
    if money is not None and (prices is None) != (currency is None):
        raise TaskonomyError("--currency and --prices go together")
    if path.is_dir() and losses is not None:
        raise TaskonomyError("--losses goes with a table; a run has its own")

    from taskonomy.advice.advice import advise as advice_of
    from taskonomy.advice.basis import of_run, of_table
    from taskonomy.advice.text import told
    from taskonomy.policy.label_costs import read_prices

    priced = None if prices is None else read_prices(prices, currency or "labels")
    count = money is None
    asked = of_run(path, budget, priced, count=count) if path.is_dir() else of_table(path, budget, priced, losses, count=count)
    found = advice_of(asked.table, asked.params, asked.curves, asked.registry)
    if json:
        print_json(found.as_dict())
        return
    typer.echo(told(found, asked.registry.title))
