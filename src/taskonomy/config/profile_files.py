"""Find the files of profiles; nothing large is imported, so that a wrong name is said at once."""

from pathlib import Path

from taskonomy.errors import TaskonomyError, unknown
from taskonomy.parsing.user_text import visible

FOLDER = Path("profiles")


def known_profiles() -> dict[str, Path]:
    """Every profile: `tiny`, and `experiments/images-60` of a folder below."""
    files = {path.relative_to(FOLDER).with_suffix("").as_posix(): path for path in visible(FOLDER.rglob("*.yaml"))}
    return {name: path for name, path in files.items() if not name.startswith("references/")}


def profile_file(name: str) -> Path:
    """Return the file of a profile.

    Raises:
        TaskonomyError: There is no such profile.
    """
    profiles = known_profiles()
    if not profiles:
        raise TaskonomyError(f"profile {name!r}: there are no profiles here, no {FOLDER}/NAME.yaml")
    if name not in profiles:
        raise unknown("profile", [name], profiles)
    return profiles[name]
