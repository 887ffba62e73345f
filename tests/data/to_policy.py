"""From a folder of images and labels to a policy, as the stages do it one after another, at the smallest sizes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiny import SIDE, profile

from taskonomy.affinity.from_run import affinity_tables
from taskonomy.config.params import Params
from taskonomy.config.task_config import TaskConfig, task_config
from taskonomy.data.prepare.run import prepare
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.policy.planner import Policy, plan
from taskonomy.store.store import Store
from taskonomy.tables.table import read_table, write_table
from taskonomy.training.task_networks import train_task
from taskonomy.training.transfer_context import TransferContext
from taskonomy.transfers.stage_outputs import CurveLog, write_network, write_transfers
from taskonomy.transfers.transfers import transfers_to


@dataclass(frozen=True)
class Run:
    """What a run leaves: its parameters, the prepared data, the affinity table, and the policy."""

    params: Params
    prepared: Prepared
    table: Any
    policy: Policy


def params_of(root: Path, own: dict[str, Any], tasks: tuple[str, ...], **data: Any) -> Params:
    """Profile tiny, of these tasks, each of which may be labelled; the first is a target, and all others that have labels of people are."""
    targets = [task for task in tasks if task != "autoencoding"]
    values = {"root": str(root), "own": own, "tasks": tasks, "labels": {}, "resolution": SIDE, "splits": {"train": 0.4, "val": 0.3, "test": 0.3}}
    none = {"targets": [], "sources": [], "networks": []}
    policy = {"budget": 1, "max_order": 2, "preset": "practice", "alternatives": 0}
    return profile(data=values | data, transfer={"targets": targets}, train={"mirror": True}, samples={"targets": targets}, noise=none, policy=policy)


def run_to_policy(params: Params, home: Path) -> Run:
    """Prepare, train, transfer, normalize, and find the policy."""
    prepare(params.data.root, home / "prepared", params.data, processes=1)
    prepared = Prepared(home / "prepared")
    cards = {
        name: TaskConfig.model_validate(json.loads(json.dumps(task_config(params.registry[name], params).as_json()))) for name in params.data.tasks
    }
    for name, card in cards.items():
        with CurveLog(card) as curves:
            done = train_task(prepared, card, Store(home / "store"), curves.log)
            write_network(home / "models" / name, home / "codes" / name, done, curves)
    for target in params.transfer.targets:
        context = TransferContext(home / "prepared", home / "codes", params.sources, home / "store", cards[target], params.transfer)
        write_transfers(home / "transfers" / target, home / "models" / target, transfers_to(context))
    table, _held_out, _facts = affinity_tables(home / "transfers", params.transfer.targets, params.normalize, prepared=home / "prepared")
    write_table(home / "affinities.csv", table)
    best, _others = plan(read_table(home / "affinities.csv"), params.policy, params.registry)
    return Run(params, prepared, table, best)
