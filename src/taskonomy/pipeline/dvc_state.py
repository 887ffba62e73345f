"""Keep DVC's state (its memory of file hashes) inside the project; by default it lies in /var/tmp/dvc, a folder that every user can write to.

DVC resolves a relative path against the current folder (and `dvc exp run --temp` fails with one), so each clone gets an absolute path in
.dvc/config.local, which DVC passes on to the workspaces of `--temp`. The clone brings the folder itself: DVC would create one that everyone can
write to.
"""

import os
from pathlib import Path

STATE = "state"  # in .dvc
IGNORE = "# Here, so that git makes this folder: DVC would make one that everybody can write.\n*\n!.gitignore\n"
_SETTING, _VARIABLE = "site_cache_dir", "DVC_SITE_CACHE_DIR"
_OTHERS = 0o002  # permission bit: others may write


def keep_state_in(dvc: Path) -> None:
    """Set DVC's state folder of a project, unless the user configured another one; a project that was moved or copied gets its own.

    Args:
        dvc: The project's folder `.dvc`.

    Raises:
        ConfigError: A file of DVC's configuration is damaged.
    """
    from taskonomy.dvc_internals import Config

    state = dvc.absolute() / STATE
    config = Config(str(dvc), validate=False)
    wanted = config.get("core", {}).get(_SETTING)
    if os.environ.get(_VARIABLE, str(state)) != str(state) or (wanted is not None and Path(wanted).parts[-2:] != state.parts[-2:]):
        return
    (state / "repo").mkdir(parents=True, exist_ok=True)
    for folder in (state, state / "repo"):
        if (mode := folder.stat().st_mode) & _OTHERS:
            folder.chmod(mode & ~_OTHERS)
    if not (state / "repo/.gitignore").exists():
        (state / "repo/.gitignore").write_text(IGNORE)
    if wanted != str(state):
        with config.edit("local", validate=False) as local:
            local.setdefault("core", {})[_SETTING] = str(state)
