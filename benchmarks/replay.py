"""Labels bought in rounds on the default world: by `taskonomy advise`, by two plain rules, by chance, and in hindsight.

python benchmarks/replay.py data/replay --measure   # in a project with a finished run: trains what may be bought, from five seeds
python benchmarks/replay.py data/replay -o docs     # replay.csv and replay.svg, and the table that the docs have
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from taskonomy.advice import replay as rules
from taskonomy.advice.curves import coverage, curves
from taskonomy.advice.replay import Market, MeasuredAmounts, Rule, replay
from taskonomy.affinity.from_run import all_losses
from taskonomy.affinity.groups import buildings
from taskonomy.atomic_io import whole_folder, write_csv, write_text
from taskonomy.compute.work import Work
from taskonomy.config.params import read_params
from taskonomy.config.policy_params import Balance
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import TEST_SPLITS, Split
from taskonomy.machine.cores import progress
from taskonomy.store.store import store_root
from taskonomy.tables.table import SELF
from taskonomy.training.transfer_context import SCRATCH, shared
from taskonomy.transfers.run_context import RunContext, with_amount
from taskonomy.transfers.transfers import units_to

# Prices of one label, EUR: assumed; a class is chosen at a glance, a mask is drawn, geometry is measured with a device.
PRICES = {
    "class_object": 0.05,
    "room_layout": 0.20,
    "vanishing_point": 0.20,
    "normal": 0.50,
    "depth_euclidean": 0.50,
    "segment_semantic": 2.50,
}
# The sources of the policy with budget 4 on the published table: nothing of this run has chosen them.
ENCODERS = ("denoising", "edge_texture", "keypoints3d", "normal")
AMOUNTS = (15, 30, 60, 120, 240, 480)
START = 60  # with three amounts the curves can be fitted
SHOWN = (1, 3, 6, 9, 12)
SEEDS, DRAWS, ROUNDS = 5, 20, 12  # by chance: so many draws for each seed


def elsewhere(encoder: str) -> str:
    """Name an encoder as one that others trained, as some are tasks of the run too."""
    return f"{encoder}_elsewhere"


class _Here:
    """Trains in this process: a process for some of the seeds is less work than processes that start anew for each amount."""

    here = True

    def submit(self, units: Sequence[Work]) -> Iterator[tuple[Work, Any]]:
        for unit in units:
            yield unit, unit.do()


def measure(folder: Path, seeds: Sequence[int]) -> None:
    """Train every network that a replay may know, from each seed; those in the store are not trained again."""
    params = read_params()
    with progress(0, "networks", "units") as bar:
        for seed in seeds:
            changed = params.transfer.model_copy(update={"seed": params.transfer.seed + seed, "images": AMOUNTS[-1], "targets": tuple(PRICES)})
            run = RunContext(Path("data/cards"), Path("data/prepared"), Path("data/codes"), Path("models"), store_root(), changed).resolved()
            with whole_folder(folder / str(seed)) as there:
                for target in PRICES:
                    _measure_target(run, target, there / target, bar.update)


def _measure_target(run: RunContext, target: str, folder: Path, on_done: object) -> None:
    context = shared(run.to(target))
    encoders = [(name,) for name in ENCODERS if name != target]  # its own network has seen all of its labels
    names, images = [], []
    losses: dict[Split, list[np.ndarray]] = {split: [] for split in TEST_SPLITS}
    for amount in AMOUNTS:
        one = with_amount(context, amount) if amount < len(context.train) else context
        for sources, unit in units_to(one, [SCRATCH, *encoders], on_done, _Here()).items():  # type: ignore[arg-type]
            names.append(SELF if sources == SCRATCH else elsewhere(sources[0]))
            images.append(len(one.train))
            for split in TEST_SPLITS:
                losses[split].append(np.array(unit.arrays[split]))
    folder.mkdir()
    for split in TEST_SPLITS:
        with all_losses(Path("data/transfers"), [], target, split) as known:
            full, average = np.array(known.losses[known.candidates.index(SELF)]), np.array(known.average)
        every = np.stack([*losses[split], full])
        np.savez(folder / f"{split}.npz", candidates=np.array([*names, SELF]), images=np.array([*images, 0]), losses=every, average=average)


def markets(folder: Path, prices: dict[str, float]) -> Iterator[tuple[int, Market]]:
    """Read what was measured from each seed."""
    prepared, targets = Prepared(Path("data/prepared")), tuple(PRICES)
    groups = {name: buildings(prepared, name, Split.TEST_AFFINITY) for name in targets}
    for path in sorted((one for one in folder.iterdir() if one.name.isdigit()), key=lambda one: int(one.name)):
        yield int(path.name), Market(MeasuredAmounts.read(path, targets, tuple(map(elsewhere, ENCODERS)), groups), prices, AMOUNTS)


def replays(folder: Path, prices: dict[str, float], what: str) -> Iterator[pd.DataFrame]:
    """Replay every rule with every seed that was measured."""
    income = sum(prices.values()) * (AMOUNTS[-1] - START) / ROUNDS
    for seed, market in markets(folder, prices):
        once: dict[str, Rule] = {
            "advise": rules.by_advice(),
            "advise, not rescaled": rules.by_advice(Balance.NONE),
            "same money for each": rules.evenly,
            "same number for each": rules.alike,
            "in hindsight": rules.in_hindsight,
        }
        run = partial(replay, market, start=START, income=income, rounds=ROUNDS)
        for name, rule in once.items():
            yield run(rule).assign(rule=name, seed=seed, draw=0, prices=what)
        for draw in range(DRAWS):
            yield run(rules.by_chance(1000 * seed + draw)).assign(rule="chance", seed=seed, draw=draw, prices=what)


def hidden(folder: Path) -> Iterator[str]:
    """Hide one to three of the largest amounts of every curve, predict them from the others, and say how good that is, by seed."""
    yield "hidden amounts: share that the interval of 90 % holds; root mean square of the relative error of the law, and of the last loss as it is"
    for seed, market in markets(folder, PRICES):
        parts = []
        for target in PRICES:
            found = curves(market.losses(target, AMOUNTS[-1]))
            last = pd.DataFrame([(one.target, one.sources, *one.losses[0]) for one in found], columns=["target", "sources", *AMOUNTS])
            for count in (1, 2, 3):
                rows = coverage(found, count).merge(last, on=["target", "sources"])
                parts.append(rows.assign(last=rows[AMOUNTS[-1 - count]]))
        for factor, rows in pd.concat(parts).groupby("factor"):
            off = [np.sqrt(np.mean(np.log(rows[name] / rows["measured"]) ** 2)) for name in ("predicted", "last")]
            yield f"seed {seed}, {factor:g} times: {rows['within'].sum()} of {len(rows)}; {off[0]:.3f}, {off[1]:.3f}"


def told(found: pd.DataFrame) -> Iterator[str]:
    """Write the table of the docs: mean quality after some rounds, and over all rounds; and how often advice is ahead."""
    for what, rows in found.groupby("prices", sort=False):
        yield f"{what}: mean quality after rounds {', '.join(map(str, SHOWN))} of {ROUNDS}, and of all rounds (standard deviation over seeds)"
        overall = {str(rule): _by_round(one).iloc[1:].mean().to_numpy() for rule, one in rows.groupby("rule", sort=False)}
        for rule, seeds in overall.items():
            after = _by_round(rows[rows["rule"] == rule]).mean(axis=1)
            yield f"{rule:<22} {'  '.join(f'{after[number]:.3f}' for number in SHOWN)}   {seeds.mean():.4f} ({seeds.std(ddof=1):.4f})"
        for rule, seeds in overall.items():
            ahead = overall["advise"] - seeds
            yield f"advise less {rule}: {ahead.mean():+.4f}, ahead with {(ahead > 0).sum()} of {len(ahead)} seeds"


def _by_round(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the quality by round, a column for each seed, draws of chance averaged."""
    return rows.pivot_table(index="round", columns="seed", values="quality", aggfunc="mean")


