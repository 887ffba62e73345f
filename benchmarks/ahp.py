"""AHP: seconds and peak memory from loss files on disk to affinities with intervals, and the bootstrap against a loop over resamples."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from taskonomy.affinity import ahp
from taskonomy.affinity.bootstrap import resampled_affinities
from taskonomy.affinity.losses_file import open_losses
from taskonomy.affinity.measure import measure
from taskonomy.affinity.win_rates import win_rates

SIZES = ((60, 17_000, 1000), (100, 1_000_000, 0), (100, 1_000_000, 200))


def write_losses(path: Path, candidates: int, images: int) -> None:
    rng = np.random.default_rng(0)
    losses = np.lib.format.open_memmap(path.with_suffix(".npy"), "w+", np.float32, (candidates, images))
    for row in losses:
        row[:] = rng.random(images, dtype=np.float32) + 0.3 * rng.random(dtype=np.float32)
    np.savez(path, losses=losses, candidates=np.array([f"s{number}" for number in range(candidates)]))
    path.with_suffix(".npy").unlink()


def one(path: Path, resamples: int) -> None:
    """In a process of its own, so that its peak memory is its own."""
    started = time.perf_counter()
    with open_losses(path) as data:
        ratio = measure(data, resamples=resamples).consistency_ratio
        shape = data.losses.shape
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = time.perf_counter() - started
    print(f"  {shape[0]} x {shape[1]:,}, {resamples} resamples: {seconds:6.2f} s, peak {peak:.2f} GiB; consistency ratio {ratio:.2g}")


def against_a_loop(candidates: int = 60, images: int = 17_000, resamples: int = 20) -> None:
    losses = np.random.default_rng(0).random((candidates, images), dtype=np.float32)
    names = [f"s{number}" for number in range(candidates)]
    started = time.perf_counter()
    resampled_affinities(losses, "target", names, 1000, np.random.default_rng(0))
    product = (time.perf_counter() - started) / 1000
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    for _ in range(resamples):
        ahp.affinities(win_rates(losses[:, rng.integers(0, images, images)], "target", names), images)
    loop = (time.perf_counter() - started) / resamples
    print(f"  one resample at {candidates} x {images:,}: {1000 * product:.1f} ms by product, {1000 * loop:.0f} ms by loop: {loop / product:.0f}x")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        one(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            for candidates, images, resamples in SIZES:
                path = Path(folder) / f"t{candidates}x{images}.npz"
                if not path.exists():
                    write_losses(path, candidates, images)
                subprocess.run([sys.executable, __file__, str(path), str(resamples)], check=True)
        against_a_loop()
