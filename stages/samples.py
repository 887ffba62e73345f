"""Stage `samples`: networks and a few transfers -> their predictions on some test images, as pictures beside the ground truth."""

from taskonomy.stage.guard import stage
from taskonomy.config.params import read_params
from taskonomy.inference.sample_predictions import write_samples
from taskonomy.stage.paths import paths
from taskonomy.store.store import store_root
from taskonomy.transfers.run_context import RunContext


def main() -> None:
    args = paths(__doc__, "cards", "prepared", "codes", "models", "transfers", "samples")

    params = read_params()
    run = RunContext(args.cards, args.prepared, args.codes, args.models, store_root(), params.transfer)
    write_samples(args.samples, run, args.transfers, params)


if __name__ == "__main__":
    with stage():
        main()
