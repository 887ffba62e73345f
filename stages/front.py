"""Stage `front`: affinity table -> the best policy of every budget, for each order."""

from functools import partial

from tqdm import tqdm

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_csv, write_json
from taskonomy.config.params import read_params
from taskonomy.policy.front import as_frame, front
from taskonomy.stage.paths import paths
from taskonomy.tables.table import measured, read_table


def main() -> None:
    args = paths(__doc__, "table", "results")

    params = read_params()
    shown = partial(tqdm, unit=" orders")
    points = front(measured(read_table(args.table)), params.policy, params.front.orders, progress=shown, registry=params.registry)

    write_json(args.results / "front.json", [point.reproducible() for point in points])
    write_csv(args.results / "front.csv", as_frame(points))


with stage():
    main()
