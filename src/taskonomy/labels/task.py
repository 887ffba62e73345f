"""A task: its label, and how a network learns it. The entries are in `taskonomy.tasks`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from taskonomy.errors import TaskonomyError
from taskonomy.labels.encodings import Head, Input, Label, Loss, Output
from taskonomy.labels.jigsaw import TILES


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: Name of the released domain, if one was released.
        title: Name shown to people.
        family: A key of `FAMILIES`.
        published_key: Its key in the authors' result files.
        label: What a network learns; None if there is no network to train.
        loss: Loss that the network is trained with.
        head: The last layers of the network.
        input: Alteration of the image before it is encoded.
        images: Images per sample.
        group: Function that forms samples of several images from views; None for single images.
        roles: Roles that it may have: source, target.
        picture: How its label is drawn: a key of `taskonomy.tasks.visualize.PICTURES`; empty: as numbers.
        classes: Names of its class ids, if the declaration of a user's own task has them.
    """

    name: str
    title: str
    family: str
    published_key: str
    label: Label | None = None
    loss: Loss | None = None
    head: Head | None = None
    input: Input = Input.IMAGE
    images: int = 1
    group: Callable[..., Any] | None = None
    roles: tuple[str, ...] = ("source", "target")
    picture: str = ""
    classes: tuple[str, ...] = ()

    @property
    def tiles(self) -> int:
        """Count the images that one forward pass encodes: the jigsaw's nine tiles are cut from one image."""
        return TILES if self.input is Input.TILES else self.images

    @property
    def in_channels(self) -> int:
        """Count the channels of the images that the encoder sees."""
        return 1 if self.input is Input.LIGHTNESS else 3

    @property
    def outputs(self) -> int:
        """Count the channels or numbers of a network's output: egomotion's third pose is composed from the other two.

        Raises:
            TaskonomyError: The task has no head.
        """
        channels = self.learnt_head.channels
        return channels * 2 // 3 if self.loss is Loss.EGOMOTION else channels

    @property
    def heads(self) -> int:
        """Count the independent decoders of one representation; the reference's two for egomotion share nothing and are not normalised."""
        return 2 if self.loss is Loss.EGOMOTION else 1

    @property
    def learnt_head(self) -> Head:
        """Return the head.

        Raises:
            TaskonomyError: The task has none, so there is nothing to learn.
        """
        if self.head is None:
            raise TaskonomyError(f"{self.name} has no network of its own: it has no label to learn")
        return self.head

    @property
    def output(self) -> Output:
        """Return the kind of its output. A task without a head has a map: its codes."""
        if self.loss is not None and self.loss.compares_outputs:
            return Output.METRIC
        if self.head is None or not self.head.layers:
            return Output.MAP
        return Output.CLASSES if self.loss in (Loss.CROSS_ENTROPY, Loss.BINARY_CROSS_ENTROPY, Loss.SOFT_CROSS_ENTROPY) else Output.VECTOR

    def input_side(self, side: int, tile_side: int | None) -> int:
        """Return the side of the encoder's input in pixels: that of the image, or of the tiles cut from it."""
        return tile_side if self.input is Input.TILES and tile_side else side

    def output_shape(self, side: int) -> tuple[int, ...]:
        """Return the shape of one sample's output for images of this side."""
        head = self.learnt_head
        return (self.outputs,) if head.layers else (self.outputs, side // head.shrink, side // head.shrink)
