"""Stage `world`: parameters -> buildings, rendered and annotated, laid out like a released dataset; nothing where other data is read."""

from pathlib import Path

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import whole_folder, write_text
from taskonomy.config.params import read_params
from taskonomy.stage.paths import paths
from taskonomy.world.generate import make_world


def main() -> None:
    args = paths(__doc__, "world")
    params = read_params()
    if Path(params.data.root) == args.world:
        make_world(args.world, params.world)
        return
    with whole_folder(args.world) as folder:
        write_text(folder / "not_rendered.txt", "data.root names other data, so the built-in world is not rendered\n")


if __name__ == "__main__":
    with stage():
        main()
