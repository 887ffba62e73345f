"""The paper's own findings, from a table of affinities: which of two tasks helps the other more, and what a beam loses against all sets of sources.

python benchmarks/findings.py data/published/affinities_16k.csv
python benchmarks/findings.py results/measured/affinities.csv
python benchmarks/findings.py --beams results/measured/affinities.csv --held-out results/measured/held_out.csv    # with profiles/all-sets.yaml
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from taskonomy.config.network_params import Beam
from taskonomy.evaluation.findings import beam_loss, pair, whole_order
from taskonomy.tables.table import read_table

PAIRS = (
    ("depth_zbuffer", "normal"),
    ("normal", "depth_zbuffer"),
    ("depth_euclidean", "normal"),
    ("normal", "depth_euclidean"),
    ("reshading", "normal"),
)
ORDER = 4  # the highest that is compared; the released measurements have all sets of the sources that they have pairs of


def pairs(table: pd.DataFrame) -> Iterator[str]:
    """Compare transfers in both directions."""
    yield f"{'transfer':<28} {'quality':>8} {'gain':>8} {'against scratch':>16} {'rank of the source':>19}"
    for source, target in PAIRS:
        one = pair(table, source, target)
        scratch = "-" if one.gain_scratch != one.gain_scratch else f"{one.gain_scratch:.3f}"
        yield f"{f'{source} -> {target}':<28} {one.quality:8.3f} {one.gain:8.3f} {scratch:>16} {f'{one.rank} of {one.of}':>19}"


def beams(table: pd.DataFrame) -> Iterator[str]:
    """Compare beams with all sets of the sources that the table has pairs of."""
    order = whole_order(table, ORDER)
    found = [beam_loss(table, beam, order) for beam in (1, 2, 3, Beam.PAPER)]
    yield f"of the {found[0].known} sets of up to {order} sources, for each of {table['target'].nunique()} targets"
    yield f"{'beam':<6} {'sets tried':>10} {'best set found':>15} {'affinity kept':>14} {'gain':>7} {'quality':>8}"
    for one in found:
        yield f"{one.beam:<6} {one.tried:10.1f} {one.found:15.0%} {one.affinity:14.1%} {one.gain:+7.3f} {one.quality:+8.3f}"


def on_held_out(table: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
    """Replace gain and quality by those on images that no affinity, and so no choice of a set, is based on."""
    columns = ["target", "sources", "gain", "quality"]
    return table.drop(columns=["gain", "quality"]).merge(held_out[columns], on=["target", "sources"], how="left", validate="one_to_one")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--beams", action="store_true", help="only what beams lose")
    parser.add_argument("--held-out", type=Path, help="table of the same transfers, whose gain and quality are shown instead")
    args = parser.parse_args()
    table = read_table(args.table)
    if args.held_out is not None:
        table = on_held_out(table, read_table(args.held_out))
    print("\n".join([*(() if args.beams else pairs(table)), *beams(table)]))
