"""Stage `facts`: outputs of earlier stages -> a summary of what the run consists of, for its page."""

import argparse
from pathlib import Path

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_json
from taskonomy.config.params import read_params
from taskonomy.report.provenance import facts

SECTIONS = {"world", "data", "train", "transfer", "samples", "normalize"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("prepared", "models", "transfers", "more", "results"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()

    params = read_params()
    found = facts(args.prepared, args.models, args.transfers, args.more, params.data.tasks, params.transfer.targets)
    write_json(args.results / "facts.json", {**found, "params": params.model_dump(mode="json", include=SECTIONS)})


if __name__ == "__main__":
    with stage():
        main()
