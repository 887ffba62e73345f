"""Units of work that are nothing but themselves, importable by workers."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taskonomy.compute.work import Work
from taskonomy.config.execution_params import WorkKind
from taskonomy.errors import TaskonomyError
from taskonomy.store.store import Store, key_of


@dataclass(frozen=True)
class Part:
    """A unit that doubles a file of numbers, and what is to happen on the way.

    Attributes:
        number: Which.
        store: Where it leaves its unit.
        read: What it reads.
        events: Each start adds a line, `number process node`.
        die: Its worker is killed if no worker has been before.
        hold: It waits until this is there, unless somebody has waited for it already.
    """

    number: int
    store: Path
    read: Path
    events: str
    die: bool = False
    hold: str = ""

    @property
    def key(self) -> str:
        return key_of(number=self.number)

    def work(self) -> Work:
        return Work(f"part {self.number}", WorkKind.TRANSFER, double, self, (self.read,), self.store, (self.key,))


def double(part: Part) -> int:
    import ray

    before = any(line.split()[0] == str(part.number) for line in lines(part.events))
    node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "none"
    with open(part.events, "a") as file:
        file.write(f"{part.number} {os.getpid()} {node}\n")
    if part.die and not before:
        os.kill(os.getpid(), signal.SIGKILL)
    while part.hold and not before and not os.path.exists(part.hold):
        time.sleep(0.01)
    numbers = np.frombuffer(part.read.read_bytes(), np.uint8)
    Store(part.store).write(part.key, {"doubled": 2 * numbers.astype(np.int64) + part.number}, {"number": part.number})
    return part.number


def fails(part: Part) -> None:
    with open(part.events, "a") as file:
        file.write("tried\n")
    raise TaskonomyError("it cannot be done")


def lines(events: str) -> list[str]:
    return Path(events).read_text().splitlines() if os.path.exists(events) else []
