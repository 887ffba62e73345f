"""From losses to words: oracles by brute force, and no trainings."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from taskonomy.new_task.learning_curve import Way
from taskonomy.new_task.query_page import page
from taskonomy.new_task.query_text import crossing, lines, verdict
from taskonomy.new_task.ranking import QueryResult, best_of_each_order, best_to_fine_tune, crossings, interval
from taskonomy.tasks import BUILT_IN

SIZES = (200, 500, 1000, 2000)


def curve(transfer, tuned=None, sizes=SIZES) -> pd.DataFrame:
    """Gains of a transfer and, where given, of a fine-tuned network, beside the one from scratch."""
    gains = {"transfer": transfer, "scratch": [0.5] * len(sizes)} | ({} if tuned is None else {"fine-tuned": tuned})
    sources = {"transfer": "normal+reshading", "scratch": "scratch", "fine-tuned": "normal"}
    rows = [
        {"way": way, "sources": sources[way], "images": size, "loss": 1 - gain, "loss_low": 0.9 - gain, "loss_high": 1.1 - gain}
        | {"gain": gain, "gain_low": gain - 0.1, "gain_high": gain + 0.1}
        for way, values in gains.items()
        for size, gain in zip(sizes, values, strict=True)
    ]
    return pd.DataFrame(rows)


def found(held: pd.DataFrame, target="class_scene", singles=("normal", "reshading")) -> QueryResult:
    sets = [(name,) for name in singles] + [tuple(singles)]
    affinity = np.linspace(0.5, 0.1, len(sets))
    ranking = pd.DataFrame({"sources": sets, "order": [len(one) for one in sets], "affinity": affinity})
    ranking = ranking.assign(low=affinity / 2, high=affinity * 1.5, best_of_order=0.5, gain=0.6, gain_held_out=0.6)
    samples = {"ranking": 500, "labelled": 2000, "validation": 100, "test_affinity": 250, "test_policy": 250}
    return QueryResult(target, ranking, best_of_each_order(ranking), held, crossings(held), samples, BUILT_IN)


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6))
def test_a_crossing_is_where_the_line_through_the_points_meets_one_half(gains):
    assume(all(abs(gain - 0.5) > 1e-6 for gain in gains))
    sizes = tuple(100 * 2**number for number in range(len(gains)))
    points = crossings(curve(gains, sizes=sizes))["transfer"]
    sides = [gain > 0.5 for gain in gains]
    assert len(points) == sum(one != other for one, other in pairwise(sides))
    for point in points:
        assert np.interp(np.log(point), np.log(sizes), gains) == pytest.approx(0.5)


def test_a_draw_is_a_crossing_only_where_the_curve_goes_on_to_the_other_side():
    assert crossings(curve([0.6, 0.5, 0.4, 0.3]))["transfer"] == [pytest.approx(500)]
    assert crossings(curve([0.6, 0.5, 0.5, 0.3]))["transfer"] == [pytest.approx(500)]
    for gains in ([0.7, 0.6, 0.5, 0.5], [0.6, 0.5, 0.6, 0.6], [0.5, 0.5, 0.6, 0.6]):
        assert crossings(curve(gains))["transfer"] == []


def test_an_interval_is_that_of_means_over_images_drawn_with_replacement():
    values = np.random.default_rng(0).normal(size=(2, 40))
    low, high = interval(values, 100, 0.9, np.random.default_rng(1))
    drawn = np.random.default_rng(1)
    means = []
    for size in (64, 36):
        for counts in drawn.multinomial(40, np.full(40, 1 / 40), size=size):
            means.append([np.repeat(row, counts).mean() for row in values])
    np.testing.assert_allclose(low, np.quantile(means, 0.05, axis=0))
    np.testing.assert_allclose(high, np.quantile(means, 0.95, axis=0))
    assert np.isnan(interval(values, 0, 0.9, drawn)).all()


def test_only_an_encoder_that_reads_what_the_target_reads_is_fine_tuned():
    ranking = pd.DataFrame({"sources": [("colorization",), ("colorization", "normal"), ("normal",)]})
    assert best_to_fine_tune(ranking, "class_scene", BUILT_IN) == "normal"
    assert best_to_fine_tune(ranking.head(2), "class_scene", BUILT_IN) is None


def test_the_sentence_names_the_way_that_wins_most_with_all_samples():
    assert verdict(found(curve([0.9, 0.8, 0.7, 0.62], [0.4, 0.5, 0.6, 0.81]))) == (
        "Fine-tune Surface normals: with 2,000 labelled samples that beats training from scratch"
        " on 81\u00a0% of the held-out images (71\u00a0% to 91\u00a0%)."
    )
    assert verdict(found(curve([0.9, 0.8, 0.7, 0.55]))).startswith("Transfer from Surface normals + Reshading: with 2,000")
    assert verdict(found(curve([0.9, 0.8, 0.7, 0.55]))).endswith(", which may be chance.")
    assert verdict(found(curve([0.9, 0.8, 0.7, 0.4], [0.4] * 4))) == "With 2,000 labelled samples nothing beats training from scratch."


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ([0.9, 0.8, 0.7, 0.6], "The transfer is better than training from scratch at every size from 200 to 2,000 labelled samples."),
        ([0.4, 0.3, 0.2, 0.1], "The transfer is worse than training from scratch at every size from 200 to 2,000 labelled samples."),
        ([0.9, 0.8, 0.7, 0.5], "The transfer is as good as or better than training from scratch at every size from 200 to 2,000 labelled samples."),
        ([0.9, 0.6, 0.4, 0.3], "The transfer is better than training from scratch up to about 707 labelled samples, and worse with more."),
        ([0.4, 0.4, 0.4, 0.6], "The transfer is better than training from scratch from about 1,414 labelled samples on."),
        ([0.6, 0.4, 0.6, 0.6], "The transfer starts out better than training from scratch; the two cross at about 316, 707 labelled samples."),
    ],
)
def test_what_is_said_of_a_crossing(gains, said):
    assert crossing(found(curve(gains)), Way.TRANSFER) == said
    assert crossing(found(curve(gains)), Way.FINE_TUNED) == ""


def test_the_terminal_shows_every_order_and_size():
    text = "\n".join(lines(found(curve([0.9, 0.8, 0.7, 0.6], [0.5, 0.6, 0.7, 0.8]))))
    for part in ("normal + reshading", "2,000", "fine-tuned, gain", "0.80 (0.70-0.90)", "best single sources: normal 0.5000, reshading 0.3000"):
        assert part in text


def test_words_page_and_json_say_what_is_used_as_it_is_under_which_licence():
    """Of the best sets of each order alone, and of no task of the run."""
    about = {"dino": {"licence": "Apache-2.0", "inference": 5500.5}, "swav": {"licence": "", "inference": 1.0}}
    held = replace(found(curve([0.9, 0.8, 0.7, 0.6]), singles=("normal", "dino")), external=about)
    said = "dino is used as it is: no labels; licence Apache-2.0; 5,500.5 million multiply-adds an image."
    assert said in lines(held)
    assert said in page(held)
    assert "swav" not in page(held)
    assert held.as_dict()["use_as_they_are"] == {"dino": about["dino"]}
    assert "use_as_they_are" not in found(curve([0.9, 0.8, 0.7, 0.6])).as_dict()


def test_a_page_is_whole_offline_and_holds_no_markup_of_names():
    html = page(found(curve([0.9, 0.8, 0.7, 0.6], [0.5, 0.6, 0.7, 0.8]), target="<b>mine</b>", singles=("<i>a</i>", "</script><script>alert(1)")))
    own = re.sub(r"<script>(?s:.){100000,}?</script>", "", html)  # plotly's own code
    for bad in ("<b>mine", "<i>a", "<script>alert"):
        assert bad not in own
    assert "&lt;b&gt;mine" in own
    assert not re.search(r"(src|href)=", own)
    for name in ("order-1", "order-2", "loss", "gain"):
        assert f'<div id="{name}"></div>' in own


def test_a_page_without_intervals_or_fine_tuning_still_draws():
    held = found(curve([0.9, 0.8, 0.7, 0.6]))
    ranking = held.ranking.assign(low=np.nan, high=np.nan, best_of_order=np.nan)
    html = page(QueryResult(held.target, ranking, held.best, held.curve, held.crossings, held.samples, held.registry))
    assert "fine-tuned: gain" not in html
    assert "Surface normals" in html
