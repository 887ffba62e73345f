"""What of `execution` reaches the processes that compute: environment variables, which they inherit or are started with."""

import os

from taskonomy.params import ExecutionParams, checked

DEVICE = "TASKONOMY_DEVICE"
DETERMINISTIC = "TASKONOMY_DETERMINISTIC"
ADDRESS = "TASKONOMY_ADDRESS"  # of a cluster; set in the stages of `taskonomy repro --address`


def environment_of(params: ExecutionParams) -> dict[str, str]:
    """As environment variables."""
    return {DEVICE: params.device, DETERMINISTIC: str(int(params.deterministic))}


def of_this_run(params: ExecutionParams) -> ExecutionParams:
    """With the cluster that this run was started with, if it was.

    Raises:
        TaskonomyError: It is no address.
    """
    address = os.environ.get(ADDRESS)
    return checked(ExecutionParams, {**params.model_dump(), "engine": "ray", "address": address}, "--address") if address else params