COLOURS = {"advise": "#c2410c", "same money for each": "#2563eb", "same number for each": "#0e7490", "chance": "#737373", "in hindsight": "#15803d"}
WIDTH, HEIGHT, LEFT, TOP = 420, 300, 50, 40  # of one panel, pixels


def drawn(found: pd.DataFrame) -> str:
    """Draw mean quality against the share of the money, a panel for each way of pricing; the band is one standard deviation of the seeds."""
    low, high = np.floor(found["quality"].min() * 50) / 50, np.ceil(found["quality"].max() * 50) / 50
    panels = [
        f'<g transform="translate({number * (WIDTH + LEFT)} 0)">{"".join(_panel(str(what), rows, low, high))}</g>'
        for number, (what, rows) in enumerate(found.groupby("prices", sort=False))
    ]
    keys = [
        f'<g transform="translate({LEFT + 165 * number} {TOP + HEIGHT + 50})"><path d="M0-4h22" stroke="{colour}"/><text x="28">{rule}</text></g>'
        for number, (rule, colour) in enumerate(COLOURS.items())
    ]
    style = "text{font:13px sans-serif;fill:#404040}path{fill:none;stroke-width:2}.grid{stroke:#d4d4d4;stroke-width:1}"
    size = f"{2 * (WIDTH + LEFT) + 20} {TOP + HEIGHT + 64}"
    back = '<rect width="100%" height="100%" fill="#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}"><style>{style}</style>{back}{"".join([*panels, *keys])}</svg>\n'


