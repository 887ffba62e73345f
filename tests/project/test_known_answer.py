"""The example of `taskonomy init` has a known answer, which is found with all labels and with some of them."""

from pathlib import Path

import pytest
from data.to_policy import run_to_policy
from tiny import unchecked

from taskonomy.config.params import read_params
from taskonomy.config.policy_params import Role
from taskonomy.project.init import EXAMPLE, init


@pytest.mark.long  # networks are trained as long as in the example itself
@pytest.mark.parametrize("partial", [False, True], ids=["all labels", "some labels"])
def test_parts_are_transferred_from_distance_which_shows_the_same_surfaces(tmp_path: Path, partial: bool) -> None:
    """A pixel's distance says whether it is of floor, wall or a thing; the light, the floor's pattern and the camera's motion say nothing of it."""
    init(tmp_path / "project", partial=partial)
    whole = read_params(tmp_path / "project/params.yaml")
    params = whole.model_copy(
        update={
            "data": whole.data.model_copy(update={"root": str(tmp_path / "project" / EXAMPLE)}),
            "transfer": whole.transfer.model_copy(update={"targets": ("parts",)}),
            # From which one task to transfer, so that parts need not be labelled in full? Of pairs, 32 test images decide little.
            "policy": whole.policy.model_copy(update={"budget": 1, "max_order": 1, "roles": {"parts": Role.TARGET}}),
        }
    )
    with unchecked():
        run = run_to_policy(params, tmp_path)
    if partial:
        labelled = {task: sum(counts.values()) for task, counts in run.prepared.manifest["labelled"].items()}
        assert labelled["parts"] < 0.4 * labelled["distance"]
    affinity = dict(zip(run.table["sources"].map("+".join), run.table["affinity"], strict=True))
    assert affinity["distance"] > max(affinity[name] for name in ("light", "floor", "moved", "autoencoding"))
    (parts,) = run.policy.transfers
    assert parts.sources == ("distance",)
