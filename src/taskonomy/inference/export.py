"""Write a policy's predictors: its few transfers with their weights, and the encoders that they share."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from taskonomy.affinity.losses_file import read_losses
from taskonomy.atomic_io import whole_folder, write_csv, write_json
from taskonomy.config.data_params import Fit
from taskonomy.config.encoder_params import PretrainedParams
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.errors import TaskonomyError
from taskonomy.inference.composed_model import Readout, fresh_encoder, fresh_readout
from taskonomy.inference.file_encoder import write_file_encoder
from taskonomy.inference.inference_cost import ModelSize, size_of, together
from taskonomy.inference.manifest import FORMAT
from taskonomy.labels.encodings import Input
from taskonomy.machine.cores import on_every_core
from taskonomy.store.store import digest_of
from taskonomy.store.unit_keys import data_digest
from taskonomy.tables.table import SELF, join_sources, labelled, read_table
from taskonomy.tables.transfer_spec import variant
from taskonomy.tasks import Registry, Task
from taskonomy.training.checkpoint import load_weights, save_weights
from taskonomy.training.task_networks import network_of
from taskonomy.training.transfer_context import shared
from taskonomy.transfers.run_context import RunContext
from taskonomy.transfers.variants import encoder_weights

Card = dict[str, Any]


@dataclass(frozen=True)
class Chosen:
    """One transfer of a policy.

    Attributes:
        target: The task it solves.
        sources: Sources as tables write them; `self`: the target's own network.
        metrics: Affinity, gain and quality, as in the policy.
    """

    target: str
    sources: tuple[str, ...]
    metrics: dict[str, float | None]

    @property
    def own(self) -> bool:
        """Return whether the target is solved by its own fully supervised network."""
        return self.sources == (SELF,)

    @property
    def left_out(self) -> str:
        """Return why the transfer is not exported; empty if it is."""
        other = next((source for source in self.sources if variant(source) is not None), None)
        return "" if other is None else f"{self.target} is solved by {other}: only transfers from frozen encoders and own networks are exported"

    @property
    def encoders(self) -> tuple[str, ...]:
        """Return the tasks whose encoders it starts from."""
        return (self.target,) if self.own else self.sources


def read_chosen(path: Path, registry: Registry, others: Collection[str] = ()) -> tuple[dict[str, Any], list[Chosen]]:
    """Read the policy that the stage `policy` wrote, and its transfers; `others` are encoders that others trained.

    Raises:
        TaskonomyError: The file is missing or damaged, or names unknown tasks.
    """
    try:
        policy = json.loads(path.read_text(encoding="utf-8"))
        names = ("affinity", "gain", "quality")
        chosen = [Chosen(one["target"], tuple(one["sources"]), {name: one[name] for name in names}) for one in policy["transfers"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TaskonomyError(f"{path}: no readable policy ({error}); the stage `policy` writes it") from None
    for one in chosen:
        if unknown := [name for name in (one.target, *map(labelled, one.encoders)) if name not in registry and name not in others]:
            raise TaskonomyError(f"{path}: {unknown[0]} is not in the dictionary of tasks")
    return policy, chosen


def export(
    run: RunContext,
    policy: Path,
    held_out: Path,
    output: Path,
    registry: Registry,
    on_done: Callable[[int], object] = lambda done: None,
    others: Mapping[str, PretrainedParams] = MappingProxyType({}),
    *,
    fit: Fit = Fit.CROP,
    white: float | None = None,
) -> dict[str, Any]:
    """Write the predictors of a policy; transfers whose weights the store lacks are trained again, with the bits that were measured.

    Args:
        run: Folders and parameters of the run.
        policy: File that the stage `policy` wrote.
        held_out: Table of gain and quality on the images that the policy was not chosen on.
        output: Folder to write, atomically.
        registry: Registry of tasks.
        on_done: Called with 1 whenever a target's weights are available.
        others: Encoders that others trained, by name; their files are copied.
        fit: How images were made square, as new ones will be.
        white: The declared value of white in images of more than 8 bits.

    Returns:
        The index. Targets whose transfer is of a form that is not exported (`a>b`, `a@0.02`) stand in it under `left_out`, with the reason.

    Raises:
        TaskonomyError: As `read_chosen`; or weights are missing or do not fit.
    """
    facts, all_of_them = read_chosen(policy, registry, others)
    chosen = [one for one in all_of_them if not one.left_out]
    for _work, _none in on_every_core(_train, [(run, one) for one in chosen if not one.own]):
        on_done(1)
    elsewhere = {(row.target, frozenset(row.sources)): row for row in read_table(held_out).itertuples()}  # type: ignore[arg-type]
    prepared = Prepared(run.prepared)
    with whole_folder(output) as folder:
        (folder / "encoders").mkdir()
        (folder / "targets").mkdir()
        encoders = {
            name: write_file_encoder(name, others[name], run.codes / name, folder / "encoders", f"{Input.IMAGE.value}.npy")
            if name in others
            else _write_encoder(run, registry[name], folder)
            for name in sorted({name for one in chosen for name in one.encoders})
        }
        targets = [
            _write_target(run, one, registry[one.target].title, elsewhere.get((one.target, frozenset(one.sources))), folder, encoders)
            for one in chosen
        ]
        read = {"fit": fit.value, "white": white}
        index = _index(prepared, facts, encoders, targets, read) | {"left_out": {one.target: one.left_out for one in all_of_them if one.left_out}}
        write_json(folder / "index.json", index)
        for card in targets:
            write_json(folder / "targets" / f"{card['task']}.json", card)
        rows = [(card["unit"], card["task"], join_sources(card["sources"])) for card in targets]
        write_csv(folder / "units.csv", pd.DataFrame(rows, columns=["key", "target", "sources"]))
    return index


def headline(index: dict[str, Any]) -> str:
    """Summarise an export in one sentence."""
    shared, independent = (index["cost"][way] for way in ("shared", "independent"))
    amounts = [
        f"{shared[name]:,} {unit} ({shared[name] / independent[name]:.0%} of independent networks)" if independent[name] else f"no {unit}"
        for name, unit in (("parameters", "parameters"), ("flops", "FLOPs"))
    ]
    return f"{len(index['targets'])} targets from {len(index['encoders'])} encoders: {', '.join(amounts)}"


def _train(work: tuple[RunContext, Chosen]) -> None:
    from taskonomy.training.train_transfer import transfer_with_weights

    run, one = work
    transfer_with_weights(run.to(one.target), one.sources)


def _write_encoder(run: RunContext, task: Task, folder: Path) -> Card:
    """Write a source's encoder, and return its entry of the index."""
    source = task.name
    shape = run.config(source).encoder
    encoder = fresh_encoder(task, shape)
    weights = encoder_weights(run.models / source)
    _fill(encoder.encoder, weights, run.models / source)
    save_weights(folder / "encoders" / f"{source}.safetensors", encoder.encoder, {"task": source})
    side = int(Prepared(run.prepared).images.shape[1])
    size = size_of(encoder, torch.zeros(1, 3, side, side))
    return {
        "title": task.title,
        "reads": "lightness" if encoder.grey else "colours",
        "shape": shape.model_dump(mode="json"),
        "code": [shape.channels, side // shape.stride, side // shape.stride],
        "weights": digest_of(*(weights[name] for name in sorted(weights))),
        **size.as_dict(),
    }


def _write_target(run: RunContext, one: Chosen, title: str, elsewhere: Any, folder: Path, encoders: dict[str, Card]) -> Card:
    """Write a target's transfer and decoder, and return its card."""
    opened = shared(run.to(one.target))
    task, side = opened.task.task, int(opened.dataset.images.shape[1])
    if task.head is None:
        raise TaskonomyError(f"{one.target} has no network of its own: there is nothing to export")
    shapes = {**opened.config.model_dump(mode="json", include={"encoder", "decoder", "tile_side"}), "head": vars(task.head), "side": side}
    shapes["channels"] = [int(encoders[name]["code"][0]) for name in one.encoders]
    readout = fresh_readout(task, 0 if one.own else len(one.sources), shapes)
    found = _own(run, one.target, readout) if one.own else _transferred(run, one, readout)
    save_weights(folder / "targets" / f"{one.target}.safetensors", readout, {"task": one.target, "encoders": list(one.encoders)})
    height, width = (int(number) for number in encoders[one.encoders[0]]["code"][1:])
    codes = torch.zeros(1, task.tiles, sum(shapes["channels"]), height, width)
    own = size_of(network_of(opened.config, opened.dataset), torch.zeros(1, task.tiles, task.in_channels, side, side))
    beyond = {name: _number(getattr(elsewhere, name)) for name in ("gain", "quality")} if elsewhere is not None else {}
    return {
        "task": one.target,
        "title": title,
        "kind": "own network" if one.own else "transfer",
        "sources": list(one.sources),
        "encoders": list(one.encoders),
        "images": task.images,
        "metrics": {**one.metrics, "held_out": beyond, **found["metrics"]},
        "statistics": opened.task.statistics,
        "shapes": shapes,
        "precision": opened.params.precision.here().value,
        "data": data_digest(opened.dataset, opened.task, opened.train, images=False),
        "unit": found["unit"],
        "readout": size_of(readout, codes).as_dict(),
        "own_network": own.as_dict(),  # the network that would be trained without a policy
    }


def _transferred(run: RunContext, one: Chosen, readout: Readout) -> dict[str, Any]:
    """Load the weights of a transfer into its readout, and return what its training measured."""
    from taskonomy.training.train_transfer import transfer_with_weights

    to = run.to(one.target)
    network, unit = transfer_with_weights(to, one.sources)
    readout.load_state_dict(network.state_dict())
    epoch = unit.facts["chosen"]
    losses = {split: unit.facts[split][epoch] for split in ("train", "validation")}
    losses |= {split: float(unit.arrays[split].mean(dtype=np.float64)) for split in TEST_SPLITS}
    return {"metrics": {"epoch": epoch + 1, "losses": losses}, "unit": shared(to).weights_key(one.sources)}


def _own(run: RunContext, target: str, readout: Readout) -> dict[str, Any]:
    """Load the decoder of a target's own network into its readout, and return what its training measured."""
    model, opened = run.models / target, shared(run.to(target))
    network = network_of(opened.config, opened.dataset)
    epoch = load_weights(model / "network.safetensors", network)["epoch"]
    readout.load_state_dict({f"decoder.{name}": value for name, value in network.decoder.state_dict().items()})  # type: ignore[union-attr]
    losses = {split: float(read_losses(model / f"{split}.npz", SELF)[0].mean(dtype=np.float64)) for split in TEST_SPLITS}
    keys = pd.read_csv(model / "units.csv").set_index("name")["key"]
    return {"metrics": {"epoch": epoch, "losses": losses}, "unit": str(keys[SELF])}


def _index(prepared: Prepared, policy: dict[str, Any], encoders: dict[str, Card], targets: list[Card], read: dict[str, Any]) -> dict[str, Any]:
    """Build the index of all predictors; `read` is how images were read."""
    sizes = {name: ModelSize(card["parameters"], card["flops"]) for name, card in encoders.items()}
    by_part = {part: {card["task"]: ModelSize(**card[part]) for card in targets} for part in ("readout", "own_network")}
    sources = {card["task"]: card["encoders"] for card in targets}
    images = {card["task"]: card["images"] for card in targets}
    metrics = ("gain", "quality")
    return {
        "format": FORMAT,
        "policy": {name: policy[name] for name in ("status", "budget", "cost", "max_order", "self_edge", "sources", "mean_gain", "mean_quality")}
        | {"use_as_they_are": policy.get("use_as_they_are", {})},
        "data": {
            "views": {split: int((prepared.splits == split.number).sum()) for split in Split},
            "index": file_digest(prepared.root / "index.csv"),
            "images": file_digest(prepared.root / "images.npy"),
            **read,
        },
        "torch": version("torch"),
        "side": int(prepared.images.shape[1]),
        "encoders": encoders,
        "targets": {
            card["task"]: {
                **{name: card[name] for name in ("title", "kind", "images", "sources")},
                **{name: card["metrics"][name] for name in metrics},
            }
            for card in targets
        },
        "cost": together(sizes, by_part["readout"], by_part["own_network"], sources, images),
    }


def file_digest(path: Path) -> str:
    """Compute the MD5 digest of a file, as DVC does."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _fill(network: nn.Module, weights: Mapping[str, np.ndarray], model: Path) -> None:
    try:
        network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    except RuntimeError as error:
        raise TaskonomyError(f"{model}: weights of another network ({' '.join(str(error).split())[:200]}); train again") from None


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
