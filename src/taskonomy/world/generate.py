"""The built-in world on disk, in the released layout; one process per building builds, renders, annotates and writes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskonomy.annotate.annotations import annotate
from taskonomy.atomic_io import whole_folder
from taskonomy.config.data_params import WorldParams
from taskonomy.dataset.splits import divide
from taskonomy.machine.cores import on_every_core, progress
from taskonomy.release.formats import file_name, to_bytes
from taskonomy.release.split_lists import RELEASED_SPLITS, write_splits
from taskonomy.release.writer import write_building
from taskonomy.world.building import build
from taskonomy.world.cameras import views_of
from taskonomy.world.render import Renderer
from taskonomy.world.textures import drawn_side

NOT_WRITTEN = frozenset({"mask_valid"})  # nor is it in the release: it follows from depth_zbuffer


@dataclass(frozen=True)
class _Job:
    root: Path
    name: str
    params: WorldParams


def building_name(number: int) -> str:
    """Return the name of the building of this number. Seeds contain it, so a larger world begins with the same buildings."""
    return f"building{number:04}"


def make_world(root: Path, params: WorldParams, processes: int | None = None) -> dict[str, str]:
    """Write the world, one tar per building and domain, and its split list; the folder appears whole or not at all.

    Returns:
        The split of every building.
    """
    with whole_folder(root) as unfinished:
        jobs = [_Job(unfinished, building_name(number), params) for number in range(params.buildings)]
        with progress(params.buildings * params.points * params.views, "world", "views") as bar:
            for _job, views in on_every_core(_make_building, jobs, processes):
                bar.update(views)
        shares = [getattr(params.splits, name) for name in RELEASED_SPLITS]
        parts = divide({job.name: 1 for job in jobs}, shares, params.seed, "world")
        splits = {job.name: RELEASED_SPLITS[parts[job.name]] for job in jobs}
        write_splits(unfinished / "train_val_test_world.csv", splits)
    return splits


def _make_building(job: _Job) -> int:
    write_building(job.root, job.name, _files(job), layout="tar")
    return job.params.points * job.params.views


def _files(job: _Job) -> Iterator[tuple[str, str, bytes]]:
    params = job.params
    building = build(job.name, params.seed, drawn_side(params.resolution))
    renderer = Renderer(building)
    views, matches = views_of(
        building, points=params.points, views_per_point=params.views, resolution=params.resolution, seed=params.seed, rays=renderer.rays
    )
    for view in views:
        frame = renderer.render(view, samples=params.samples, seed=params.seed)
        values: dict[str, Any] = {**annotate(frame), "point_info": view.info}
        for domain in sorted(values.keys() - NOT_WRITTEN):
            yield domain, file_name(domain, view.point, view.view), to_bytes(domain, values[domain])
    for point, found in sorted(matches.items()):
        yield "nonfixated_matches", file_name("nonfixated_matches", point, "all"), to_bytes("nonfixated_matches", found)
