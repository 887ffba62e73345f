"""Surface change in depth images, its amount and direction: at the borders of surfaces that occlude others, and at creases.

It follows the range images of the point cloud library (Steder et al., ICRA 2011, section II), which measures neighbourhoods in pixels at
every resolution. Arrays use the library's axes: right, down, and forward along the optical axis.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float64
from numba import njit

from taskonomy.annotate.pixel_scale import grown
from taskonomy.annotate.range_image import RangeImage

SURFACE_RADIUS = 2  # pixels: half the side of the window that a plane is fitted to
NEAREST = 9  # points of the window, including its middle, whose largest distance is the scale for what belongs to the surface
REACH = 3  # pixels beside a pixel whose mean is compared with it; also how far away the far side of a border may begin
PROBABLE = 0.8  # score from which a pixel is a border
BONUS = 0.5  # share of the gap between a score and 1 that its neighbours can close
DIRECTION_RADIUS, LEAST_DIRECTIONS = 2, 3  # pixels over which the direction of a border is averaged; fewest directions for an average
OPPOSITE = -0.5  # cosine below which two directions are not averaged
BESIDE = 0.95  # share of `PROBABLE`: pixels with a stronger border between them are not averaged
CHANGE_RADIUS = 2  # length, in pixels, of the beams along which normals are compared
STEPS = np.array([[0, -1], [0, 1], [-1, 0], [1, 0]])  # left, right, up, down, as rows and columns; the opposite is the number xor 1


@dataclass(frozen=True)
class Borders:
    """Where surfaces end.

    Attributes:
        scale: Squared distance to the ninth point around each pixel, metres; -1 without a surface.
        obstacle: Per direction of `STEPS`, whether a pixel is the last one before a jump.
        hidden: Pixels behind such a jump, or in the air between; they are no surface of their own.
    """

    scale: Float64[np.ndarray, "height width"]
    obstacle: Bool[np.ndarray, "4 height width"]
    hidden: Bool[np.ndarray, "height width"]


def borders(image: RangeImage) -> Borders:
    """Find the borders of surfaces in a range image."""
    scale = _scales(image.points, image.distance)
    obstacle, hidden = _borders(_reinforced(_border_scores(image.points, image.distance, scale)))
    return Borders(scale, obstacle, hidden)


def surface_change(
    image: RangeImage, found: Borders, wanted: Bool[np.ndarray, "height width"]
) -> tuple[Float64[np.ndarray, "height width"], Float64[np.ndarray, "height width 3"]]:
    """Compute the surface change at the wanted pixels of a range image with these borders; zeros elsewhere.

    Returns:
        Amounts in [0, 1]: 1 at the border of an occluding surface, elsewhere the deviation of the normals along their main axis; and unit
        vectors: away from the occluding surface, or the normals' main axis.
    """
    # Changes compare normals that far away, and average directions that far away.
    near = grown(wanted, max(CHANGE_RADIUS, DIRECTION_RADIUS))
    normal, centre = _surfaces(image.points, image.distance, found.scale, near)
    direction = _border_directions(image.points, image.rays, normal, centre, found.obstacle & near)
    direction = _averaged(image.points, image.distance, found.scale, direction, wanted)
    amount = _amounts(image.distance, normal, found.scale, found.hidden, direction, wanted)
    return amount, direction


@njit(cache=True)
@no_type_check
def _scales(points: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return the squared distance to the ninth point around each pixel, metres; -1 without a surface."""
    height, width = distance.shape
    scale = np.full((height, width), -1.0)
    nearest = np.zeros(NEAREST)
    for row in range(height):
        for column in range(width):
            if distance[row, column] <= 0:
                continue
            found = 0
            for other_row in range(max(row - SURFACE_RADIUS, 0), min(row + SURFACE_RADIUS + 1, height)):
                for other_column in range(max(column - SURFACE_RADIUS, 0), min(column + SURFACE_RADIUS + 1, width)):
                    if distance[other_row, other_column] > 0:
                        _insert(nearest, found, _square(points, row, column, other_row, other_column))
                        found += 1
            # These are within the limit of what belongs to the surface, so a plane can be fitted.
            if found >= 3:
                scale[row, column] = nearest[min(found, NEAREST) - 1]
    return scale


@njit(cache=True)
@no_type_check
def _square(points: np.ndarray, row: int, column: int, other_row: int, other_column: int) -> float:
    square = 0.0
    for k in range(3):
        square += (points[other_row, other_column, k] - points[row, column, k]) ** 2
    return square


