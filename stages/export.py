"""Stage `export`: the chosen policy -> a predictor for each target: shared encoders, transfers, decoders, and what they cost to run."""

from taskonomy.stage.guard import stage
from taskonomy.config.params import read_params
from taskonomy.inference.export import export, headline
from taskonomy.machine.cores import progress
from taskonomy.stage.paths import paths
from taskonomy.store.store import store_root
from taskonomy.transfers.run_context import RunContext


def main() -> None:
    args = paths(__doc__, "cards", "prepared", "codes", "models", "policy", "held_out", "predictors")

    params = read_params()
    run = RunContext(args.cards, args.prepared, args.codes, args.models, store_root(), params.transfer)
    with progress(0, "export", "transfers") as bar:
        files = args.policy, args.held_out, args.predictors
        index = export(run, *files, params.registry, bar.update, params.encoders, fit=params.data.fit, white=params.data.white)
    print("\n".join([*index["left_out"].values(), headline(index)]))


if __name__ == "__main__":
    with stage():
        main()
