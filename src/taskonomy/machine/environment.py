"""The parameters of `execution` that processes receive as environment variables, inherited or set when they are started."""

import os

from taskonomy.config.checked import checked
from taskonomy.config.execution_params import ExecutionParams

DEVICE = "TASKONOMY_DEVICE"
DETERMINISTIC = "TASKONOMY_DETERMINISTIC"
COMPILE = "TASKONOMY_COMPILE"
PER_GPU = "TASKONOMY_PER_GPU"
ADDRESS = "TASKONOMY_ADDRESS"  # variable with a cluster's address; set in the stages of `taskonomy repro --address`


def environment_of(params: ExecutionParams) -> dict[str, str]:
    """Return the parameters as environment variables."""
    chosen = {DETERMINISTIC: str(int(params.deterministic)), COMPILE: str(int(params.compile)), PER_GPU: str(params.per_gpu)}
    return {DEVICE: params.device, **chosen}


def of_this_run(params: ExecutionParams) -> ExecutionParams:
    """Return the parameters with the address of the cluster that this run was started with, if there is one.

    Raises:
        TaskonomyError: It is not an address.
    """
    address = os.environ.get(ADDRESS)
    return checked(ExecutionParams, {**params.model_dump(), "engine": "ray", "address": address}, "--address") if address else params
