"""params.yaml: every key is checked and commented, and a mistake is named."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from waiting import HANG

from taskonomy.atomic_io import write_json, write_text
from taskonomy.config.checked import checked
from taskonomy.config.params import read_params
from taskonomy.config.policy_params import PolicyParams
from taskonomy.errors import TaskonomyError
from taskonomy.machine.environment import ADDRESS, of_this_run
from taskonomy.policy.problem import admissible
from taskonomy.tables.table import parse_table


def changed(tmp_path: Path, section: str, key: str, value: object) -> Path:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values[section][key] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "params.yaml"


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("policy", "budget", -1, r"policy\.budget must be greater than or equal to 0 \(is -1\)"),
        ("policy", "budget", float("nan"), r"policy\.budget must be a finite number"),
        ("policy", "budgte", 3, r"policy\.budgte is not a known key; known keys: budget, max_order"),
        ("policy", "self_edge", "golden", r"policy\.self_edge must be 'gold', 'transfer' or 'none' \(is 'golden'\)"),
        ("policy", "cost", {"normal": -1}, r"policy\.cost\.normal must be greater than or equal to 0 \(is -1\)"),
        ("policy", "cost", {"normal": 1e308}, r"policy\.cost\.normal is too large: must be at most 1,000,000,000,000 \(is 1e\+308\)"),
        ("policy", "importance", {"normal": 1e13}, r"policy\.importance\.normal is too large: must be at most 1,000,000,000,000"),
        ("policy", "budget", 1e308, r"policy\.budget is too large: must be at most 1,000,000,000,000"),
        ("policy", "labels", {"currency": "EUR", "price": 1e308}, r"policy\.labels\.price is too large: must be at most 1,000,000,000,000"),
        ("policy", "labels", {"currency": "EUR", "price": 1, "full": 10**309}, r"policy\.labels\.full is too large: must be at most 1,000"),
        ("policy", "labels", {"currency": "EUR", "tasks": {"normal": {"transfer": 10**13}}}, r"labels\.tasks\.normal\.transfer is too large"),
        ("studies", "budgets", [1e308], r"studies\.budgets\.0 is too large: must be at most 1,000,000,000,000"),
        ("policy", "max_order", 1.5, r"policy\.max_order"),
        ("policy", "require", ["jigsaw", "random_projection"], "random_projection cannot be both required and excluded"),
        ("savings", "quality_levels", [1.2], r"savings\.quality_levels\.0 must be less than 1 \(is 1\.2\)"),
        ("evaluate", "random_policies", 10, r"evaluate\.random_policies must be greater than or equal to 1000"),
        ("evaluate", "tree_method", "ward", "ward needs tree_metric euclidean"),
        ("data", "tasks", ["normal", "normals"], r"unknown 'normals' \(did you mean 'normal'\?\)"),
        ("data", "tasks", ["normal", "reshading", "normal"], "tasks names normal twice"),
        ("data", "labels", {"normal": {"limit": 1}}, r"labels\.normal has no option limit; it has none"),
        ("data", "resolution", 100, r"data\.resolution must be a multiple of 16 \(is 100\)"),
        ("world", "splits", {"train": 0.5, "val": 0.5, "test": 0.5}, r"train, val and test must add up to 1 \(are 1\.5\)"),
        ("train", "tasks", {"normals": {"epochs": 3}}, r"unknown 'normals' \(did you mean 'normal'\?\)"),
        ("train", "tasks", {"normal": {"epoch": 3}}, r"train\.tasks\.normal\.epoch is not a known key"),
        ("train", "precision", "float16", r"train\.precision must be 'auto', 'float32' or 'bfloat16' \(is 'float16'\)"),
        (
            "train",
            "schedule",
            {"epochs": 0, "batch": 32, "rate": 1, "slow_after": 0.5, "weight_decay": 0},
            r"train\.schedule\.epochs must be greater",
        ),
        ("train", "schedule", {"epochs": 1, "batch": 1, "rate": 1, "slow_after": 0.5, "weight_decay": 0}, r"train\.schedule\.batch must be greater"),
        ("transfer", "targets", ["normal", "jigsaw"], "targets names jigsaw, whose labels cost nothing or which has none: source only"),
        ("transfer", "targets", ["normal", "normal"], "targets names normal twice"),
        ("transfer", "targets", ["normals"], r"unknown 'normals' \(did you mean 'normal'\?\)"),
        ("transfer", "beam", 0, r"transfer\.beam"),
        ("transfer", "beam", "papers", r"transfer\.beam"),
        ("transfer", "variants", ["normal"], r"transfer\.variants: 'normal' must be SOURCE>INTERMEDIATE, as normal>reshading, or SOURCE@SHARE"),
        ("transfer", "variants", ["normal@2%"], r"transfer\.variants: 'normal@2%' must be SOURCE>INTERMEDIATE"),
        ("transfer", "variants", ["normal>reshading>normal"], r"transfer\.variants: 'normal>reshading>normal' must be SOURCE>INTERMEDIATE"),
        ("transfer", "variants", ["normal>reshadin"], r"transfer\.variants: normal>reshadin: unknown 'reshadin' \(did you mean 'reshading'\?\)"),
        ("transfer", "variants", ["normals@0.1"], r"transfer\.variants: normals@0\.1: unknown 'normals' \(did you mean 'normal'\?\)"),
        ("transfer", "variants", ["self@0.1"], r"transfer\.variants: self@0\.1: unknown 'self'"),
        ("transfer", "variants", ["normal>normal"], r"transfer\.variants: normal>normal: the intermediate must be another task than the source"),
        ("transfer", "variants", ["normal>random_projection"], r"normal>random_projection: the intermediate random_projection must be"),
        ("transfer", "variants", ["normal>jigsaw"], r"transfer\.variants: normal>jigsaw: the intermediate jigsaw must be .* it is source only"),
        ("transfer", "variants", ["normal@0"], r"transfer\.variants: normal@0: the share of the train split must be above 0 and at most 1 \(is 0\)"),
        ("transfer", "variants", ["normal@1.5"], r"transfer\.variants: normal@1\.5: the share .* at most 1 \(is 1\.5\)"),
        ("transfer", "variants", ["normal@0.1", "normal@.10"], r"transfer\.variants: normal@\.10 stands twice \(also as normal@0\.1\)"),
        ("transfer", "variants", ["colorization@0.1"], r"colorization@0\.1 cannot be: the encoder of colorization reads grey images"),
        ("transfer", "variants", ["class_object_100@0.1"], r"transfer\.variants: class_object_100@0\.1 names class_object_100, not in data\.tasks"),
        ("transfer", "more", ["normal>reshading"], r"params\.yaml: transfer\.more is called variants now; rename the key$"),
        ("transfer", "codes", "float64", r"transfer\.codes must be 'float16' or 'float32' \(is 'float64'\)"),
        ("normalize", "method", "mean", r"normalize\.method must be 'ahp' or 'linear' \(is 'mean'\)"),
        ("execution", "engine", "slurm", r"execution\.engine must be 'local' or 'ray' \(is 'slurm'\)"),
        ("execution", "address", "ray://head:10001", r"execution\.address: must be auto or HOST:PORT \(is 'ray://head:10001'\)"),
        ("execution", "device", "gpu", r"execution\.device: must be auto, cpu, cuda or cuda:N \(is 'gpu'\)"),
        ("execution", "kinds", {"transfers": {}}, r"execution\.kinds\.transfers is not a known key; known keys: network, transfer"),
        ("execution", "kinds", {"network": {"gpu": 1}}, r"execution\.kinds\.network\.gpu is not a known key; known keys: cpus, gpus, memory"),
        ("data", "tasks", ["normal", "reshading"], "transfer.targets names .*room_layout.*, not in data.tasks"),
    ],
)
def test_a_bad_value_names_the_key_the_value_and_what_is_allowed(tmp_path: Path, section: str, key: str, value: object, message: str) -> None:
    with pytest.raises(TaskonomyError, match=message):
        read_params(changed(tmp_path, section, key, value))


def test_a_cluster_gives_each_worker_its_gpu_so_none_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = read_params(changed(tmp_path, "execution", "device", "cuda:1")).execution
    assert of_this_run(params) is params
    monkeypatch.setenv(ADDRESS, "head:6379")
    with pytest.raises(TaskonomyError, match=r"--address: device must be auto, cpu or cuda with engine ray"):
        of_this_run(params)
    here = of_this_run(read_params(ROOT / "params.yaml").execution)
    assert (here.engine, here.address) == ("ray", "head:6379")


def test_no_stage_and_no_unit_depends_on_how_units_are_computed() -> None:
    """Or a change would run everything again."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in (entry.get("do", entry) for entry in stages.values()):
        assert not [name for name in stage.get("params", ()) if name.split(".")[0] == "execution"]
        assert not [path for path in stage["deps"] if path.startswith(tuple(f"src/taskonomy/{name}" for name in ("compute", "machine", "store")))]


