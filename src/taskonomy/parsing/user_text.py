"""Normalise names, numbers and folders as people and their machines write them, and tell which files are not data."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# Files that systems leave in folders, besides those that begin with a dot; lower case, as their case varies.
_OF_SYSTEMS = frozenset({
    "$recycle.bin", "@eadir", "__macosx", "desktop.ini", "ehthumbs.db", "icon\r", "lost+found", "system volume information", "thumbs.db",
})  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_OTHERWISE = ", written with the digits 0-9 and without underscores"
_NO_NUMBERS = frozenset({"nan", "inf", "infinity"})


def normal(name: str) -> str:
    """Return a name's Unicode normal form (NFC): macOS writes an accented letter of a file name as two characters, but the name is the same."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def names_in(text: str) -> tuple[str, ...]:
    """Split a list of names at commas, or at + as transfers are printed."""
    return tuple(normal(name.strip()) for name in re.split(r"[,+]", text) if name.strip())


def number(text: str) -> float:
    """Parse a number with the digits 0-9, a point and an exponent; also `nan` and `inf`, for which callers have their own errors.

    Python itself also accepts underscores, and the digits of every script.

    Raises:
        ValueError: Anything else; the message says what is expected and what was given.
    """
    if _NUMBER.fullmatch(text):
        return float(text)
    given = text.strip()
    if _NUMBER.fullmatch(given) or given.lower().lstrip("+-") in _NO_NUMBERS:
        return float(given)
    raise ValueError(f"must be a number{_OTHERWISE if _reads(given) else ''} (is {text!r})")


def whole(text: str) -> int:
    """Parse an integer written with the digits 0-9.

    Raises:
        ValueError: Anything else; the message says what is expected and what was given.
    """
    given = text.strip()
    if not re.fullmatch(r"[+-]?\d+", given, re.ASCII):
        raise ValueError(f"must be a whole number{_OTHERWISE if _reads(given) else ''} (is {text!r})")
    return int(given)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is not data: its name begins with a dot, or is one that systems create."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def visible(paths: Iterable[Path]) -> list[Path]:
    """Return the paths that are data, sorted."""
    return sorted(path for path in paths if not is_hidden(path.name))


def _reads(text: str) -> bool:
    """Return whether Python would parse the text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
