"""Stage `export`: the chosen policy -> a predictor for each target: shared encoders, transfers, decoders, and what all of it costs to run."""

import argparse
from pathlib import Path

from taskonomy.cores import progress
from taskonomy.errors import one_line
from taskonomy.inference.export import export
from taskonomy.params import read_params
from taskonomy.training.more import MoreJob
from taskonomy.training.store import store_root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("cards", "prepared", "codes", "models", "policy", "held_out", "predictors"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()

    job = MoreJob(args.cards, args.prepared, args.codes, args.models, store_root(), read_params().transfer.model_dump_json())
    with progress(0, "export", "transfers") as bar:
        index = export(job, args.policy, args.held_out, args.predictors, bar.update)
    shared, independent = (index["cost"][way] for way in ("shared", "independent"))
    print(
        f"{len(index['targets'])} targets from {len(index['encoders'])} encoders: {shared['parameters']:,} parameters"
        f" ({shared['parameters'] / independent['parameters']:.0%} of independent networks), {shared['flops']:,} FLOPs"
        f" ({shared['flops'] / independent['flops']:.0%})"
    )


if __name__ == "__main__":
    with one_line():
        main()
