"""Select the few numbers by which runs are compared first: what `dvc metrics show` and `dvc exp show` list, and what a run ends with."""

import math

from taskonomy.affinity.from_run import worse_than_constant
from taskonomy.report.inputs import Results


def summarize(results: Results) -> dict[str, float | int]:
    """Return the numbers of one table that are known; win rates and rank correlations are averages over tasks.

    Returns:
        networks_vs_constant: Win rate of the task networks against the best constant.
        transfers_worse_than_constant: First-order transfers from trained encoders that lose to the best constant on most images.
        gain_pixels, gain_scratch: Win rate of the policy against small networks on the images, and against networks from scratch.
        quality: Win rate of the policy against the targets' own networks.
        policy_p: p-value of the policy's objective among policies of random sources and transfers.
        spearman_published: Rank correlation of the sources of each target with the published ranking.
        tree: Share of triplets of tasks in which the similarity tree joins two of one family first.

        Gain and quality are of the images that the policy was not chosen on, where the table has such.
    """
    held = results.significance["connections"]
    found: dict[str, float | int | None] = {
        "networks_vs_constant": None if results.networks is None else float(results.networks["average"].mean()),
        "transfers_worse_than_constant": worse_than_constant(results.table).get("worse_than_constant", {}).get("transfers"),
        "gain_pixels": held.get("gain", {}).get("policy"),
        "gain_scratch": held.get("gain_scratch", {}).get("policy"),
        "quality": held.get("quality", {}).get("policy"),
        "policy_p": held["objective"]["p_value"],
        "spearman_published": None if results.agreement is None else results.agreement["mean"]["spearman"],
        "tree": results.families.get("overall", {}).get("share"),
    }
    return {name: value for name, value in found.items() if value is not None and not math.isnan(value)}
