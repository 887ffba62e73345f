"""torchvision works beside the torch that is installed, CPU build or CUDA build."""

import subprocess
import sys

from waiting import HANG

PROGRAM = """
import torch
from taskonomy.models.torchvision_compat import import_torchvision
torchvision = import_torchvision()
assert import_torchvision() is torchvision
from torchvision.transforms import v2
torch.manual_seed(0)
features = torchvision.models.resnet18(weights=None).eval()(torch.rand(2, 3, 64, 64))
resized = v2.functional.resize(torch.rand(3, 32, 48), [16, 24])
print(tuple(features.shape), tuple(resized.shape), torch.isfinite(features).all().item())
"""


def test_models_and_transforms_work_with_the_installed_torch() -> None:
    done = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", PROGRAM], capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "(2, 1000) (3, 16, 24) True"


def test_without_the_guard_a_cpu_torch_cannot_import_a_cuda_torchvision() -> None:
    """The guard is needed: when this fails, torchvision has learned to do without its operators, and the guard can go."""
    probe = "import torch, importlib.metadata as m; print(torch.version.cuda, '+cpu' in m.version('torchvision'))"
    cuda, cpu_vision = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=HANG, check=True).stdout.split()
    done = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True, timeout=HANG)
    assert (done.returncode != 0) == (cuda == "None" and cpu_vision == "False")