def test_other_transfers_are_read_as_they_are_written(tmp_path: Path) -> None:
    written = ["normal>reshading", "normal@0.02", "normal@.1", "random_projection@1", "reshading>normal"]
    section = read_params(changed(tmp_path, "transfer", "variants", written)).transfer
    assert [(one.written, one.source, one.intermediate, one.share) for one in section.parsed_variants()] == [
        ("normal>reshading", "normal", "reshading", None),
        ("normal@0.02", "normal", None, 0.02),
        ("normal@.1", "normal", None, 0.1),
        ("random_projection@1", "random_projection", None, 1.0),
        ("reshading>normal", "reshading", "normal", None),
    ]
    assert read_params(ROOT / "params.yaml").transfer.variants == ()


def test_an_intermediate_that_changes_its_images_must_be_a_target(tmp_path: Path) -> None:
    """Noisy codes are stored where a target of noise asks for them, and nowhere else."""
    path = changed(tmp_path, "transfer", "variants", ["normal>denoising"])
    assert read_params(path).transfer.variants == ("normal>denoising",)
    values = yaml.safe_load(path.read_text())
    values["transfer"]["targets"].remove("denoising")
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(TaskonomyError, match=r"transfer\.variants: the intermediate of normal>denoising must be in transfer\.targets"):
        read_params(path)


