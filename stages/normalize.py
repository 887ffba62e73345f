"""Stage `normalize`: per-image losses -> the affinity table, the same transfers on the held-out images, and the paper's table 1."""

from tqdm import tqdm

from taskonomy.stage.guard import stage
from taskonomy.affinity.by_building import by_building, mean_losses
from taskonomy.affinity.from_run import affinity_tables, network_losses
from taskonomy.affinity.groups import buildings_of_tests
from taskonomy.affinity.table1 import Resampling, headline, table_one, training_curves, write_networks
from taskonomy.atomic_io import write_csv, write_json
from taskonomy.config.params import read_params
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.pretrained.about_sources import with_external
from taskonomy.stage.paths import paths
from taskonomy.tables.table import write_table


def main() -> None:
    args = paths(__doc__, "prepared", "transfers", "variants", "chosen", "models", "codes", "results")

    params = read_params()
    targets = tqdm(params.transfer.targets, desc="normalize", unit=" targets", disable=None)
    affinities, held_out, facts = affinity_tables(args.transfers, targets, params.normalize, args.variants, args.chosen, prepared=args.prepared)
    losses = network_losses(args.models, args.transfers, params.data.tasks, params.transfer.targets)
    prepared, rules = Prepared(args.prepared), params.normalize
    groups = {task: buildings_of_tests(prepared, task) for task in losses}
    networks = table_one(losses, Resampling(groups, rules.resamples, rules.confidence, rules.seed))

    registry = params.registry
    write_table(args.results / "affinities.csv", with_external(affinities, params.encoders, args.codes, registry))
    write_table(args.results / "held_out.csv", with_external(held_out, params.encoders, args.codes, registry))
    write_csv(args.results / "losses.csv", mean_losses(args.transfers, params.transfer.targets, args.variants, args.chosen))
    write_csv(args.results / "by_building.csv", by_building(args.transfers, params.transfer.targets, args.prepared, args.variants, args.chosen))
    write_networks(args.results / "networks.csv", networks)
    write_csv(args.results / "curves.csv", training_curves(args.models, params.data.tasks))
    write_json(args.results / "normalize_metrics.json", {**facts, "networks": headline(networks)})


if __name__ == "__main__":
    with stage():
        main()
