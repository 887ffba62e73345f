"""Affinities of transfers that a screen left untrained: imputed from the screen's scores, with an interval, and marked.

On the transfers that were measured, the logarithm of the affinity is a straight line of the logarithm of the score that never falls, plus noise; the
others are read off that line. Their interval is the prediction interval of such a regression (Student's t), so a screen that says little about
a target's transfers gives wide ones.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.stats import t as student

from taskonomy.errors import TaskonomyError
from taskonomy.tables.table import SELF

SCREEN = "screen.json"


def read_scores(path: Path) -> dict[str, float]:
    """Read the scores of a target's sources, as the stage `transfer` wrote them; none where there was no screen.

    Raises:
        TaskonomyError: The file is damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        scores = {str(name): float(score) for name, score in values["scores"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TaskonomyError(f"{path}: not readable ({error}); remove it, and run `transfer` again") from None
    if wrong := [name for name, score in scores.items() if not (np.isfinite(score) and score > 0)]:
        raise TaskonomyError(f"{path}: the score of {wrong[0]} must be above 0 (is {scores[wrong[0]]}); remove it, and run `transfer` again")
    return scores


def with_imputed(rows: pd.DataFrame, scores: dict[str, float], confidence: float = 0.95) -> pd.DataFrame:
    """Add a row for each source with a score that was not measured by itself.

    The affinities of a target sum to 1 over all its rows, so those that were measured are scaled down by what the others take. Their ratios
    stay, and targets with and without a screen have affinities of one scale.

    Args:
        rows: The measured rows of one target.
        scores: Source -> score; empty: nothing is added.
        confidence: Share of such affinities that an interval should hold.

    Returns:
        The rows with a column `imputed`, first those that were measured. An imputed row has neither gain nor quality; it has no affinity, and no
        interval, where fewer than three measured transfers have a score and an affinity above 0.
    """
    rows = rows.assign(imputed=False)
    alone = {sources[0]: affinity for sources, affinity in zip(rows["sources"], rows["affinity"], strict=True) if len(sources) == 1}
    missing = sorted(scores.keys() - alone.keys())
    if not missing:
        return rows
    known = [name for name in sorted(scores.keys() & alone.keys()) if name != SELF and alone[name] > 0]
    at = np.log([scores[name] for name in missing])
    if len(known) < 3:
        found = np.full((3, len(missing)), np.nan)
    else:
        found = predicted(np.log([scores[name] for name in known]), np.log([alone[name] for name in known]), at, confidence)
    found = np.exp(np.minimum(found, 50.0))  # what is cut here is far above 1, the most that an affinity can be
    total = 1 + float(np.nansum(found[0]))
    names = {"target": rows["target"].iloc[0], "sources": [(name,) for name in missing], "imputed": True}
    added = pd.DataFrame({**names, **dict(zip(("affinity", "low", "high"), found, strict=True))})
    both = pd.concat([rows, added], ignore_index=True)
    numbers = [name for name in ("affinity", "low", "high") if name in both]
    return both.assign(**{name: np.minimum(both[name] / total, 1.0) for name in numbers})


def predicted(
    inputs: Float64[np.ndarray, " known"], outputs: Float64[np.ndarray, " known"], at: Float64[np.ndarray, " new"], confidence: float
) -> Float64[np.ndarray, "3 new"]:
    """Fit a straight line that does not fall, by least squares, and predict single new values: expected, lowest and highest.

    Args:
        inputs: At least three.
        outputs: One for each.
        at: New inputs.
        confidence: Share of new values between the lowest and the highest, if residuals are normal.
    """
    count, centre = len(inputs), inputs.mean()
    spread = float(((inputs - centre) ** 2).sum())
    slope = float(((inputs - centre) * outputs).sum()) / spread if spread > 0 else 0.0
    rising = slope > 0
    slope = max(slope, 0.0)
    residuals = outputs - outputs.mean() - slope * (inputs - centre)
    freedom = count - 1 - rising
    variance = float((residuals**2).sum()) / freedom
    leverage = 1 / count + (((at - centre) ** 2) / spread if rising else 0.0)
    expected = outputs.mean() + slope * (at - centre)
    width = student.ppf((1 + confidence) / 2, freedom) * np.sqrt(variance * (1 + leverage))
    return np.stack([expected, expected - width, expected + width])
