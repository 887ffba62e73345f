"""Taskonomy: measure which vision tasks help which, and plan which labels to buy.

Zamir et al., "Taskonomy: Disentangling Task Transfer Learning", CVPR 2018 (arXiv 1804.08328).
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskonomy.inference.predictor import load_predictor

__all__ = ["load_predictor"]
__version__ = "0.1.0"

# One thread per process, before numpy loads: sums are then the same however many processes run in parallel, and two
# processes of one thread are faster than one of two. Variables that are set already are kept.
for _library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_library, "1")


def __getattr__(name: str) -> Any:
    """Provide `from taskonomy import load_predictor`, importing torch only when it is requested."""
    if name in __all__:
        from taskonomy.inference import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
