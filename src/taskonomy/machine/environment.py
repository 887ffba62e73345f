"""What of `execution` reaches the processes that compute: environment variables, which they inherit or are started with."""

import os

from taskonomy.config.params import ExecutionParams, checked

DEVICE = "TASKONOMY_DEVICE"
DETERMINISTIC = "TASKONOMY_DETERMINISTIC"
COMPILE = "TASKONOMY_COMPILE"
PER_GPU = "TASKONOMY_PER_GPU"
ADDRESS = "TASKONOMY_ADDRESS"  # of a cluster; set in the stages of `taskonomy repro --address`


def environment_of(params: ExecutionParams) -> dict[str, str]:
    """As environment variables."""
    chosen = {DETERMINISTIC: str(int(params.deterministic)), COMPILE: str(int(params.compile)), PER_GPU: str(params.per_gpu)}
    return {DEVICE: params.device, **chosen}


def of_this_run(params: ExecutionParams) -> ExecutionParams:
    """With the cluster that this run was started with, if it was.

    Raises:
        TaskonomyError: It is no address.
    """
    address = os.environ.get(ADDRESS)
    return checked(ExecutionParams, {**params.model_dump(), "engine": "ray", "address": address}, "--address") if address else params