def _panel(title: str, rows: pd.DataFrame, low: float, high: float) -> Iterator[str]:
    def at(number: float, quality: float) -> str:
        return f"{LEFT + WIDTH * number / ROUNDS:.1f} {TOP + HEIGHT * (high - quality) / (high - low):.1f}"

    yield f'<text x="{LEFT}" y="24" style="font-weight:600">{title}</text>'
    for quality in np.arange(low, high + 1e-9, 0.02):
        y = float(at(0, quality).split()[1]) + 4
        yield f'<path class="grid" d="M{at(0, quality)}L{at(ROUNDS, quality)}"/><text x="8" y="{y:.1f}">{quality:.2f}</text>'
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = float(at(share * ROUNDS, low).split()[0])
        yield f'<text x="{x:.1f}" y="{TOP + HEIGHT + 20}" text-anchor="middle">{share:.0%}{" of the money" if share == 0.5 else ""}</text>'
    for rule, colour in COLOURS.items():
        seeds = _by_round(rows[rows["rule"] == rule]).to_numpy()
        middle, spread = seeds.mean(axis=1), seeds.std(axis=1, ddof=1)
        if rule == "advise":
            edge = [at(n, q) for n, q in enumerate(middle + spread)] + [at(n, q) for n, q in reversed([*enumerate(middle - spread)])]
            yield f'<path d="M{"L".join(edge)}z" style="fill:{colour};fill-opacity:.15;stroke:none"/>'
        yield f'<path d="M{"L".join(at(n, q) for n, q in enumerate(middle))}" stroke="{colour}"/>'


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--measure", action="store_true", help="train what is not known yet")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(SEEDS), help="those to measure; others may be measured beside")
    parser.add_argument("-o", "--output", type=Path, help="where replay.csv and replay.svg go")
    args = parser.parse_args()
    if args.measure:
        measure(args.folder, args.seeds)
    else:
        parts = [*replays(args.folder, PRICES, "prices differ"), *replays(args.folder, dict.fromkeys(PRICES, 1.0), "equal prices")]
        found = pd.concat(parts, ignore_index=True)
        print("\n".join([*told(found), *hidden(args.folder)]))
        if args.output:
            means = found.groupby(["prices", "rule", "seed", "round"], sort=False)[["given", "spent", "quality", "excess"]].mean()
            write_csv(args.output / "replay.csv", means.round(6).reset_index())
            write_text(args.output / "replay.svg", drawn(found))
