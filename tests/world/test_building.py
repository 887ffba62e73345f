from itertools import combinations

import numpy as np
import pytest
from tiny import unchecked

from taskonomy.labels.classes import OBJECT_VALUES, PLACES
from taskonomy.world import building as module
from taskonomy.world.building import Building, build
from taskonomy.world.meshes import capsule, cone, cushion, cylinder, prism, sphere
from taskonomy.world.placement import Placed


@pytest.fixture(scope="session")
def town() -> list[Building]:
    """A dozen buildings without their textures, which take most of the time; the first is held against the signatures of what makes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_bake", lambda _materials, _name, _seed, _side: np.zeros((0, 3), np.float32))
        first = build("b0", 0)
        with unchecked():
            return [first, *(build(f"b{number}", 0) for number in range(1, 12))]


def test_a_dozen_buildings_have_ten_types_of_rooms_that_places_knows(town):
    kinds = {room.kind for building in town for room in building.rooms}
    assert len(kinds) >= 10
    assert kinds <= set(PLACES)
    assert all(4 <= len(building.rooms) <= 6 for building in town)


def test_a_dozen_buildings_have_all_sixteen_classes_of_objects(town):
    assert {int(value) for building in town for value in building.categories} >= set(OBJECT_VALUES.values())


def test_no_two_buildings_share_a_room(town):
    rooms = [(room.low, room.high) for building in town for room in building.rooms]
    assert len(set(rooms)) == len(rooms)


def test_rooms_of_a_building_do_not_overlap(town):
    for building in town:
        for one, two in combinations(building.rooms, 2):
            gap = np.maximum(one.box[0] - two.box[1], two.box[0] - one.box[1])[:2].max()
            assert gap > 0.1


def test_every_room_can_be_reached(town):
    for building in town:
        reached = {0}
        for _ in building.rooms:
            reached |= {room for hole in building.openings if reached & set(hole.rooms) for room in hole.rooms}
        assert reached == set(range(len(building.rooms)))


def _boxes(placed: Placed) -> np.ndarray:
    return np.stack([shape.bounds for shape, _material in placed.model.parts])


def test_furniture_does_not_interpenetrate(town):
    for building in town[:8]:
        for room in building.placed:
            solid = [_boxes(one) for one in room if one.own.name != "rug"]
            for one, two in combinations(solid, 2):
                gap = np.maximum(one[:, None, 0] - two[None, :, 1], two[None, :, 0] - one[:, None, 1]).max(axis=-1)
                assert gap.min() > -1e-6


def test_furniture_stands_inside_its_room(town):
    for building in town:
        for room, placed in zip(building.rooms, building.placed, strict=True):
            for one in placed:
                assert (one.model.bounds[0] > room.box[0] - 1e-5).all()
                assert (one.model.bounds[1] < room.box[1] + 1e-5).all()


def test_what_is_not_on_the_floor_rests_on_a_shelf_or_hangs(town):
    for building in town[:8]:
        for room, placed in zip(building.rooms, building.placed, strict=True):
            shelves = np.array([shelf.height for one in placed for shelf in one.model.shelves])
            for one in placed:
                low, high = one.model.bounds
                at_wall = min(abs(low[:2] - room.box[0, :2]).min(), abs(high[:2] - room.box[1, :2]).min()) < 0.06
                below_ceiling = room.high[2] - high[2] < 0.01
                on_shelf = len(shelves) > 0 and abs(shelves - low[2]).min() < 2e-3
                assert low[2] < 0.02 or at_wall or below_ceiling or on_shelf, one.own.name


@pytest.mark.parametrize(
    "shape", [sphere(0.4), cylinder(0.3, 1), cone(0.3, 0.1, 1), capsule(0.2, 1), cushion(1, 0.8, 0.3, 0.1), prism([(0, 0), (1, 0), (0.5, 1)], 0.3)]
)
def test_shapes_are_closed_and_their_normals_point_outwards(shape):
    corner = shape.vertices[shape.faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    area = np.linalg.norm(across, axis=1)
    real = area > 1e-9
    # The area vectors of a closed surface add up to nothing.
    np.testing.assert_allclose(across.sum(axis=0), 0, atol=1e-4)
    assert np.einsum("fi,fi->f", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])).sum() > 0
    agree = np.einsum("fi,fki->fk", across[real] / area[real, None], shape.normals[shape.faces][real])
    assert agree.min() > 0.95


def test_normals_of_spheres_and_cylinders_are_those_of_the_round_thing():
    ball = sphere(0.4, 1, 2, 3)
    np.testing.assert_allclose(ball.normals, (ball.vertices - (1, 2, 3)) / 0.4, atol=1e-9)
    tube = cylinder(0.3, 1)
    side = abs(tube.normals[:, 2]) < 0.5
    np.testing.assert_allclose(tube.normals[side], tube.vertices[side] * (1, 1, 0) / 0.3, atol=1e-9)
