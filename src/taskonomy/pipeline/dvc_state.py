"""What DVC remembers of files lies in the project: by itself, DVC keeps it in /var/tmp/dvc, a folder that every user of the machine can write.

DVC takes a relative path from whatever folder it is called in (and `dvc exp run --temp` fails with one), so each clone has the whole path, in
.dvc/config.local; DVC hands that on to the workspaces of `--temp`. The folder itself comes with the clone: DVC would make one that all can write.
"""

import os
from pathlib import Path

STATE = "state"  # in .dvc
IGNORE = "# Here, so that git makes this folder: DVC would make one that everybody can write.\n*\n!.gitignore\n"
_SETTING, _VARIABLE = "site_cache_dir", "DVC_SITE_CACHE_DIR"
_OTHERS = 0o002  # may write


def keep_state_in(dvc: Path) -> None:
    """Set it up in a project, unless somebody has said otherwise; a project that was moved or copied gets its own.

    Args:
        dvc: The project's folder `.dvc`.

    Raises:
        ConfigError: A file of DVC's configuration is damaged.
    """
    from dvc.config import Config  # type: ignore[import-untyped]

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
