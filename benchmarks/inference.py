"""One policy for 22 tasks against 22 independent networks: what sharing encoders saves, in parameters, arithmetic and time.

The policy is that of the published measurements at the budget of params.yaml, the networks are those of params.yaml. Weights are random: neither
count nor time depends on them.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from taskonomy.config.params import read_params
from taskonomy.config.task_config import task_config
from taskonomy.inference.benchmark import milliseconds, own_network
from taskonomy.inference.composed_model import Encoder, Readout, fresh_encoder, fresh_readout
from taskonomy.inference.inference_cost import ModelSize, size_of, together
from taskonomy.policy.planner import plan
from taskonomy.tables.table import read_table
from taskonomy.tasks import BUILT_IN

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Target:
    """One target's part of the policy."""

    encoders: dict[str, Encoder]
    readout: Readout


def main() -> None:
    params = read_params(ROOT / "params.yaml")
    side = params.data.resolution
    policy, _others = plan(read_table(ROOT / "data/published/affinities_16k.csv"), params.policy.model_copy(update={"alternatives": 0}))
    configs = {name: task_config(task, params) for name, task in BUILT_IN.items() if task.head is not None}
    shapes = {
        name: {**one.model_dump(mode="json", include={"encoder", "decoder", "tile_side"}), "head": vars(one.entry.head), "side": side}
        for name, one in configs.items()
    }
    encoders = {name: fresh_encoder(BUILT_IN[name], configs[name].encoder).eval() for name in policy.sources}
    targets = {
        one.target: Target(
            {source: encoders[source] for source in one.sources}, fresh_readout(BUILT_IN[one.target], len(one.sources), shapes[one.target]).eval()
        )
        for one in policy.transfers
    }
    own = {name: own_network(BUILT_IN[name], shapes[name]) for name in targets}
    sizes = {name: size_of(one, torch.zeros(1, 3, side, side)) for name, one in encoders.items()}
    code = params.train.encoder.channels, side // params.train.encoder.stride
    readouts: dict[str, ModelSize] = {}
    alone: dict[str, ModelSize] = {}
    for name, target in targets.items():
        task = BUILT_IN[name]
        readouts[name] = size_of(target.readout, torch.zeros(1, task.tiles, code[0] * len(target.encoders), code[1], code[1]))
        alone[name] = size_of(own[name], torch.zeros(1, task.tiles, task.in_channels, side, side))
    images = {name: BUILT_IN[name].images for name in targets}
    counted = together(sizes, readouts, alone, {name: list(one.encoders) for name, one in targets.items()}, images)
    taken = milliseconds(list(targets.values()), [(BUILT_IN[name], network) for name, network in own.items()], side, torch.device("cpu"))
    print(f"  {len(targets)} targets from {len(encoders)} encoders, {side} px, one thread")
    for way, found in counted.items():
        print(f"  {way}: {found['parameters']:,} parameters, {found['flops'] / 1e6:,.0f} MFLOPs, {taken[way]:.1f} ms")
    base = counted["independent"]
    for way in ("shared", "apart"):
        print(
            f"  {way} of independent: {counted[way]['parameters'] / base['parameters']:.2f} of the parameters,"
            f" {counted[way]['flops'] / base['flops']:.2f} of the FLOPs, {taken[way] / taken['independent']:.2f} of the time"
        )


if __name__ == "__main__":
    main()
