"""Maps with holes, as people see them."""

from dataclasses import replace

import numpy as np
import pytest

from taskonomy.tasks.custom_tasks import CustomMap
from taskonomy.tasks.visualize import PAPER, Sample, label_picture

SIDE = 48
KNOWN = np.indices((SIDE, SIDE)).sum(0) % 7 > 0


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_hole_is_blank_in_the_label_and_its_values_change_nothing_else(channels: int) -> None:
    task = CustomMap(kind="map", channels=channels, missing="nan").entry("bright")
    values = np.random.default_rng(0).uniform(-0.5, 0.5, (SIDE, SIDE, channels))
    label = Sample(values, [], None, SIDE, known=KNOWN)
    picture = label_picture(task, label)
    assert (picture[~KNOWN] == PAPER).all()
    other = np.where(KNOWN[..., None], values, 1.0)
    np.testing.assert_array_equal(label_picture(task, replace(label, target=other)), picture)
    assert (label_picture(task, replace(label, known=None))[KNOWN] != PAPER).any()


def test_a_prediction_has_no_hole_and_the_colours_of_what_is_known() -> None:
    task = CustomMap(kind="map", channels=1, missing=0).entry("bright")
    truth = np.where(KNOWN, np.linspace(0.2, 0.4, SIDE), -1.0)[..., None]
    drawn = label_picture(task, Sample(truth, [], None, SIDE, known=KNOWN))
    predicted = label_picture(task, Sample(truth, [], None, SIDE, like=truth, known=KNOWN))
    np.testing.assert_array_equal(predicted[KNOWN], drawn[KNOWN])
    assert (predicted[~KNOWN] != PAPER).any(1).all()
