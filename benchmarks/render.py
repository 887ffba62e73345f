"""The built-in world: seconds to build a building and to choose its views, and views rendered per second by one process on one core."""

import time

from taskonomy.world.building import build
from taskonomy.world.cameras import views_of
from taskonomy.world.render import Renderer
from taskonomy.world.textures import drawn_side

BUILDINGS, SAMPLES = 2, 9
SIZES = ((64, 60), (128, 24), (256, 9))


def main() -> None:
    warm = build("warm", 0)
    Renderer(warm).render(views_of(warm, points=1, views_per_point=3, resolution=16, seed=0)[0][0], samples=SAMPLES, seed=0)
    for resolution, count in SIZES:
        building_seconds = view_seconds = render_seconds = 0.0
        rendered = 0
        for number in range(BUILDINGS):
            started = time.perf_counter()
            building = build(f"building{number}", 0, drawn_side(resolution))
            built = time.perf_counter()
            views, _matches = views_of(building, points=count // 3, views_per_point=3, resolution=resolution, seed=0)
            renderer = Renderer(building)
            chosen = time.perf_counter()
            for view in views:
                renderer.render(view, samples=SAMPLES, seed=0)
            render_seconds += time.perf_counter() - chosen
            view_seconds += chosen - built
            building_seconds += built - started
            rendered += len(views)
        print(
            f"{resolution:3} px, {SAMPLES} samples: {rendered / render_seconds:5.1f} views per second and core"
            f" ({building_seconds / BUILDINGS:.2f} s per building, {1000 * view_seconds / rendered:.0f} ms to choose a view)"
        )


if __name__ == "__main__":
    main()
