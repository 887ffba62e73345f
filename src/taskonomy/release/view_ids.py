"""Identities of views, in eight bytes each: a release has millions, and nothing else about them stays in memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import overload

import numpy as np
from jaxtyping import Int64

from taskonomy.release.file_names import ALL
from taskonomy.release.formats import ViewKey


@dataclass(frozen=True)
class Keys(Sequence[ViewKey]):
    """Sequence of views, grouped by building.

    Attributes:
        buildings: Names of the buildings, in order.
        starts: First row of each building, followed by the number of rows.
        packed: Point << 32 | view of each row.
    """

    buildings: tuple[str, ...]
    starts: Int64[np.ndarray, " buildings_and_one"]
    packed: Int64[np.ndarray, " views"]

    @classmethod
    def of(cls, parts: Iterable[tuple[str, Int64[np.ndarray, " views"]]]) -> "Keys":
        """Build keys from buildings and their views; a building without views is left out."""
        held = [(name, packed) for name, packed in parts if len(packed)]
        starts = np.cumsum([0, *(len(packed) for _name, packed in held)], dtype=np.int64)
        return cls(tuple(name for name, _packed in held), starts, np.concatenate([np.zeros(0, np.int64), *(packed for _name, packed in held)]))

    @property
    def sizes(self) -> dict[str, int]:
        """Return the number of views of each building."""
        return dict(zip(self.buildings, np.diff(self.starts).tolist(), strict=True))

    @property
    def points(self) -> Int64[np.ndarray, " views"]:
        """Return the point of each row."""
        return self.packed >> 32

    @property
    def views(self) -> Int64[np.ndarray, " views"]:
        """Return the view of each row."""
        return self.packed & ALL

    @property
    def building_of(self) -> Int64[np.ndarray, " views"]:
        """Return the position of each row's building."""
        return np.repeat(np.arange(len(self.buildings)), np.diff(self.starts))

    def buildings_of(self, first: int, end: int) -> tuple[str, ...]:
        """Return the buildings that the rows from `first` to before `end` belong to."""
        a, b = np.searchsorted(self.starts, (first, end - 1), side="right")
        return self.buildings[a - 1 : b]

    def only(self, buildings: Iterable[str]) -> "Keys":
        """Return the rows of these buildings, in their present order."""
        wanted = set(buildings)
        return Keys.of((name, self.packed[a:b]) for name, a, b in self.parts() if name in wanted)

    def parts(self) -> Iterator[tuple[str, int, int]]:
        """Yield each building's name, its first row, and the row after its last."""
        ends = self.starts.tolist()
        yield from zip(self.buildings, ends[:-1], ends[1:], strict=True)

    def digest(self) -> str:
        """Return a digest of all views, in order."""
        text = "\n".join(f"{name} {size}" for name, size in self.sizes.items())
        return blake2b(text.encode() + b"\0" + self.packed.tobytes(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self.packed)

    @overload
    def __getitem__(self, row: int) -> ViewKey: ...
    @overload
    def __getitem__(self, row: slice) -> list[ViewKey]: ...
    def __getitem__(self, row: int | slice) -> ViewKey | list[ViewKey]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        place = range(len(self))[row]
        packed = int(self.packed[place])
        return ViewKey(self.buildings[int(np.searchsorted(self.starts, place, side="right")) - 1], packed >> 32, packed & ALL)
