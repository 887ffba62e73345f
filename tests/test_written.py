"""Names, numbers and folders as people write them: what is one name, what is a number, and what is nobody's data."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskonomy.parsing.user_text import is_hidden, names_in, normal, number, visible, whole


@given(st.text())
def test_two_unicode_forms_of_one_name_are_one_name(name: str) -> None:
    forms = {unicodedata.normalize(form, name) for form in ("NFC", "NFD")}
    assert {normal(form) for form in forms} == {unicodedata.normalize("NFC", name)}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_python_writes_is_read_to_the_last_bit(value: float) -> None:
    assert number(repr(value)) == value


@given(st.integers())
def test_every_whole_number_that_python_writes_is_read(value: int) -> None:
    assert whole(str(value)) == value


@pytest.mark.parametrize("text", ["1_000", "１０", "١٢", "1٫5", "0.５", "१", "1e１"])
def test_underscores_and_digits_of_other_scripts_are_no_numbers(text: str) -> None:
    for read in (number, whole):
        with pytest.raises(ValueError, match=r"must be a (whole )?number") as error:
            read(text)
        assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["", "one", "0,5", "1 000", "1.2.3", "0x10", "5%", "--1", "1e", "\N{MINUS SIGN}1", "1\n2"])
def test_what_is_no_number_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        number(text)


def test_names_are_listed_with_commas_or_as_transfers_are_printed() -> None:
    assert names_in("b + c") == ("b", "c")
    assert names_in(" normal,, reshading+cafe\N{COMBINING ACUTE ACCENT} ,") == ("normal", "reshading", "caf\N{LATIN SMALL LETTER E WITH ACUTE}")


def test_files_of_systems_are_nobodys_data(tmp_path: Path) -> None:
    for name in ("b.png", "._b.png", ".DS_Store", "Thumbs.db", "desktop.ini", "Desktop.ini", "a.png"):
        (tmp_path / name).touch()
    (tmp_path / "__MACOSX").mkdir()
    assert [path.name for path in visible(tmp_path.iterdir())] == ["a.png", "b.png"]
    assert not is_hidden("thumbs.db.png")