@njit(cache=True)
@no_type_check
def _surfaces(points: np.ndarray, distance: np.ndarray, scale: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit the surface around each pixel of a mask: its normal, and its mean."""
    height, width = distance.shape
    normal = np.zeros((height, width, 3))
    centre = np.zeros((height, width, 3))
    covariance = np.zeros((3, 3))
    for row in range(height):
        for column in range(width):
            if not near[row, column] or scale[row, column] < 0:
                continue
            taken = 0
            mean = centre[row, column]
            covariance[:] = 0
            for other_row in range(max(row - SURFACE_RADIUS, 0), min(row + SURFACE_RADIUS + 1, height)):
                for other_column in range(max(column - SURFACE_RADIUS, 0), min(column + SURFACE_RADIUS + 1, width)):
                    if distance[other_row, other_column] > 0 and _square(points, row, column, other_row, other_column) <= 4 * scale[row, column]:
                        taken += 1
                        _gather(mean, covariance, points[other_row, other_column], taken)
            _axis(covariance, 0, normal[row, column])
            towards = 0.0
            for k in range(3):
                towards -= normal[row, column, k] * points[row, column, k]
            if towards < 0:
                normal[row, column] *= -1
    return normal, centre


@njit(cache=True)
@no_type_check
def _insert(nearest: np.ndarray, found: int, square: float) -> None:
    """Insert a number into the sorted smallest ones, of which `found` have been offered before."""
    place = min(found, len(nearest))
    if place == len(nearest):
        if square >= nearest[-1]:
            return
        place -= 1
    while place > 0 and nearest[place - 1] > square:
        nearest[place] = nearest[place - 1]
        place -= 1
    nearest[place] = square


@njit(cache=True)
@no_type_check
def _gather(mean: np.ndarray, covariance: np.ndarray, sample: np.ndarray, count: int) -> None:
    """Update mean and covariance with the `count`-th sample."""
    share = 1.0 / count
    for i in range(3):
        for j in range(3):
            off = share * (sample[i] - mean[i]) * (sample[j] - mean[j])
            covariance[i, j] = (1 - share) * (covariance[i, j] + off)
    for i in range(3):
        mean[i] += share * (sample[i] - mean[i])


@njit(cache=True)
@no_type_check
def _axis(matrix: np.ndarray, which: int, vector: np.ndarray) -> float:
    """Compute the smallest (0) or largest (2) eigenvalue of a covariance matrix, and its unit vector.

    Both have closed forms. The vector is the longest cross product of two rows of the matrix minus the eigenvalue, which fixes its sign;
    it is zero where there is no such axis.
    """
    size = 0.0
    for i in range(3):
        for j in range(3):
            size = max(size, abs(matrix[i, j]))
    vector[:] = 0
    if size <= 0:
        return 0.0
    xx, yy, zz = matrix[0, 0] / size, matrix[1, 1] / size, matrix[2, 2] / size
    xy, xz, yz = matrix[0, 1] / size, matrix[0, 2] / size, matrix[1, 2] / size
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    spread = np.sqrt((a * a + b * b + c * c + 2 * (xy * xy + xz * xz + yz * yz)) / 6)
    if spread <= 0:
        return mean * size
    half = (a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)) / (2 * spread**3)
    angle = np.arccos(min(max(half, -1.0), 1.0)) / 3
    if which == 0:
        angle += 2 * np.pi / 3
    value = mean + 2 * spread * np.cos(angle)
    xx, yy, zz = xx - value, yy - value, zz - value
    best = 0.0
    for pair in range(3):
        if pair == 0:
            x, y, z = xy * yz - xz * yy, xz * xy - xx * yz, xx * yy - xy * xy
        elif pair == 1:
            x, y, z = xy * zz - xz * yz, xz * xz - xx * zz, xx * yz - xy * xz
        else:
            x, y, z = yy * zz - yz * yz, yz * xz - xy * zz, xy * yz - yy * xz
        length = x * x + y * y + z * z
        if length > best:
            best = length
            vector[0], vector[1], vector[2] = x, y, z
    if best > 0:
        vector /= np.sqrt(best)
    return value * size


@njit(cache=True)
@no_type_check
def _jump(points: np.ndarray, distance: np.ndarray, scale: np.ndarray, row: int, column: int, down: int, right: int, count: int) -> float:
    """Score how much farther away the next `count` pixels are than the surface's own points: 0 no farther, 1 infinitely; negative if nearer."""
    height, width = distance.shape
    x = y = z = away = 0.0
    found = 0
    for step in range(1, count + 1):
        other_row, other_column = row + step * down, column + step * right
        if 0 <= other_row < height and 0 <= other_column < width and distance[other_row, other_column] > 0:
            x += points[other_row, other_column, 0]
            y += points[other_row, other_column, 1]
            z += points[other_row, other_column, 2]
            away += distance[other_row, other_column]
            found += 1
    if found == 0:
        return 0.0
    square = (x / found - points[row, column, 0]) ** 2 + (y / found - points[row, column, 1]) ** 2 + (z / found - points[row, column, 2]) ** 2
    if square <= scale[row, column]:
        return 0.0
    score = 1 - np.sqrt(scale[row, column] / square)
    return -score if away / found < distance[row, column] else score


@njit(cache=True)
@no_type_check
def _border_scores(points: np.ndarray, distance: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Score, per direction of `STEPS`, how likely the surface ends there."""
    height, width = distance.shape
    scores = np.zeros((4, height, width))
    for row in range(height):
        for column in range(width):
            if scale[row, column] >= 0:
                for k in range(4):
                    scores[k, row, column] = _jump(points, distance, scale, row, column, STEPS[k, 0], STEPS[k, 1], REACH)
    return scores


@njit(cache=True)
@no_type_check
def _reinforced(scores: np.ndarray) -> np.ndarray:
    """Strengthen scores by their neighbours' mean of the same sign; those that cannot reach `PROBABLE` stay as they are."""
    _four, height, width = scores.shape
    stronger = scores.copy()
    for k in range(4):
        for row in range(height):
            for column in range(width):
                score = scores[k, row, column]
                if score + BONUS * (1 - score) < PROBABLE:
                    continue
                total = 0.0
                count = 0
                for other_row in range(max(row - 1, 0), min(row + 2, height)):
                    for other_column in range(max(column - 1, 0), min(column + 2, width)):
                        if other_row != row or other_column != column:
                            total += scores[k, other_row, other_column]
                            count += 1
                if total * score >= 0:
                    stronger[k, row, column] = score + BONUS * total / count * (1 - abs(score))
    return stronger


@njit(cache=True)
@no_type_check
def _borders(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, per direction, whether a pixel is the last one before a jump; and which pixels lie behind a jump, or in the air between.

    Scores without a far side within reach do not count, nor do those that are no maximum along their direction.
    """
    _four, height, width = scores.shape
    behind = np.zeros((4, height, width), np.int64)  # number of pixels to where the far side begins; 0: no border
    for k in range(4):
        for row in range(height):
            for column in range(width):
                if scores[k, row, column] >= PROBABLE:
                    behind[k, row, column] = _far_side(scores, k, row, column)
    obstacle = np.zeros((4, height, width), np.bool_)
    hidden = np.zeros((height, width), np.bool_)
    for k in range(4):
        down, right = STEPS[k, 0], STEPS[k, 1]
        for row in range(height):
            for column in range(width):
                steps = behind[k, row, column]
                if steps > 0 and _is_maximum(scores[k], row, column, down, right, steps):
                    obstacle[k, row, column] = True
                    for step in range(1, steps + 1):
                        hidden[row + step * down, column + step * right] = True
    return obstacle, hidden


@njit(cache=True)
@no_type_check
def _far_side(scores: np.ndarray, k: int, row: int, column: int) -> int:
    """Return the pixels to the strongest score of a far side, 0 if there is none, and lower the score of the near side accordingly."""
    _four, height, width = scores.shape
    steps = 0
    best = 0.0
    for step in range(1, REACH + 1):
        other_row, other_column = row + step * STEPS[k, 0], column + step * STEPS[k, 1]
        if 0 <= other_row < height and 0 <= other_column < width and scores[k ^ 1, other_row, other_column] < best:
            best = scores[k ^ 1, other_row, other_column]
            steps = step
    if steps > 0:
        scores[k, row, column] *= max(0.9, 1 - (1 + best) ** 3)
        if scores[k, row, column] >= PROBABLE:
            return steps
    scores[k, row, column] = 0.0
    return 0


@njit(cache=True)
@no_type_check
def _is_maximum(score: np.ndarray, row: int, column: int, down: int, right: int, steps: int) -> bool:
    """Return whether no pixel scores higher, from the one before this to the one before the far side."""
    height, width = score.shape
    for step in range(-1, steps):
        other_row, other_column = row + step * down, column + step * right
        if 0 <= other_row < height and 0 <= other_column < width and score[other_row, other_column] > score[row, column]:
            return False
    return True


@njit(cache=True)
@no_type_check
def _border_directions(points: np.ndarray, rays: np.ndarray, normal: np.ndarray, centre: np.ndarray, obstacle: np.ndarray) -> np.ndarray:
    """Return, for border pixels, the unit vector along their surface to where the next pixel would lie; zero for others and between two borders."""
    _four, height, width = obstacle.shape
    direction = np.zeros((height, width, 3))
    for row in range(height):
        for column in range(width):
            down = right = 0
            for k in range(4):
                if obstacle[k, row, column]:
                    down += STEPS[k, 0]
                    right += STEPS[k, 1]
            if down == 0 and right == 0:
                continue
            x = rays[row, column, 0] + right * (rays[0, 1, 0] - rays[0, 0, 0])
            y = rays[row, column, 1] + down * (rays[1, 0, 1] - rays[0, 0, 1])
            n = normal[row, column]
            facing = n[0] * x + n[1] * y + n[2]
            if facing == 0:
                continue
            reach = (n[0] * centre[row, column, 0] + n[1] * centre[row, column, 1] + n[2] * centre[row, column, 2]) / facing
            direction[row, column, 0] = reach * x - points[row, column, 0]
            direction[row, column, 1] = reach * y - points[row, column, 1]
            direction[row, column, 2] = reach - points[row, column, 2]
            _to_unit(direction[row, column])
    return direction


@njit(cache=True)
@no_type_check
def _to_unit(vector: np.ndarray) -> None:
    length = np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    if length > 0:
        vector /= length


@njit(cache=True)
@no_type_check
def _any(vector: np.ndarray) -> bool:
    return vector[0] != 0 or vector[1] != 0 or vector[2] != 0


@njit(cache=True)
@no_type_check
def _averaged(points: np.ndarray, distance: np.ndarray, scale: np.ndarray, direction: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Average wanted border directions with those nearby that are not opposite and lie on the same surface; zero where there are too few."""
    height, width = distance.shape
    mean = np.zeros((height, width, 3))
    for row in range(height):
        for column in range(width):
            own = direction[row, column]
            if not wanted[row, column] or not _any(own):
                continue
            total = mean[row, column]
            total[:] = own
            count = 1
            for other_row in range(max(row - DIRECTION_RADIUS, 0), min(row + DIRECTION_RADIUS + 1, height)):
                for other_column in range(max(column - DIRECTION_RADIUS, 0), min(column + DIRECTION_RADIUS + 1, width)):
                    other = direction[other_row, other_column]
                    if (other_row == row and other_column == column) or not _any(other):
                        continue
                    if own[0] * other[0] + own[1] * other[1] + own[2] * other[2] < OPPOSITE:
                        continue
                    between = _jump(points, distance, scale, row, column, other_row - row, other_column - column, 1)
                    if abs(between) < BESIDE * PROBABLE:
                        for k in range(3):
                            total[k] += other[k]
                        count += 1
            if count < LEAST_DIRECTIONS:
                total[:] = 0
            else:
                _to_unit(total)
    return mean


@njit(cache=True)
@no_type_check
def _amounts(
    distance: np.ndarray, normal: np.ndarray, scale: np.ndarray, hidden: np.ndarray, direction: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Compute the amount of change at each wanted pixel, and fill in the direction of pixels that are not on a border."""
    height, width = distance.shape
    amount = np.zeros((height, width))
    mean = np.zeros(3)
    covariance = np.zeros((3, 3))
    for row in range(height):
        for column in range(width):
            if not wanted[row, column] or hidden[row, column] or scale[row, column] < 0:
                direction[row, column] = 0
            elif _any(direction[row, column]):
                amount[row, column] = 1.0
            else:
                mean[:] = 0
                covariance[:] = 0
                if _gather_normals(mean, covariance, distance, normal, scale, hidden, row, column) >= 3:
                    amount[row, column] = min(np.sqrt(max(_axis(covariance, 2, direction[row, column]), 0.0)), 1.0)
    return amount


@njit(cache=True)
@no_type_check
def _gather_normals(
    mean: np.ndarray, covariance: np.ndarray, distance: np.ndarray, normal: np.ndarray, scale: np.ndarray, hidden: np.ndarray, row: int, column: int
) -> int:
    """Gather normals along eight beams from a pixel, each until it meets a hidden pixel; return their number."""
    height, width = distance.shape
    count = 0
    open_beams = 0b111101111  # all but the middle one
    for step in range(1, CHANGE_RADIUS + 1):
        for beam in range(9):
            other_row, other_column = row + step * (beam // 3 - 1), column + step * (beam % 3 - 1)
            if not open_beams >> beam & 1 or not (0 <= other_row < height and 0 <= other_column < width) or distance[other_row, other_column] <= 0:
                continue
            if hidden[other_row, other_column]:
                open_beams ^= 1 << beam
            elif scale[other_row, other_column] >= 0:
                count += 1
                _gather(mean, covariance, normal[other_row, other_column], count)
    return count