# Written into the file as it stands here: what a key is followed by.
@pytest.mark.parametrize(
    ("line", "written", "message"),
    [
        ("  budget: ", "1_000", r"1_000 is no number to every reader of YAML: .* line \d+, column 11"),
        ("  budget: ", "1_0.5", "1_0.5 is no number to every reader of YAML"),
        ("  budget: ", "010", "010 is no number to every reader of YAML"),
        ("  budget: ", "1:30", "1:30 is no number to every reader of YAML"),
        ("  budget: ", '"1_000"', r"policy\.budget must be a number, written with the digits 0-9 and without underscores \(is '1_000'\)"),
        ("  budget: ", "１０", r"policy\.budget must be .*number.* \(is '１０'\)"),
        ("  budget: ", "yes", r"policy\.budget must be a number.* \(is True\)"),
        ("  cost: ", '{normal: "1_000"}', r"policy\.cost\.normal must be a number.* \(is '1_000'\)"),
        ("  cost: ", "{cafe\u0301: 1, caf\u00e9: 2}", "the key caf\u00e9 stands twice"),
        ("  cost: ", "{normal: 1, normal: 2}", "the key normal stands twice"),
    ],
)
def test_a_number_that_readers_of_yaml_disagree_on_is_named(tmp_path: Path, line: str, written: str, message: str) -> None:
    text = (ROOT / "params.yaml").read_text()
    assert len(re.findall(f"^{line}", text, re.MULTILINE)) == 1
    (tmp_path / "params.yaml").write_text(re.sub(f"^{line}.*$", lambda _found: line + written, text, count=1, flags=re.MULTILINE))
    with pytest.raises(TaskonomyError, match=message):
        read_params(tmp_path / "params.yaml")


def test_names_of_the_policy_are_compared_in_one_unicode_form() -> None:
    values = {"budget": 1, "cost": {"cafe\u0301": 2}, "labels": {"tasks": {"cafe\u0301": {"full": 5, "transfer": 1}}}, "require": ["cafe\u0301"]}
    params = checked(PolicyParams, values, "params.yaml")
    table = parse_table("target,sources,affinity\ncaf\u00e9,self,0.5\n", "t")
    problem = admissible(table, params)
    assert problem.cost == {"caf\u00e9": 2.0}
    assert problem.required == {"caf\u00e9"}
    assert params.labels.of("caf\u00e9").full == 5


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TaskonomyError, match="no such parameter file"):
        read_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("policy: [")
    with pytest.raises(TaskonomyError, match="not valid YAML"):
        read_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("policy:\n  budget: 3\n")
    with pytest.raises(TaskonomyError, match="front is missing"):
        read_params(tmp_path / "params.yaml")


def test_outputs_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "x.json", "old")
    with pytest.raises(TypeError):
        write_json(tmp_path / "a" / "x.json", {"bad": object()})
    write_text(tmp_path / "a" / "y.json", "new")
    assert (tmp_path / "a" / "x.json").read_text() == "old"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["x.json", "y.json"]


# Where networks run; whose operations are counted; what `taskonomy plan` times; new images for old encoders.
RUN_NETWORKS = ("machine/device.py", "pretrained/multiply_adds.py", "estimate/cost_model.py", "estimate/throughput.py", "new_task/encode.py")


def test_nothing_outside_networks_imports_torch() -> None:
    for path in (ROOT / "src/taskonomy").rglob("*.py"):
        if path.parent.name in ("models", "training", "inference") or path.relative_to(ROOT / "src/taskonomy").as_posix() in RUN_NETWORKS:
            continue
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert not imported & {"torch", "torchvision"}, path


def test_help_loads_neither_torch_nor_pandas_nor_pyomo() -> None:
    program = (
        "import sys; from taskonomy.cli.main import main; sys.argv = ['taskonomy', 'policy', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(sys.modules.keys() & {'torch', 'pandas', 'pyomo', 'numpy'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
