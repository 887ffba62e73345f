"""Draw the paper's experiments, each as a figure with a sentence on what it shows. Names are escaped, as plotly interprets markup."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from taskonomy.evaluation.stability import OTHER_IMAGES, crossing
from taskonomy.evaluation.studies import BEST, FULL, SINGLE
from taskonomy.policy import numbers
from taskonomy.report.figures import ACCENT, FAMILY_COLOURS, MUTED, below, by_family, label, plain
from taskonomy.tasks import Registry

ORANGE, GREEN, PURPLE = "#E69F00", "#009E73", "#CC79A7"
_WAYS = {BEST: (ACCENT, "circle"), SINGLE: (GREEN, "square"), FULL: (ORANGE, "diamond")}
_DRAWS = {"connections": (MUTED, "random sources and transfers"), "sources": (ORANGE, "random sources, best transfers")}


@dataclass(frozen=True)
class Study:
    """One experiment.

    Attributes:
        name: Anchor of its place in the page.
        title: Its heading.
        sentence: What the figure shows; plain text.
        figure: The figure.
        table: What it is drawn from.
    """

    name: str
    title: str
    sentence: str
    figure: go.Figure
    table: pd.DataFrame = field(default_factory=pd.DataFrame)


Draw = Callable[[pd.DataFrame], Study]


def studies(results: Path, experiments: Path | None, registry: Registry) -> Iterator[Study]:
    """Draw every experiment that has a table, in the order of the page.

    Args:
        results: Folder of the stage `studies`.
        experiments: Folder of `taskonomy experiments collect`; experiments that are missing there are left out.
        registry: Registry of tasks.
    """
    of_table: dict[str, Draw] = {"chance": _chance, "novel": partial(_novel, registry=registry), "orders": partial(_orders, registry=registry)}
    runs = {"regimes": _regimes, "ways": _ways, "stability": _stability}
    of_runs: dict[str, Draw] = {name: partial(one, registry=registry) for name, one in runs.items()}
    for folder, name, draw in (*((results, *one) for one in of_table.items()), *((experiments, *one) for one in of_runs.items())):
        if folder is None:
            continue
        path = folder / f"{name}.csv"
        if path.is_file() and len(table := pd.read_csv(path)):
            yield replace(draw(table), table=table)


def _chance(table: pd.DataFrame) -> Study:
    """Draw the policy against random ones by budget (figure 11 of the paper)."""
    measures = [name for name in ("gain", "quality") if (table["measure"] == name).any()]
    figure = make_subplots(cols=len(measures), subplot_titles=[f"mean {name}" for name in measures])
    for column, measure in enumerate(measures, 1):
        rows = table[table["measure"] == measure]
        for draw, (colour, title) in _DRAWS.items():
            some = rows[rows["draw"] == draw]
            band = {"fill": "toself", "fillcolor": colour, "opacity": 0.25, "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
            figure.add_scatter(
                x=[*some["budget"], *some["budget"][::-1]],
                y=[*some["random_high"], *some["random_low"][::-1]],
                mode="lines",
                **band,
                row=1,
                col=column,
            )
            line = {"color": colour, "dash": "dot" if draw == "sources" else "dash"}
            figure.add_scatter(x=some["budget"], y=some["random"], name=title, line=line, mode="lines", showlegend=column == 1, row=1, col=column)
        own = rows[rows["draw"] == "connections"]
        figure.add_scatter(
            x=own["budget"], y=own["policy"], name="the policy", line={"color": ACCENT, "width": 3}, mode="lines+markers", showlegend=column == 1,
            row=1, col=column,
        )  # fmt: skip
    figure.update_xaxes(title="supervision budget, tasks")
    figure.update_layout(height=360, legend=below(-0.25))
    gains = table[(table["measure"] == measures[0]) & (table["draw"] == "sources")]
    sure = int((gains["p_value"] < 0.01).sum())
    best = max(gains.to_dict("records"), key=lambda row: row["policy"] - row["random"])
    sentence = (
        f"At {sure} of {len(gains)} budgets the policy's {measures[0]} beats 99 % of policies that take the best transfers from random sources;"
        f" it leads most at budget {numbers.shown(best['budget'])}, {best['policy']:.2f} against {best['random']:.2f}."
        " Bands hold 90 % of the random policies. By the paper's rules: each source costs 1, and a labelled task is solved by a transfer from its own"
        " encoder."
    )
    return Study("chance", "The policy against chance, by budget", sentence, plain(figure))


def _novel(table: pd.DataFrame, registry: Registry) -> Study:
    """Draw novel tasks (figure 10 of the paper)."""
    names, titled = by_family(sorted(set(table["target"])), registry), partial(_label, registry=registry)
    figure = go.Figure()
    others = table[~table["way"].isin(_WAYS)]
    names_of = [titled(name) for name in others["way"]]
    figure.add_scatter(
        x=others["gain"], y=[titled(name) for name in others["target"]], mode="markers", name="self-supervised or random features", text=names_of,
        marker={"color": MUTED, "symbol": "line-ns-open", "size": 9}, hovertemplate="%{text}: %{x:.2f}",
    )  # fmt: skip
    for way, (colour, symbol) in _WAYS.items():
        rows = table[table["way"] == way]
        text = [" + ".join(map(titled, str(sources).split("+"))) for sources in rows["sources"]]
        figure.add_scatter(
            x=rows["gain"], y=[titled(name) for name in rows["target"]], mode="markers", name=way, text=text,
            marker={"color": colour, "symbol": symbol, "size": 9}, hovertemplate="%{text}: %{x:.2f}",
        )  # fmt: skip
    figure.add_vline(x=0.5, line={"dash": "dot", "color": MUTED}, annotation_text="shallow, on pixels")
    figure.update_layout(height=max(300, 130 + 24 * len(names)), legend=below(-0.12), xaxis={"title": "gain", "range": [-0.03, 1.03]})
    figure.update_yaxes(categoryorder="array", categoryarray=[titled(name) for name in names][::-1])
    gains = table.pivot_table(index="target", columns="way", values="gain")
    better = int((gains[BEST] > gains[[name for name in gains if name not in _WAYS]].max(axis=1)).sum()) if len(others) else 0
    sentence = (
        f"Were a task new, with labels for a transfer only, the best transfer from the other tasks would beat a shallow network on the"
        f" image on {100 * gains[BEST].mean():.0f} % of the images on average{_against_scratch(table)}"
        + (f", and every self-supervised or random feature on {better} of {len(gains)} tasks." if len(others) else ".")
    )
    return Study("novel", "Novel tasks", sentence, plain(figure))


def _against_scratch(table: pd.DataFrame) -> str:
    """Say how often the best transfers beat whole networks from scratch, where that was measured."""
    known = table.loc[table["way"] == BEST, "gain_scratch"] if "gain_scratch" in table else pd.Series(dtype=float)
    return "" if known.isna().all() else f" (its whole network from scratch on {100 * known.mean():.0f} %)"


def _orders(table: pd.DataFrame, registry: Registry) -> Study:
    titled = partial(_label, registry=registry)
    wide = {measure: table.pivot_table(index="target", columns="order", values=measure) for measure in ("gain", "quality")}
    figure = make_subplots(cols=2, subplot_titles=["gain", "quality"])
    for column, values in enumerate(wide.values(), 1):
        for name, row in values.iterrows():
            figure.add_scatter(
                x=list(row.index), y=list(row), mode="lines", line={"color": FAMILY_COLOURS[registry.family(str(name))], "width": 1}, opacity=0.6,
                name=titled(str(name)), showlegend=False, hovertemplate=f"{titled(str(name))}: %{{y:.2f}}<extra></extra>", row=1, col=column,
            )  # fmt: skip
        known = values.dropna().mean()
        figure.add_scatter(
            x=list(known.index),
            y=list(known),
            mode="lines+markers",
            line={"color": ACCENT, "width": 4},
            name="mean",
            showlegend=column == 1,
            row=1,
            col=column,
        )
    figure.update_xaxes(title="sources of one transfer", dtick=1)
    figure.update_layout(height=340, legend=below(-0.28))
    gain = wide["gain"].dropna().mean()
    sentence = "Every target has transfers of one source only."
    if len(gain) > 1:
        last, first = gain.index[-1], gain.index[0]
        rose = int((wide["gain"].dropna()[last] > wide["gain"].dropna()[first]).sum())
        sentence = (
            f"From {first} to {last} sources the mean gain of the best transfer goes from {gain[first]:.2f} to {gain[last]:.2f};"
            f" it rises for {rose} of {len(wide['gain'].dropna())} targets. Lines are targets, in the colour of their family."
        )
    return Study("orders", "More sources for one transfer", sentence, plain(figure))


def _regimes(table: pd.DataFrame, registry: Registry) -> Study:
    titled = partial(_label, registry=registry)
    # Tables of earlier versions had one gain, against scratch.
    against = "gain_scratch" if "gain_scratch" in table else "gain"
    wide = table.pivot_table(index="target", columns="images", values=against)
    images = wide.columns.to_numpy(dtype=np.float64)
    figure = go.Figure()
    for name, row in wide.iterrows():
        colour = FAMILY_COLOURS[registry.family(str(name))]
        hover = f"{titled(str(name))}: %{{y:.2f}}<extra></extra>"
        figure.add_scatter(
            x=images, y=list(row), mode="lines", line={"color": colour, "width": 1}, opacity=0.6, showlegend=False, hovertemplate=hover
        )
    mean = wide.mean().to_numpy(dtype=np.float64)
    figure.add_scatter(x=images, y=mean, mode="lines+markers", name="mean", line={"color": ACCENT, "width": 4})
    figure.add_hline(y=0.5, line={"dash": "dot", "color": MUTED}, annotation_text="from scratch", annotation_position="bottom right")
    figure.update_xaxes(type="log", tickvals=images, ticktext=[f"{one:g}" for one in images], title="labelled images of the target")
    figure.update_layout(height=360, yaxis={"title": "gain against scratch"}, legend=below(-0.25))
    found = [crossing(images, row) for row in wide.dropna().to_numpy(dtype=np.float64)]
    caught = [one for one in found if one is not None]
    sentence = (
        f"With {images[0]:g} images the best single source beats training from scratch on {100 * mean[0]:.0f} % of the test images,"
        f" with {images[-1]:g} on {100 * mean[-1]:.0f} %. For {len(caught)} of {len(found)} targets scratch catches up"
        + (f", at {np.median(caught):.0f} images in the median." if caught else " at no size that was tried.")
    )
    return Study("regimes", "How many labelled images a transfer needs", sentence, plain(figure))


def _ways(table: pd.DataFrame, registry: Registry) -> Study:
    titled = partial(_label, registry=registry)
    figure = go.Figure()
    for colour, kind in ((GREEN, "transitive"), (PURPLE, "fine-tuned")):
        rows = table[table["kind"] == kind]
        if len(rows):
            hover = [f"{titled(row.target)} from {titled(row.written)}" for row in rows.itertuples()]  # type: ignore[arg-type]
            symbol = "circle" if kind == "transitive" else "diamond"
            figure.add_scatter(
                x=rows["direct_gain"], y=rows["gain"], mode="markers", name=kind, text=hover, marker={"color": colour, "size": 8, "symbol": symbol},
                hovertemplate="%{text}: %{y:.2f} (plain %{x:.2f})<extra></extra>",
            )  # fmt: skip
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"dash": "dot", "color": MUTED})
    figure.update_xaxes(title="gain of the plain transfer from the same source", range=[-0.03, 1.03])
    figure.update_yaxes(title="gain", range=[-0.03, 1.03])
    figure.update_layout(height=420, legend=below(-0.22))
    said = []
    for kind in sorted(set(table["kind"])):
        rows = table[table["kind"] == kind]
        better = int((rows["gain"] > rows["direct_gain"]).sum())
        said.append(
            f"{kind} transfers do better on {better} of {len(rows)} (mean gain {rows['gain'].mean():.2f} against {rows['direct_gain'].mean():.2f})"
        )
    return Study("ways", "Other ways to transfer", f"Against the plain transfer from the same source, {' and '.join(said)}.", plain(figure))


def _stability(table: pd.DataFrame, registry: Registry) -> Study:
    titled = partial(_label, registry=registry)
    means = table.groupby("run")["spearman"].mean().sort_values()
    figure = go.Figure()
    for name in map(str, means.index):
        rows = table[table["run"] == name]
        figure.add_box(
            x=rows["spearman"], name=titled(name), boxpoints="all", jitter=0.4, pointpos=0, marker={"color": ACCENT, "size": 4},
            line={"width": 1},
            fillcolor="rgba(0,114,178,.12)", text=[registry.title(str(one)) for one in rows["target"]], showlegend=False, orientation="h",
        )  # fmt: skip
    figure.add_vline(x=0, line={"dash": "dot", "color": MUTED})
    figure.update_layout(height=110 + 52 * len(means), xaxis={"title": "rank correlation with the run's own sources", "range": [-1.03, 1.03]})
    rest = means.drop(index=OTHER_IMAGES, errors="ignore")
    said = ["Only the halves of the test images were compared."]
    if len(rest):
        most, least = (f"{name} (mean rank correlation {rest[name]:.2f})" for name in (rest.index[0], rest.index[-1]))
        said = [f"What changes the ranking of sources least is {least}, most {most}."]
    if OTHER_IMAGES in means:
        said.append(f"The same networks on the other half of the test images agree to {means[OTHER_IMAGES]:.2f}.")
    return Study("stability", "How stable the taxonomy is", " ".join(said), plain(figure))


def _label(name: str, registry: Registry) -> str:
    """Return a task's title, or the label of a run, escaped for plotly."""
    return label(registry.title(name))
