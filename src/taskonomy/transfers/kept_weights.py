"""Weights of the best transfers to a target, kept for the stages that use them. What is not kept is trained again when it is needed."""

from collections.abc import Collection, Mapping

from taskonomy.training.transfer_context import SCRATCH, Sources, TransferContext


def keep_best(context: TransferContext, affinity: Mapping[Sources, float], new: Collection[Sources]) -> None:
    """Remove weights that do not fit into the `context.kept` bytes of a target; the network from scratch comes first, then the best transfer.

    Args:
        context: The target.
        affinity: Affinity of every transfer so far.
        new: Those whose weights were not there before. Others stay: another stage has kept them.
    """
    store, room = context.units, context.kept
    for sources in (SCRATCH, *sorted(affinity, key=lambda one: (-affinity[one], one))):
        key = context.weights_key(sources)
        size = store.size_of(key)
        if size > room and sources in new:
            store.remove(key)
        else:
            room -= size
