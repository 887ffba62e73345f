"""Draw the figures without controls in plotly. Names are escaped, as plotly interprets markup in labels."""

from collections.abc import Collection
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from scipy.cluster.hierarchy import dendrogram

from taskonomy.evaluation.tree import Tree, first_order
from taskonomy.tasks import BUILT_IN, FAMILIES, Registry

# Okabe and Ito's palette: distinguishable with any colour vision.
FAMILY_COLOURS = dict(zip(FAMILIES, ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#7f7f7f"), strict=True))
# Each colour also has a marker symbol, for readers who see no colours and for print.
FAMILY_MARKS = dict(zip(FAMILIES, "■●◆▲★✚", strict=True))
ACCENT, MUTED = "#0072B2", "#9aa5b1"


def below(y: float) -> dict[str, Any]:
    """Place a legend under a figure, its first row at this share of the height below the axis; further rows, on narrow screens, follow below."""
    return {"orientation": "h", "y": y, "yanchor": "top"}


def label(title: str) -> str:
    """Escape a title for plotly."""
    return escape(title)


def by_family(names: list[str], registry: Registry) -> list[str]:
    """Sort tasks for figures: by family, then by title."""
    families = list(FAMILIES)
    return sorted(names, key=lambda name: (families.index(registry.family(name)), registry.title(name)))


def affinity_matrix(table: pd.DataFrame, registry: Registry) -> pd.DataFrame:
    """Build the matrix of first-order affinities, targets x sources, both sorted for figures."""
    matrix = first_order(table)
    return matrix.loc[by_family(list(matrix.index), registry), by_family(list(matrix.columns), registry)]


def heat_map(matrix: pd.DataFrame, registry: Registry, worse: pd.DataFrame | None = None, imputed: Collection[tuple[str, str]] = ()) -> go.Figure:
    """Draw first-order affinities, each target's row relative to its best source (AHP affinities compare within a row only).

    Args:
        matrix: The affinities.
        registry: Tasks, with their titles.
        worse: Of the same form: which transfers are worse than the best constant; they are crossed out.
        imputed: (target, source) of the affinities that were not measured; they have a grey cross.
    """
    relative = matrix.div(matrix.max(axis=1), axis=0)
    # Rows span several powers of ten; from a thousandth of the best down, differences do not matter.
    shown = pd.DataFrame(np.log10(np.clip(relative.to_numpy(), 1e-3, 1)), matrix.index, matrix.columns)
    ticks = {"tickvals": [-3, -2, -1, 0], "ticktext": ["≤ 1/1000", "1/100", "1/10", "best"]}
    named = _with_titles(matrix, registry)
    figure = _matrix(shown, named, "affinity {:.4g} (row sums to 1)", (-3, 0), {"title": "of the<br>row's best", **ticks}, "Viridis")
    grey = [(row, column) for row, target in enumerate(matrix.index) for column, source in enumerate(matrix.columns) if (target, source) in imputed]
    red = [] if worse is None else np.argwhere(worse.to_numpy(bool)).tolist()
    for crossed, width, colour in ((grey, 1.0, MUTED), (red, 1.5, "#ff4d4d")):
        if crossed:
            rows, columns = zip(*crossed, strict=True)
            cross = {"symbol": "x-thin", "size": 7, "line": {"width": width, "color": colour}}
            figure.add_scatter(x=columns, y=rows, mode="markers", marker=cross, hoverinfo="skip", showlegend=False)
            figure.update_xaxes(range=[-0.5, matrix.shape[1] - 0.5])
            figure.update_yaxes(range=[len(matrix) - 0.5, -0.5], autorange=False)
    return figure


def loss_map(matrix: pd.DataFrame, registry: Registry) -> go.Figure:
    """Draw mean losses of first-order transfers, unscaled, in one colour scale over all rows: dark is low."""
    values = matrix.to_numpy(float)
    positive = values[values > 0]
    floor = float(positive.min()) if positive.size else 1e-6
    shown = pd.DataFrame(np.log10(np.clip(values, floor, None)), matrix.index, matrix.columns)
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    steps = np.linspace(low, max(high, low + 1e-6), 4)
    ticks = {"tickvals": steps.tolist(), "ticktext": [f"{10**one:.2g}" for one in steps]}
    named = _with_titles(matrix, registry)
    return _matrix(shown, named, "mean loss {:.4g}", (low, max(high, low + 1e-6)), {"title": "mean<br>loss", **ticks}, "Cividis")


def _with_titles(matrix: pd.DataFrame, registry: Registry) -> pd.DataFrame:
    """Name rows and columns by the titles of their tasks."""
    return matrix.set_axis(list(map(registry.title, matrix.index)), axis=0).set_axis(list(map(registry.title, matrix.columns)), axis=1)


def _matrix(shown: pd.DataFrame, values: pd.DataFrame, what: str, limits: tuple[float, float], bar: dict[str, Any], colours: str) -> go.Figure:
    hover = [
        [f"{label(source)} → {label(target)}<br>{what.format(value)}" for source, value in zip(values.columns, row, strict=True)]
        for target, row in zip(values.index, values.to_numpy().tolist(), strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=shown.to_numpy(),
            # Positions, not titles: two tasks may have the same title.
            x=list(range(values.shape[1])),
            y=list(range(len(values))),
            text=hover,
            hoverinfo="text",
            colorscale=colours,
            zmin=limits[0],
            zmax=limits[1],
            xgap=1,
            ygap=1,
            colorbar={**bar, "thickness": 10, "tickfont": {"size": 10}},
        )
    )
    size = 11 if len(values.columns) <= 30 else 9
    figure.update_layout(height=max(260, 190 + (20 if len(values) <= 30 else 15) * len(values)))
    figure.update_xaxes(
        tickvals=list(range(values.shape[1])), ticktext=[label(title) for title in values.columns], tickangle=-60, tickfont={"size": size}
    )
    figure.update_yaxes(
        tickvals=list(range(len(values))), ticktext=[label(title) for title in values.index], autorange="reversed", tickfont={"size": size}
    )
    return plain(figure)


def tree_figure(tree: Tree, registry: Registry = BUILT_IN) -> go.Figure:
    """Draw the similarity tree, root left, leaves coloured by family."""
    drawn = dendrogram(tree.merges, no_plot=True, labels=list(tree.tasks))
    lines_x: list[float | None] = []
    lines_y: list[float | None] = []
    for distance, position in zip(drawn["dcoord"], drawn["icoord"], strict=True):
        lines_x += [*distance, None]
        lines_y += [*position, None]
    leaves = drawn["ivl"]
    places = [5 + 10 * number for number in range(len(leaves))]
    figure = go.Figure(go.Scatter(x=lines_x, y=lines_y, mode="lines", line={"color": MUTED, "width": 1.6}, hoverinfo="skip"))
    marks = [f'<span style="color:{FAMILY_COLOURS[family]}">{FAMILY_MARKS[family]}</span>' for family in map(registry.family, leaves)]
    named = [f" {mark} {label(registry.title(name))}" for mark, name in zip(marks, leaves, strict=True)]
    deepest = max(map(max, drawn["dcoord"]))
    figure.update_xaxes(range=[1.03 * deepest, -0.02 * deepest], showgrid=False, zeroline=False, title="distance")
    figure.update_xaxes(tickvals=[0, deepest], tickformat=".2f", tickangle=0)  # on a phone, names leave no room for more
    # Ticks, as the margin grows with them: no name is cut.
    figure.update_yaxes(side="right", tickvals=places, ticktext=named, range=[-5, 10 * len(leaves) + 5], showgrid=False, zeroline=False)
    figure.update_layout(showlegend=False, height=max(240, 70 + 21 * len(leaves)))
    return plain(figure)


def significance_figure(significance: dict[str, Any], measure: str) -> go.Figure:
    """Draw the distribution of one measure over random policies, for both ways of drawing, with the chosen policy as a line."""
    figure = go.Figure()
    for draw, title, colour, pattern in (
        ("connections", "random sources and transfers", MUTED, ""),
        ("sources", "random sources, best transfers", "#E69F00", "/"),
    ):
        if measure not in (held := significance[draw]):
            continue
        edges, counts = np.array(held[measure]["histogram"]["edges"]), np.array(held[measure]["histogram"]["counts"])
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts / counts.sum(),
            width=np.diff(edges),
            name=title,
            marker={"color": colour, "line": {"width": 0}, "pattern": {"shape": pattern, "size": 5, "solidity": 0.4}},
            opacity=0.75,
        )
    value = next((significance[draw][measure]["policy"] for draw in significance if measure in significance[draw]), None)
    if value is not None:
        figure.add_vline(
            x=value, line={"color": ACCENT, "width": 3}, annotation_text="this policy", annotation_position="top", annotation_font_color=ACCENT
        )
    figure.update_layout(
        barmode="overlay",
        height=330,
        legend=below(-0.42),
        xaxis_title=measure if measure == "objective" else f"mean {measure}".replace("_scratch", " against scratch"),
        yaxis_title="share of policies",
    )
    figure.update_yaxes(showticklabels=False)
    return plain(figure)


def savings_figure(sets: pd.DataFrame) -> go.Figure:
    """Draw the quality of random sets of tasks against the labels they need: median and the middle 90 %."""
    grouped = sets.groupby("budget")
    labels = 100 * grouped["labels"].median()
    low, middle, high = (grouped["quality"].quantile(level) for level in (0.05, 0.5, 0.95))
    figure = go.Figure()
    figure.add_scatter(
        x=[*labels, *labels[::-1]],
        y=[*high, *low[::-1]],
        fill="toself",
        mode="lines",
        line={"width": 0},
        name="90 % of the sets",
        hoverinfo="skip",
        fillcolor="rgba(0,114,178,.18)",
    )
    figure.add_scatter(x=labels, y=middle, mode="lines+markers", name="median", line={"color": ACCENT})
    figure.add_hline(y=0.5, line={"dash": "dot", "color": MUTED}, annotation_text="full supervision", annotation_position="top left")
    figure.add_vline(x=100 / 3, line={"dash": "dot", "color": MUTED}, annotation_text="a third of the labels", annotation_position="bottom right")
    figure.update_layout(height=340, xaxis_title="labels, % of training each task by itself", yaxis_title="mean quality", legend=below(-0.25))
    return plain(figure)


def standalone(figure: go.Figure, title: str) -> str:
    """Build an offline page with one figure."""
    body = figure.to_html(full_html=False, include_plotlyjs=False)
    head = f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
    return f"{head}<script>{get_plotlyjs()}</script></head><body><h1 style='font-family:sans-serif'>{escape(title)}</h1>{body}</body></html>\n"


def plain(figure: go.Figure) -> go.Figure:
    """Set margins, fonts and a background that suit light and dark pages."""
    figure.update_layout(
        template="none",
        margin={"l": 10, "r": 10, "t": 26, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12},
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
