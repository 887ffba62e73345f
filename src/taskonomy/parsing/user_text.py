"""Names, numbers and folders as people and their machines write them: what is one name, what is a number, and which files are nobody's data."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# What systems leave in folders beside what begins with a dot; in lower case, as they are found in any.
_OF_SYSTEMS = frozenset({
    "$recycle.bin", "@eadir", "__macosx", "desktop.ini", "ehthumbs.db", "icon\r", "lost+found", "system volume information", "thumbs.db",
})  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_OTHERWISE = ", written with the digits 0-9 and without underscores"
_NO_NUMBERS = frozenset({"nan", "inf", "infinity"})


def normal(name: str) -> str:
    """A name's normal form (Unicode NFC): an accent may be a letter's own or a sign of its own, as macOS writes file names; the name is one."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def names_in(text: str) -> tuple[str, ...]:
    """The names of a list, separated by commas, or by + as transfers are printed."""
    return tuple(normal(name.strip()) for name in re.split(r"[,+]", text) if name.strip())


def number(text: str) -> float:
    """A number as it is written in every country: digits 0-9, a point, an exponent; also `nan` and `inf`, for which callers have words of their own.

    Python takes more for one: underscores, and the digits of every script.

    Raises:
        ValueError: Anything else; what it must be, and what it is.
    """
    if _NUMBER.fullmatch(text):
        return float(text)
    given = text.strip()
    if _NUMBER.fullmatch(given) or given.lower().lstrip("+-") in _NO_NUMBERS:
        return float(given)
    raise ValueError(f"must be a number{_OTHERWISE if _reads(given) else ''} (is {text!r})")


def whole(text: str) -> int:
    """A whole number, written with the digits 0-9.

    Raises:
        ValueError: Anything else; what it must be, and what it is.
    """
    given = text.strip()
    if not re.fullmatch(r"[+-]?\d+", given, re.ASCII):
        raise ValueError(f"must be a whole number{_OTHERWISE if _reads(given) else ''} (is {text!r})")
    return int(given)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is nobody's data: its name begins with a dot, or is one that systems give."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def visible(paths: Iterable[Path]) -> list[Path]:
    """Those that are somebody's, sorted."""
    return sorted(path for path in paths if not is_hidden(path.name))


def _reads(text: str) -> bool:
    """Whether Python would take it for a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
