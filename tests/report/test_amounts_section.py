"""What the report shows of a run with several amounts of labels."""

import pytest
from test_sections import FACTS
from tiny import profile

from taskonomy.report.inputs import images_of_run


@pytest.mark.parametrize(("images", "counted"), [(8, (30, 8)), ([2, 4, 8], (30, 8)), ([4, 12], (30, 9))])
def test_labels_are_counted_by_the_largest_amount_of_a_transfer(images: object, counted: tuple[int, int]) -> None:
    facts = {**FACTS, "params": {"transfer": {"images": images}}}
    assert images_of_run(facts, profile()) == counted
