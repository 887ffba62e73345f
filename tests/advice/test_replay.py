"""Labels bought in rounds: what a rule knows, what it may spend, and what a good one finds."""

import numpy as np
import pytest

from taskonomy.advice import replay as rules
from taskonomy.advice.replay import Market, MeasuredAmounts, replay
from taskonomy.affinity.over_amounts import AmountLosses

AMOUNTS = (15, 30, 60, 120, 240, 480)
TESTS = 120
# Loss with n images: floor + scale n^-slope. More labels of the first help a lot; the second is as good as it gets.
LAWS = {"normal": (0.1, 8.0, 0.9), "class_scene": (0.5, 0.001, 0.5)}


def _half(target: str, seed: int) -> AmountLosses:
    floor, scale, slope = LAWS[target]
    rng = np.random.default_rng(seed)
    hard = rng.lognormal(0, 0.3, TESTS)  # images differ in how hard they are, for all networks alike
    names, images, losses = [], [], []
    for amount in AMOUNTS:
        for name, worse in (("a_elsewhere", 1.0), ("b_elsewhere", 1.2), ("self", 1.6), ("pixels", 2.0)):
            names.append(name)
            images.append(amount)
            losses.append((floor + worse * scale * amount**-slope) * hard * rng.lognormal(0, 0.05, TESTS))
    names.append("self")
    images.append(0)
    losses.append((floor + 0.05) * hard * rng.lognormal(0, 0.3, TESTS))
    return AmountLosses(target, names, np.array(images), np.stack(losses), np.full(TESTS, 3.0))


@pytest.fixture(scope="module")
def market() -> Market:
    halves = {target: (_half(target, 1), _half(target, 2)) for target in LAWS}
    groups = dict.fromkeys(LAWS, np.repeat(np.arange(12), TESTS // 12))
    measured = MeasuredAmounts(halves, groups, ("a_elsewhere", "b_elsewhere"))
    return Market(measured, {"normal": 0.5, "class_scene": 0.5}, AMOUNTS)


def test_nothing_beyond_the_labels_is_known(market: Market) -> None:
    table = market.table("normal", 60)
    assert set(table["images"]) == {15, 30, 60}  # no network on more, and not the full one, whose images are not counted
    assert table["quality"].isna().all()
    assert set(market.losses("normal", 60)["images"]) == {15, 30, 60}


def test_the_quality_is_of_the_best_by_the_half_that_is_seen(market: Market) -> None:
    rows = market.table("normal", 120)
    best = rows.loc[rows["affinity"].idxmax()]
    other = market.measured.halves["normal"][1]
    chosen = other.losses[[place for place, name in enumerate(other.names) if name == best["sources"][0] and other.images[place] == best["images"]]][
        0
    ]
    assert market.quality("normal", 120) == pytest.approx((chosen < other.losses[-1]).mean())


@pytest.mark.parametrize("rule", [rules.by_advice(), rules.evenly, rules.alike, rules.by_chance(0), rules.in_hindsight])
def test_no_rule_spends_more_than_it_was_given_and_labels_are_never_lost(market: Market, rule: rules.Rule) -> None:
    found = replay(market, rule, 60, 70.0, 6)
    assert (found["spent"] <= found["given"] + 1e-9).all()
    images = found[list(LAWS)]
    assert (images.diff().dropna() >= 0).all().all()
    assert set(images.to_numpy().ravel()) <= set(AMOUNTS)
    costs = sum((images[target] - 60) * market.prices[target] for target in LAWS)
    assert np.allclose(costs, found["spent"])


def test_advice_buys_what_improves(market: Market) -> None:
    found = replay(market, rules.by_advice(), 60, 0.5 * 180, 1)
    assert found["normal"].iloc[-1] == 240
    assert found["class_scene"].iloc[-1] == 60
    assert replay(market, rules.in_hindsight, 60, 0.5 * 180, 1)["normal"].iloc[-1] == 240


def test_the_plain_rules_share_the_money(market: Market) -> None:
    dear = Market(market.measured, {"normal": 2.0, "class_scene": 0.5}, AMOUNTS)
    same_number = replay(dear, rules.alike, 60, 2.5 * 60, 1).iloc[-1]
    assert (same_number["normal"], same_number["class_scene"]) == (120, 120)
    same_money = replay(dear, rules.evenly, 60, 240.0, 1).iloc[-1]
    assert (same_money["normal"], same_money["class_scene"]) == (120, 240)


def test_a_rule_that_spends_too_much_is_refused(market: Market) -> None:
    with pytest.raises(ValueError, match="spent 420 of 10"):
        replay(market, lambda market, labelled, money: dict.fromkeys(labelled, 480), 60, 10.0, 1)
