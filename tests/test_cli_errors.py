"""Every command of the command line: its help, and what it says to missing arguments, wrong files, and outside a project."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import PUBLISHED, ROOT
from waiting import HANG

from taskonomy.affinity.measure import Normalization
from taskonomy.cli.main import app, main
from taskonomy.config.policy_params import AlternativesDiffer, Balance, SelfEdge, SolverName, TreeConstruction, TreeMethod, TreeMetric
from taskonomy.inference.predictor import DEVICES

Words = tuple[str, ...]
# What commands need besides what is wrong.
ALSO = {("advise",): ("--labels", "100")}  # one of two options
NEEDED = {"budget": ("--budget", "1"), "output": ("--output", "written"), "fov": ("--fov", "60")}
# Commands whose first argument is a file or a folder that is read.
READS = [
    ("policy",), ("front",), ("tree",), ("affinity",), ("import-published",), ("import-records",), ("advise",), ("explore",), ("annotate",),
    ("data", "inspect"), ("data", "index"), ("data", "preview"), ("data", "unpack"),
]  # fmt: skip
ANYWHERE = {("tasks",), ("init",)}  # without arguments, these do something useful in any folder


def commands(command: Any, path: Words = ()) -> Iterator[tuple[Words, Any]]:
    """Every command that help shows, groups among them."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from commands(below, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))
GROUPS = [path for path, command in ALL.items() if hasattr(command, "commands")]
LEAVES = [path for path, command in ALL.items() if not hasattr(command, "commands")]


