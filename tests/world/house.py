"""One small building and its views, shared: building it takes seconds."""

import pytest

from taskonomy.world.building import Building, build
from taskonomy.world.cameras import CameraView, views_of
from taskonomy.world.render import Renderer

RESOLUTION = 32
SEED = 3


@pytest.fixture(scope="session")
def building() -> Building:
    return build("house", SEED)


@pytest.fixture(scope="session")
def scenery(building: Building) -> tuple[list[CameraView], dict[int, dict]]:
    return views_of(building, points=10, views_per_point=3, resolution=RESOLUTION, seed=SEED)


@pytest.fixture(scope="session")
def views(scenery: tuple[list[CameraView], dict[int, dict]]) -> list[CameraView]:
    return scenery[0]


@pytest.fixture(scope="session")
def frames(building: Building, views: list[CameraView]) -> list:
    renderer = Renderer(building)
    return [renderer.render(view, samples=4, seed=SEED) for view in views]
