"""That calls are held against signatures while testing."""

import pytest
from jaxtyping import TypeCheckError
from tiny import unchecked

from taskonomy.annotate.pixel_scale import length
from taskonomy.world.meshes import Shape, rectangle


def test_a_wrong_type_is_an_error() -> None:
    with pytest.raises(TypeCheckError, match="resolution"):
        length(2.0, resolution="64", floor=1.0)


def test_a_wrong_shape_is_an_error_but_where_checks_are_off() -> None:
    good = rectangle((0, 0, 0), (1, 0, 0), (0, 1, 0))
    values = good.vertices[:, :2], good.normals, good.faces, good.local
    with pytest.raises(TypeCheckError, match="vertices"):
        Shape(*values)
    with unchecked():
        assert Shape(*values).vertices.shape == (4, 2)
    with pytest.raises(TypeCheckError, match="vertices"):
        Shape(*values)
