"""The state of an unfinished training is what was written under its unit's key, or the training begins anew; nothing in between."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_units import KEY, Making, unit
from tiny import KilledError, files_of

from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.store.store import Store, key_of
from taskonomy.training.checkpoint import load_training
from taskonomy.training.cuda_graphs import adam

OTHER = key_of(unit="other")


def killed(prepared: Prepared, root: Path, key: str = KEY, **changes: object) -> bytes:
    """The state that a training leaves which is killed in its third epoch."""

    def kill(epoch: int, _curve: object) -> None:
        if epoch == 1:
            raise KilledError

    with pytest.raises(KilledError):
        unit(prepared, root, key=key, each_epoch=kill, **changes)
    return Store(root).unfinished(key).read_bytes()


@pytest.fixture(scope="module")
def state(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return killed(prepared, tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def of_another(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of a unit of the same form, with another seed."""
    return killed(prepared, tmp_path_factory.mktemp("other"), OTHER, seed=1)


@pytest.fixture(scope="module")
def whole(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("undisturbed")
    unit(prepared, root)
    return files_of(root)


def flipped(data: bytes, bit: int) -> bytes:
    place = bit // 8
    return data[:place] + bytes([data[place] ^ (1 << bit % 8)]) + data[place + 1 :]


def fresh(prepared: Prepared) -> tuple[torch.nn.Module, torch.optim.Adam]:
    torch.manual_seed(5)
    network = Making(prepared)()
    return network, adam(network, 1e-3, 0.0, torch.device("cpu"))


def is_taken(
    path: Path, prepared: Prepared, capsys: pytest.CaptureFixture[str], begun: tuple[torch.nn.Module, torch.optim.Adam] | None = None
) -> bool:
    """Whether the state is gone on with, by a fresh network or one that was given; where not, nothing may have come of it but a line that says so."""
    capsys.readouterr()
    network, optimizer = begun or fresh(prepared)
    before = [value.clone() for value in network.state_dict().values()]
    loaded = load_training(path, [(network, optimizer)])
    said = capsys.readouterr().err
    if loaded is not None:
        assert said == ""
        return True
    assert said.startswith(f"{path}: ")
    assert said.endswith("so it is removed and its training begins anew\n")
    assert said.count("\n") == 1
    assert not path.exists()
    assert all(torch.equal(one, other) for one, other in zip(before, network.state_dict().values(), strict=True))
    assert optimizer.state_dict()["state"] == {}
    return False


def test_no_flipped_bit_is_gone_on_with(prepared, state, tmp_path, capsys):
    """Everywhere in the file, and in each bit of the seal, of the length of the header and of the header's start."""
    path = tmp_path / f"{KEY}.state"
    path.write_bytes(state)
    assert is_taken(path, prepared, capsys)
    drawn = np.random.default_rng(0).choice(8 * len(state), 400, replace=False).tolist()
    begun = fresh(prepared)  # which each of them leaves as it is
    for bit in [*drawn, *range(8 * 40), 8 * len(state) - 1]:
        path.write_bytes(flipped(state, bit))
        assert not is_taken(path, prepared, capsys, begun), f"bit {bit} of {8 * len(state)}"


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 24, 1000, -4096, -1])
def test_no_part_of_a_state_is_gone_on_with(prepared, state, size, tmp_path, capsys):
    path = tmp_path / f"{KEY}.state"
    path.write_bytes(state[:size])
    assert not is_taken(path, prepared, capsys)
    path.write_bytes(state + state[:size] + b"\0")
    assert not is_taken(path, prepared, capsys)


def test_the_state_of_another_unit_is_not_gone_on_with(prepared, of_another, tmp_path, capsys):
    """Though it is whole, and of a network of the same form."""
    mine, its = tmp_path / f"{KEY}.state", tmp_path / f"{OTHER}.state"
    its.write_bytes(of_another)
    assert is_taken(its, prepared, capsys)
    mine.write_bytes(of_another)
    assert not is_taken(mine, prepared, capsys)


DAMAGE: dict[str, Callable[[bytes, bytes], bytes]] = {
    "a flipped bit of a weight": lambda state, other: flipped(state, 8 * len(state) - 2000),
    "cut off": lambda state, other: state[: len(state) // 2],
    "empty": lambda state, other: b"",
    "another unit's": lambda state, other: other,
    "of no form": lambda state, other: b"{}" * 100,
    "without its seal": lambda state, other: state[16:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_after_damage_a_training_begins_anew_says_so_once_and_ends_with_the_same_bits(prepared, state, of_another, whole, damage, tmp_path, capsys):
    path = Store(tmp_path).unfinished(KEY)
    path.write_bytes(DAMAGE[damage](state, of_another))
    shown: list[int] = []
    unit(prepared, tmp_path, each_epoch=lambda epoch, _curve: shown.append(epoch))
    assert capsys.readouterr().err.splitlines() == [f"{path}: damaged, so it is removed and its training begins anew"]
    assert shown == [0, 1, 2]
    assert files_of(tmp_path) == whole
    assert not path.exists()


def test_a_whole_state_is_gone_on_with_in_silence_and_to_the_same_bits(prepared, state, whole, tmp_path, capsys):
    Store(tmp_path).unfinished(KEY).write_bytes(state)
    unit(prepared, tmp_path)
    assert capsys.readouterr().err == ""
    assert files_of(tmp_path) == whole


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self/mem").exists(), reason="no file that its owner cannot read")
def test_a_state_that_cannot_be_read_is_damage_too(prepared, tmp_path, capsys):
    """Reading this file from its start fails with an error of the disk, whoever reads it."""
    path = tmp_path / f"{KEY}.state"
    path.symlink_to("/proc/self/mem")
    assert not is_taken(path, prepared, capsys)
