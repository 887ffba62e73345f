"""Stage `prepare`: images and labels of any layout, from data.root, -> memory-mapped arrays, samples and splits."""

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_json
from taskonomy.config.params import read_params
from taskonomy.data.prepare.run import prepare
from taskonomy.stage.paths import paths


def main() -> None:
    args = paths(__doc__, "prepared", "metrics")
    data = read_params().data
    manifest = prepare(data.root, args.prepared, data)
    write_json(args.metrics, {"views": manifest["views"], "skipped": len(manifest["skipped"])})


if __name__ == "__main__":
    with stage():
        main()