def needed(path: Words) -> Words:
    return (*(word for one in ALL[path].params if one.required and one.name in NEEDED for word in NEEDED[one.name]), *ALSO.get(path, ()))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command line in this process in an empty folder: exit status, what it printed, what it said on standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["taskonomy", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        code, said = ended.value.code, capsys.readouterr()
        return (code or 0, said.out, said.err) if isinstance(code, int | None) else (1, said.out, f"{said.err}{code}\n")

    return run


def refused(answer: tuple[int, str, str]) -> str:
    """The one line of an error."""
    status, _, said = answer
    assert status == 1, said
    (line,) = said.splitlines()
    assert line.startswith("error: "), line
    return line


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_shows_its_help(run: Any, path: Words) -> None:
    status, shown, said = run(*path, "-h")
    assert (status, said) == (0, "")
    assert f"Usage: taskonomy {' '.join(path)}".rstrip() in shown
    assert run(*path, "--help") == (0, shown, "")


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_a_group_alone_shows_its_help(run: Any, path: Words) -> None:
    status, shown, said = run(*path)
    assert (status, said) == (0, "")
    assert shown.rstrip() == run(*path, "--help")[1].rstrip()
    assert all(name in shown for name, below in ALL[path].commands.items() if not below.hidden)


def test_the_version_is_that_of_the_package(run: Any) -> None:
    from importlib.metadata import version

    assert run("--version") == (0, f"taskonomy {version('taskonomy')}\n", "")


@pytest.mark.parametrize("path", [path for path in LEAVES if path not in ANYWHERE], ids=" ".join)
def test_a_command_without_what_it_needs_says_what_that_is(run: Any, path: Words) -> None:
    line = refused(run(*path))
    missing = [one for one in ALL[path].params if one.required]
    if missing:
        assert any((one.metavar or one.name.upper()) in line or one.opts[0] in line for one in missing)
    else:  # it works on a project, and there is none here
        assert any(word in line for word in ("params.yaml", ".dvc", "predictors"))


@pytest.mark.parametrize("path", [path for path in LEAVES if path not in ANYWHERE and path not in READS], ids=" ".join)
def test_outside_a_project_a_command_that_needs_one_says_so(run: Any, path: Words, tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    given = {"profile": "tiny", "query": "normal", "predict": "x.png"}
    words = [given[path[0]]] if path[0] in given else []
    line = refused(run(*path, *words, *needed(path)))
    assert any(word in line for word in ("params.yaml", ".dvc", "predictors"))


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text"])
@pytest.mark.parametrize("path", READS, ids=" ".join)
def test_what_is_no_input_is_named_in_one_line(run: Any, path: Words, kind: str, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir() if kind == "folder" else given.write_text("" if kind == "empty" else "hello\n") if kind != "missing" else None
    assert "given" in refused(run(*path, "given", *needed(path)))
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("path", [path for path in LEAVES if any("--output" in one.opts for one in ALL[path].params)], ids=" ".join)
def test_an_output_of_the_wrong_kind_is_refused_before_anything_is_computed(run: Any, path: Words, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "predictors").mkdir()
    (tmp_path / "predictors/index.json").touch()
    given = {"tree": str(PUBLISHED), "query": "normal", "affinity": "folder", "annotate": "folder", "data": "folder", "import-published": "file"}
    words = {"predict": ["file", "--task", "normal"], "export-onnx": []}.get(path[0]) or ([given[path[0]]] if path[0] in given else [])
    others = {word for one in ALL[path].params if one.required and one.name not in ("output",) for word in NEEDED.get(one.name, ())}
    of_file = path[0] in ("annotate", "export-onnx", "query")
    wrong = "file" if of_file else "folder"
    if path != ("predict",):  # a file for one answer, a folder for several
        assert f"{wrong}: is a {wrong}" in refused(run(*path, *words, *sorted(others, reverse=False), "--output", wrong))


@pytest.mark.parametrize(
    ("command", "option", "choices"),
    [
        ("policy", "--self-edge", SelfEdge),
        ("policy", "--balance", Balance),
        ("policy", "--solver", SolverName),
        ("policy", "--alternatives-differ-in", AlternativesDiffer),
        ("front", "--self-edge", SelfEdge),
        ("affinity", "--normalization", Normalization),
        ("tree", "--method", TreeMethod),
        ("tree", "--metric", TreeMetric),
        ("tree", "--construction", TreeConstruction),
        ("predict", "--device", DEVICES),
        ("cost", "--device", DEVICES),
    ],
)
def test_a_wrong_choice_names_all_choices_that_the_parameters_have(run: Any, command: str, option: str, choices: Any) -> None:
    line = refused(run(command, option, "nothing"))
    assert line.partition("is not one of ")[2].partition(" (see")[0].split(", ") == [f"'{one}'" for one in choices], line


LARGE = ("torch", "pandas", "scipy", "pyomo", "dvc", "dash", "cv2", "plotly")  # each takes a good part of a second


def refused_without(modules: Words, folder: Path, asked: list[list[str]]) -> None:
    """Run commands one after another in one process: each fails, and none of the modules is imported by then."""
    program = (
        "import json, sys; from taskonomy.cli.main import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['taskonomy', *words]\n"
        "    try: main(); code = 0\n"
        "    except SystemExit as ended: code = ended.code\n"
        f"    large = {set(modules)!r} & sys.modules.keys()\n"
        "    assert code or words[-1] == '-h', words\n"
        "    assert not large, (words, large)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, json.dumps(asked)], cwd=folder, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr


def test_wrong_names_and_missing_files_are_said_before_anything_large_is_imported(tmp_path: Path) -> None:
    asked = [[*path, "nowhere", *needed(path)] for path in READS]
    asked += [["profile", "nothing"], ["plan", "--profile", "nothing"], ["check", "nothing"], ["experiments", "run", "nothing"]]
    asked += [["query", "a", "nowhere"], ["predict", "nowhere", "--all"], ["cost"], ["export-onnx", "-o", "written"], ["policy"], ["nothing"]]
    asked += [["repro", "trian"], ["repro", "--profile", "nothing"], ["results"], ["stage", "nothing"], ["policy", "-h"]]
    asked += [["advise", str(PUBLISHED), "--labels", "0"], ["affinity", "profiles", "-o", "written", "--confidence", "2"]]
    (tmp_path / "params.yaml").touch()
    (tmp_path / "dvc.yaml").write_text("stages: {train: {cmd: echo}}")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/tiny.yaml").touch()
    refused_without((*LARGE, "numpy"), tmp_path, asked)


def test_names_of_tasks_and_values_of_options_are_checked_before_a_table_is_read_with_pandas(tmp_path: Path) -> None:
    """The dictionary of tasks needs numpy, which takes a tenth of a second."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    table = str(PUBLISHED)
    budget = ["policy", table, "--budget"]
    asked = [[*budget, "8", option, "norml"] for option in ("--exclude", "--require", "--source-only", "--target-only")]
    asked += [[*budget, "8", "--cost", "norml=2"], [*budget, "8", "--importance", "norml=2"], [*budget, "-1"], [*budget, "8", "--currency", "EUR"]]
    asked += [["front", table, "--exclude", "norml"], ["tree", table, "--exclude", "norml"], ["tree", table, "--beta", "-1"], ["query", "norml"]]
    refused_without(LARGE, tmp_path, asked)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["polcy"], "no such command 'polcy' (did you mean 'policy'?)"),
        (["data", "inspct"], "no such command 'inspct' (did you mean 'inspect'?)"),
        (["policy", "x.csv", "--bugdet", "3"], "no such option --bugdet (did you mean --budget?)"),
        (["tasks", "x", "y"], "takes no further argument (got x y) (see taskonomy tasks --help)"),
        (["init", "--from", "nowhere", "garden"], "nowhere: no such folder"),
    ],
)
def test_what_is_mistyped_is_said_with_what_may_be_meant(run: Any, words: list[str], said: str) -> None:
    assert refused(run(*words)) == f"error: {said}"


def test_a_project_without_the_stage_that_writes_predictors_is_told_the_command_that_does(run: Any, tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    for stages, advice in (
        ("{export: {cmd: echo}}", "taskonomy repro export"),
        ("{train: {cmd: echo}}", "taskonomy stage export --cards data/cards "),
    ):
        (tmp_path / "dvc.yaml").write_text(f"stages: {stages}")
        assert advice in refused(run("predict", "x.png", "--all"))


def test_an_option_is_named_as_the_command_line_has_it_with_the_name_that_may_be_meant(run: Any) -> None:
    said = refused(run("policy", str(PUBLISHED), "--budget", "8", "--cost", "norml=3"))
    assert said == "error: --cost: unknown 'norml' (did you mean 'normal'?)"
    assert run("tree", str(PUBLISHED), "--exclude", "random_projection")[0] == 0  # in the dictionary, whether or not a table has it


def test_the_shell_completes_commands_and_choices(tmp_path: Path) -> None:
    def completed(words: str) -> list[str]:
        variables = {"_TASKONOMY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
        command = [Path(sys.executable).with_name("taskonomy")]
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=HANG).stdout.split()

    assert completed("taskonomy pol") == ["policy"]
    assert completed("taskonomy policy --solver ") == list(SolverName)
