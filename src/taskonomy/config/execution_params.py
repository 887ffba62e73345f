"""Parameters of where units of work are computed."""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, field_validator, model_validator

from taskonomy.config.checked import Checked, Weight

_ADDRESS = r"auto|[^\s/:]+:\d+"
_DEVICE = r"auto|cpu|cuda(:\d+)?"


class WorkKind(StrEnum):
    """What a unit of work trains."""

    NETWORK = "network"
    TRANSFER = "transfer"


class Needs(Checked):
    """What a worker of a cluster reserves for units of one kind, and how often such a unit is given to another one when its worker dies."""

    cpus: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    """Processor cores that a unit reserves."""
    gpus: Weight = 0.0
    """GPUs that a unit reserves; 0.5: two units share one."""
    memory: Weight = 0.0
    """Memory that a unit reserves, GiB; 0: none reserved."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a unit is given to another worker when its own dies."""


class Kinds(Checked):
    """Kinds of units."""

    network: Needs = Needs()
    """What a unit that trains a task network reserves."""
    transfer: Needs = Needs()
    """What a unit that trains a transfer reserves."""


class ExecutionParams(Checked):
    """Where units of work are computed: it changes how, not what."""

    engine: Literal["local", "ray"] = "local"
    """local: processes of this machine, one per core | ray: workers on every machine of a Ray cluster (the optional extra `cluster`)."""
    address: Annotated[str, Field(json_schema_extra={"pattern": f"^({_ADDRESS})$"})] = "auto"
    """Address of the cluster, HOST:PORT; auto: the one that this machine belongs to. `taskonomy repro --address` sets both for one run."""
    inputs: Literal["auto", "path", "copy"] = "auto"
    """How a worker of the cluster gets what it reads: path (the same files lie at the same place on each machine) | copy (once to each machine) |
    auto (by path where it sees the same files, else copy)."""
    device: Annotated[str, Field(json_schema_extra={"pattern": f"^({_DEVICE})$"})] = "auto"
    """Where networks compute: auto (the first NVIDIA GPU, or the processor) | cpu | cuda | cuda:N. A cluster gives each worker its own GPU."""
    deterministic: bool = True
    """On GPUs, algorithms that give the same bits each time, where there are such; a warning names any other."""
    compile: bool = True
    """On GPUs, compile the networks of long trainings (4,000 steps or more): most of a minute for the first of its form, then a quarter to a third
    more images a second. It needs a C compiler and Python's headers. The numbers differ in their last digits."""
    per_gpu: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes of this machine that train side by side on a GPU. More than one pays under NVIDIA's MPS alone (docs/cluster.md)."""
    weights: Annotated[int, Field(ge=0)] = 32
    """Weights of transfers that the stage `transfer` keeps in the store of units, MiB for each target: those of the network from scratch, then of the
    best transfers. Reports and exports train the others that they show or use once more, with the same bits. 0: none are kept."""
    kinds: Kinds = Kinds()
    """What a worker of the cluster reserves: processor cores, GPUs (0.5: two share one), memory (GiB; 0: none reserved); and how often a unit is
    given to another worker when its own dies."""

    def needs(self, kind: WorkKind) -> Needs:
        """Of a kind of unit."""
        return {WorkKind.NETWORK: self.kinds.network, WorkKind.TRANSFER: self.kinds.transfer}[kind]

    @field_validator("address")
    @classmethod
    def _address_is_one(cls, address: str) -> str:
        if not re.fullmatch(_ADDRESS, address):
            raise ValueError(f"must be auto or HOST:PORT (is {address!r})")
        return address

    @field_validator("device")
    @classmethod
    def _device_is_one(cls, device: str) -> str:
        if not re.fullmatch(_DEVICE, device):
            raise ValueError(f"must be auto, cpu, cuda or cuda:N (is {device!r})")
        return device

    @model_validator(mode="after")
    def _a_cluster_gives_each_worker_its_gpu(self) -> "ExecutionParams":
        if self.engine == "ray" and self.device.startswith("cuda:"):
            raise ValueError(f"device must be auto, cpu or cuda with engine ray, which gives each worker its GPU (is {self.device!r})")
        return self
