"""Stage `facts`: outputs of earlier stages -> a summary of what the run consists of, for its page."""

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_json
from taskonomy.config.params import read_params
from taskonomy.report.provenance import facts
from taskonomy.stage.paths import paths

SECTIONS = {"world", "data", "train", "transfer", "samples", "normalize"}


def main() -> None:
    args = paths(__doc__, "prepared", "models", "transfers", "variants", "chosen", "amounts", "results")

    params = read_params()
    others = [args.variants, args.chosen, args.amounts]
    found = facts(args.prepared, args.models, args.transfers, others, params.data.tasks, params.transfer.targets)
    unused = {"transfer": {"fewer"}} if len(params.transfer.amounts) == 1 else {}  # with one amount of images it says nothing of the run
    write_json(args.results / "facts.json", {**found, "params": params.model_dump(mode="json", include=SECTIONS, exclude=unused)})


if __name__ == "__main__":
    with stage():
        main()
