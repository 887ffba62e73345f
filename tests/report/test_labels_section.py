"""The part of the report that counts labels."""

from typing import Any

from test_sections import FACTS, measured_page, text_of

FULL = {"train": 30, "transfer": 40, "validation": 20, "test_affinity": 50, "test_policy": 50}


def page(**data: Any) -> str:
    return text_of(measured_page(facts={**FACTS, "data": {**FACTS["data"], "views": FULL, "buildings": dict.fromkeys(FULL, 4), **data}}))


def test_where_every_image_has_every_label_and_there_are_enough_nothing_is_said() -> None:
    assert "Labelled images" not in page()


def test_few_images_are_always_told() -> None:
    told = page(views={**FULL, "test_policy": 16})
    assert "Every image has every label, and there are few of them." in told
    # By hand: 1.96 * sqrt(1/4 / 16) is 24.5 %.
    assert "Every task: 16 labelled in test_policy: shares of so few are known to 24 percentage points on either side" in told


def test_labels_of_some_images_are_counted_by_task() -> None:
    told = page(labelled={"normal": FULL, "reshading": {**FULL, "train": 17, "validation": 9}})
    assert "1 task of 2 has labels of some images only" in told
    assert "Reshading 17 40 9 50 50" in " ".join(told.split())
    assert "Reshading: 17 labelled in train: little can be learned from so few" in told
    assert "Reshading: 9 labelled in validation: a loss over so few says little" in told
    assert "Surface normals:" not in told
