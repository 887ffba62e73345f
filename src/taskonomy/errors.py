"""Define errors for the person who can correct them: one line that names the file or key and says what would be right."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

FEW = 8  # so many names are listed also where the nearest is clear


class TaskonomyError(Exception):
    """An error that the user can correct: bad input, an infeasible request, a damaged file."""


@contextmanager
def one_line() -> Iterator[None]:
    """Turn expected failures into one line on standard error and exit status 1.

    A full disk or an unreadable file (`OSError`) is expected too; anything else is a bug in this package and keeps its traceback.
    """
    try:
        yield
    except TaskonomyError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{error.strerror or error}")
    except Exception as error:
        if not _is_full_database(error):
            raise
        sys.exit("error: .dvc/state, or where core.site_cache_dir of DVC's configuration says: No space left on device")


def _is_full_database(error: Exception) -> bool:
    """Return whether DVC found no room for its database; sqlite is not loaded to find out."""
    sqlite = sys.modules.get("sqlite3")
    return sqlite is not None and isinstance(error, sqlite.OperationalError) and "is full" in str(error)


def unknown(what: str, names: Iterable[str], known: Iterable[str]) -> TaskonomyError:
    """Build an error that names unknown names, with the nearest known name of each; all known names where one has none near, or they are few."""
    known = sorted(known)
    near = {name: get_close_matches(name, known, n=1) for name in names}
    parts = [f"{name!r} (did you mean {found[0]!r}?)" if found else repr(name) for name, found in near.items()]
    listed = "" if all(near.values()) and len(known) > FEW else f"; known: {', '.join(known)}"
    return TaskonomyError(f"{what}: unknown {', '.join(parts)}{listed}")
