"""Noise of training: the same transfers from several seeds, against computations written here."""

import numpy as np
import pandas as pd
import pytest

from taskonomy.affinity.losses_file import Losses
from taskonomy.affinity.measure import Normalization, measure
from taskonomy.affinity.noise import deviations, networks_by_seed, transfers_by_seed

NAMES = ["a", "b", "c", "a+b", "self"]


def losses(seed: int = 0) -> Losses:
    rng = np.random.default_rng(seed)
    numbers = rng.gamma(2, 1, (5, 60))
    return Losses("t", NAMES, numbers, *(rng.gamma(2, 1, 60) for _ in range(3)))


def test_another_seed_stands_among_all_other_candidates_as_they_are() -> None:
    data, rng = losses(), np.random.default_rng(1)
    others = {"a": [rng.gamma(2, 1, 60) for _ in range(2)], "c": [rng.gamma(2, 1, 60) for _ in range(2)]}
    found = transfers_by_seed(data, others, Normalization.AHP).set_index(["source", "seed"])
    assert sorted(found.index) == [(name, seed) for name in "ac" for seed in range(3)]
    for seed in range(3):
        numbers = data.losses.copy()
        if seed:
            numbers[0], numbers[2] = others["a"][seed - 1], others["c"][seed - 1]
        rows = measure(Losses("t", NAMES, numbers, data.scratch, data.pixels, data.average), resamples=0).rows
        for place, name in ((0, "a"), (2, "c")):
            assert found.loc[(name, seed), "affinity"] == rows["affinity"][place]
            assert found.loc[(name, seed), "gain"] == np.mean(numbers[place] < data.pixels)
            assert found.loc[(name, seed), "beats_constant"] == np.mean(numbers[place] < data.average)
    assert not np.shares_memory(data.losses, numbers)
    np.testing.assert_array_equal(data.losses, losses().losses)


def test_deviations_are_those_between_seeds_pooled_and_those_between_sources_of_means() -> None:
    gains = {"a": [0.6, 0.7, 0.8], "b": [0.2, 0.2, 0.5]}
    rows = [
        {"target": "t", "source": name, "seed": k, "affinity": np.exp(value), "gain": value}
        for name, of in gains.items()
        for k, value in enumerate(of)
    ]
    own = networks_by_seed("t", [np.zeros(4), np.array([0.0, 0, 2, 2])], np.ones(4))
    found = deviations(pd.concat([pd.DataFrame(rows), own]).reindex(columns=own.columns))
    assert (found["transfers"]["count"], found["transfers"]["seeds"]) == (2, 3)
    pooled = np.sqrt(np.mean([np.var(of, ddof=1) for of in gains.values()]))
    assert found["transfers"]["gain"] == pytest.approx(pooled)
    assert found["transfers"]["affinity"] == pytest.approx(pooled)
    assert found["transfers"]["between_sources"] == pytest.approx(np.std([0.7, 0.3], ddof=1))
    assert found["networks"] == {"count": 1, "seeds": 2, "beats_constant": pytest.approx(np.std([1.0, 0.5], ddof=1))}
    assert deviations(own.iloc[:0]) == {}
