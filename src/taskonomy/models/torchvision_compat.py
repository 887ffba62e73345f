"""torchvision beside a build of torch without CUDA.

PyPI's torchvision is built for CUDA. Beside a CPU build of torch its compiled operators do not load, and its import then fails where it
attaches fake implementations to operators that nobody defined. Defining their schemas first, only where they are missing, lets the Python
part (models, transforms) work. Nothing here computes with those operators.
"""

from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch

# What `torchvision/_meta_registrations.py` expects to find when it is imported.
_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def import_torchvision() -> ModuleType:
    """Import torchvision beside whichever build of torch is installed."""
    if not _operators_load():
        for name, schema in _SCHEMAS.items():
            if not hasattr(torch.ops.torchvision, name):
                _DEFINITIONS.define(schema)
    import torchvision

    return torchvision


_DEFINITIONS = torch.library.Library("torchvision", "FRAGMENT")  # kept in a variable: definitions last only as long as their library


def _operators_load() -> bool:
    """Try to load torchvision's compiled operators, as its import will do again; return False where they are built for another torch."""
    package = find_spec("torchvision")
    if package is None or package.submodule_search_locations is None:
        raise ImportError("torchvision is not installed: make setup")
    compiled = [path for folder in package.submodule_search_locations for path in sorted(Path(folder).glob("_C*"))]
    try:
        for path in compiled:
            torch.ops.load_library(str(path))
    except OSError:
        return False
    return bool(compiled)
