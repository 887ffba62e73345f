"""Stage `evaluate`: policy -> significance against random policies; affinity table -> the similarity tree, and its agreement with the families."""

from taskonomy.stage.guard import stage
from taskonomy.atomic_io import write_json, write_text
from taskonomy.config.params import read_params
from taskonomy.evaluation.families import family_test
from taskonomy.evaluation.held_out import held_out
from taskonomy.evaluation.significance import headline, significance
from taskonomy.evaluation.tree import similarity_tree, without_sources
from taskonomy.policy.planner import read_policy
from taskonomy.policy.problem import admissible
from taskonomy.stage.paths import paths
from taskonomy.tables.table import measured, read_table


def main() -> None:
    held_out_is = "gain and quality on images that the affinities were not measured on; default: the table's own"
    args = paths(__doc__, "table", "results", optional={"held_out": held_out_is})

    params = read_params()
    registry = params.registry
    table = read_table(args.table)
    problem = held_out(admissible(measured(table), params.policy, registry), read_table(args.held_out or args.table))
    # Significance is of measurements; the tree needs every pair, and takes imputed affinities where there are no others.
    found = significance(read_policy(args.results / "policy.json", problem), problem, params.evaluate.random_policies, params.evaluate.seed)
    rules, kept = params.evaluate, without_sources(table, params.policy.exclude, registry)
    tree = similarity_tree(kept, rules.tree, method=rules.tree_method, metric=rules.tree_metric, beta=rules.tree_beta)

    families = family_test(tree, rules.tree_permutations, rules.seed)

    write_json(args.results / "significance.json", found)
    told = {
        f"tree_family_{what}": {name: one[key] for name, one in families.items()} for what, key in (("triplets", "share"), ("p_values", "p_value"))
    }
    write_json(args.results / "evaluate_metrics.json", {**headline(found), **told})
    write_text(args.results / "tree.newick", tree.newick())
    write_json(args.results / "tree.json", {**tree.as_dict(), "families": families})


with stage():
    main()
