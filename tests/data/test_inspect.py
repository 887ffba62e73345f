"""What `taskonomy data inspect` counts and says."""

from pathlib import Path

import numpy as np
from by_hand import DOMAINS, contents, name, npy, release, write_folder, write_tar

from taskonomy.data.inspect import DomainCount, inspect


def test_a_sound_release_is_counted(tmp_path: Path):
    (release(tmp_path, "tars") / "train_val_test_tiny.csv").write_bytes(b"id,train,val,test\rcauthron,0,0,1\relsewhere,1,0,0")
    summary = inspect(tmp_path)
    assert (summary.views, summary.points, summary.views_per_point) == (8, 4, (2, 2))
    assert summary.resolutions == {(8, 8): 8}
    assert summary.domains == {domain: DomainCount(4 if domain == "nonfixated_matches" else 8, 0, 0) for domain in DOMAINS}
    assert summary.damages == []
    assert summary.unread == []
    assert summary.render().splitlines()[:7] == [
        f"{tmp_path}: <building>_<domain>.tar",
        "buildings   2: ackermanville, cauthron",
        "views       8 of 4 points, 2 each",
        "resolution  8 x 8 pixels (8 views sampled)",
        "splits      train 0, val 0, test 1 of the buildings here; in no list: ackermanville",
        "",
        "domain              files  missing  without rgb",
    ]
    assert summary.render().splitlines()[-1] == "checked all views, 60 files: no damage"


def test_missing_superfluous_damaged_and_odd_files_are_counted_and_named(tmp_path: Path):
    release(tmp_path, "folders")
    lost = tmp_path / "cauthron/normal" / name("normal", 9, 3)
    lost.unlink()
    empty = tmp_path / "cauthron/depth_zbuffer" / name("depth_zbuffer", 2, 0)
    empty.write_bytes(b"")
    write_folder(tmp_path / "cauthron/class_scene", {name("class_scene", 77, 0): npy(np.zeros(365))})
    write_folder(tmp_path / "cauthron/mask_valid", {})
    write_folder(tmp_path / "cauthron/fragments", {"x.png": b""})
    summary = inspect(tmp_path, None)
    assert summary.domains["normal"] == DomainCount(7, 1, 0)
    assert summary.domains["class_scene"] == DomainCount(9, 0, 1)
    assert [str(damage) for damage in summary.damages] == [f"{empty} (empty file)", f"{lost} (missing)"]
    text = summary.render()
    assert "splits      no list in the root" in text
    assert "checked all views, 60 files: 2 damaged" in text
    assert f"  {lost} (missing)" in text
    assert f"not read (1):\n  {tmp_path}/cauthron/fragments: fragments is no domain" in text


def test_a_sample_is_said_to_be_one_and_whole_tars_are_looked_at_all_the_same(tmp_path: Path):
    release(tmp_path, "tars")
    path = write_tar(tmp_path / "zeta_rgb.tar", contents("cauthron", "rgb").items())
    path.write_bytes(path.read_bytes()[:-10240])
    summary = inspect(tmp_path, 2)
    assert summary.checked == 2
    assert "checked a sample of 2 of" in summary.render()
    assert [damage.where for damage in summary.damages if damage.reason.startswith("is ")] == [str(path)]
