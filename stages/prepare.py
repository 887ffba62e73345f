"""Stage `prepare`: images and labels of any layout, from data.root, -> memory-mapped arrays, samples and splits."""

import argparse
from pathlib import Path

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_json
from taskonomy.config.params import read_params
from taskonomy.data.prepare.run import prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("metrics", type=Path)
    args = parser.parse_args()
    data = read_params().data
    manifest = prepare(data.root, args.output, data)
    write_json(args.metrics, {"views": manifest["views"], "skipped": len(manifest["skipped"])})


if __name__ == "__main__":
    with stage():
        main()
