"""Where networks compute: what a parameter means where there are so many GPUs."""

import os
import subprocess
import sys

import pytest
import torch

from taskonomy.compute.executor import LOCAL, executor_of
from taskonomy.config.execution_params import ExecutionParams
from taskonomy.errors import TaskonomyError
from taskonomy.machine.device import device_of, fastest
from taskonomy.machine.environment import DETERMINISTIC, DEVICE


@pytest.mark.parametrize(
    ("wanted", "gpus", "device"),
    [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda"), ("cuda:1", 2, "cuda:1")],
)
def test_a_device_is_what_is_asked_for_and_there(wanted, gpus, device):
    assert device_of(wanted, gpus) == torch.device(device)


@pytest.mark.parametrize(("wanted", "gpus", "there"), [("cuda", 0, "there is none"), ("cuda:2", 2, "there is 2 of them")])
def test_a_gpu_that_is_not_there_is_one_line(wanted, gpus, there):
    with pytest.raises(TaskonomyError, match=rf"^execution\.device: {wanted} needs an NVIDIA GPU that torch can use, and {there}") as caught:
        device_of(wanted, gpus)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_parameter_reaches_this_process_and_those_of_its_workers(monkeypatch):
    for name in (DEVICE, DETERMINISTIC):
        monkeypatch.setenv(name, "")
    with executor_of(ExecutionParams(device="cuda", deterministic=False)) as found:
        assert found is LOCAL
        with pytest.raises(TaskonomyError, match=r"execution\.device: cuda"):
            fastest()
        script = "from taskonomy.machine.device import fastest; fastest()"
        child = subprocess.run(
            (sys.executable, "-c", script), env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True
        )
        assert "execution.device: cuda needs" in child.stderr
    with executor_of(ExecutionParams(device="cpu")):
        assert fastest() == torch.device("cpu")


def test_deterministic_algorithms_are_asked_for_and_give_warnings_not_errors():
    script = (
        "import torch\nfrom taskonomy.machine.device import same_bits_each_time\nvariables = {}\nsame_bits_each_time(variables)\n"
        "assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()\n"
        "assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark\nprint(variables)"
    )
    found = subprocess.run(
        (sys.executable, "-c", script), env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "{'CUBLAS_WORKSPACE_CONFIG': ':4096:8'}"
