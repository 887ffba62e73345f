"""The pages for people: what they say of commands, options, keys and files is so, and the reference pages are those of the code."""

import argparse
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from conftest import ROOT
from dvc.cli.parser import get_main_parser
from waiting import HANG

from taskonomy.cli.main import app
from taskonomy.cli.reference_pages import PAGES
from taskonomy.config.params_schema import params_schema
from taskonomy.tasks import BUILT_IN

MANUAL = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "src/taskonomy/project/template/README.md"]
WRITTEN = [path for path in MANUAL if str(path.relative_to(ROOT)) not in PAGES]
# What commands of a block without a mark may read.
COPIED = ["params.yaml", "params.schema.json", "dvc.yaml", "profiles", "data/published", "benchmarks/findings.py"]
# Programs whose arguments are not checked.
OTHERS = {
    "git",
    "pip",
    "cd",
    "ray",
    "curl",
    "cat",
    "apt-get",
    ".",
    "pytest",
    "wc",
    "tail",
    "grep",
    "sed",
    "nvidia-cuda-mps-control",
    "mkdir",
    "printf",
}
WORDS = {"do", "done", "$", "sudo"}
PREFIXES = ("src/", "tests/", "benchmarks/", "docs/", "profiles/", "stages/", "cluster/", "data/published/")


@dataclass(frozen=True)
class Block:
    """Commands between fences, and what they need, by the comment before them."""

    page: Path
    line: int
    needs: str | None
    text: str
    shown: bool  # commands begin with $, and their output follows

    @property
    def commands(self) -> str:
        lines = self.text.splitlines()
        return "\n".join(_transcribed(lines)) if self.shown else self.text


def _transcribed(lines: list[str]) -> Iterator[str]:
    """Lines of commands, with those that continue them."""
    goes_on = False
    for line in lines:
        if line.startswith("$ ") or goes_on:
            yield line.removeprefix("$ ")
            goes_on = line.endswith("\\")


FENCE = re.compile(r"(?:<!-- needs: (?P<needs>[^>]+) -->\n\s*)?^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks_of(page: Path) -> list[Block]:
    """Blocks of shell commands, and of commands with their output."""
    text, found = page.read_text(encoding="utf-8"), []
    for one in FENCE.finditer(text):
        inside = re.sub(f"^{one['indent']}", "", one["text"], flags=re.MULTILINE)
        if one["kind"] == "sh" or inside.startswith("$ "):
            found.append(Block(page, text.count("\n", 0, one.start("text")), one["needs"], inside, one["kind"] != "sh"))
    return found


BLOCKS = [block for page in WRITTEN for block in blocks_of(page)]


COMMAND = re.compile(r"\$ |taskonomy |dvc |make |python3? |pip |git ")


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_commands_stand_in_blocks_that_are_run_or_marked(page: Path) -> None:
    """A block of another kind, or with text before its first command, would be overlooked; a workflow of a CI service (YAML) cannot be run here."""
    taken = {block.line for block in blocks_of(page)}
    text = page.read_text(encoding="utf-8")
    assert text.count("```") % 2 == 0
    for one in FENCE.finditer(text):
        if text.count("\n", 0, one.start("text")) not in taken and one["kind"] != "yaml":
            assert [line for line in one["text"].splitlines() if COMMAND.match(line.strip())] == []


def name_of(block: Block) -> str:
    return f"{block.page.name}:{block.line}"


def simple_commands(text: str) -> Iterator[list[str]]:
    """Simple commands of a shell text: what stands between ; && | ( and ), without variables that are set and files that are written to."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        tokens = [*lexer, ";"]
        for before, token in itertools.pairwise([";", *tokens]):
            if before == ">" or token == ">":
                continue
            if set(token) <= set(";&|()"):
                if words and words[0] != "for":
                    yield words
                words = []
            elif (token not in WORDS or (words and token != "$")) and not (not words and re.fullmatch(r"\w+=.*", token)):
                words.append(token)


def test_shell_texts_are_taken_apart() -> None:
    text = "T=a.csv\nfor b in 2 4; do dvc exp run -n x-$b; done  # all\necho c > d; cd a && taskonomy x $(taskonomy profile tiny)\n'b c' \\\n --d"
    assert list(simple_commands(text)) == [
        ["dvc", "exp", "run", "-n", "x-$b"], ["echo", "c"], ["cd", "a"], ["taskonomy", "x"], ["taskonomy", "profile", "tiny"], ["b c", "--d"],
    ]  # fmt: skip


@cache
def command_line() -> Any:
    """The commands, without the checks that files exist: a reader's do."""
    root = typer.main.get_command(app)
    for command in every_command(root):
        for one in command.params:
            one.callback = None
    return root


@cache
def dvc_parser() -> Any:
    return get_main_parser()


def parse_taskonomy(words: list[str]) -> None:
    """Parse as the program would, up to the call of the command."""
    command, path = command_line(), ["taskonomy"]
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, f"{' '.join(path)} has no command {words[0]}"
        command, path, words = command.commands[words[0]], [*path, words[0]], words[1:]
    if words[-1:] != ["--help"]:
        command.make_context(" ".join(path), list(words))


def parse(words: list[str]) -> None:
    """Fail where a command could not be run as it stands."""
    program, *arguments = words
    if program == "taskonomy":
        parse_taskonomy(arguments)
    elif program == "dvc":
        dvc_parser().parse_args([one for one in arguments if one != "..."])
        check_keys(arguments)
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {one for one in arguments if "=" not in one} <= set(targets)
    elif program in ("python", "python3"):
        assert arguments[0] == "-m" or (ROOT / arguments[0]).is_file(), arguments[0]
        if arguments[0] != "-m":
            text = (ROOT / arguments[0]).read_text()
            assert [one for one in arguments[1:] if one.startswith("--") and f'"{one}"' not in text] == []
    elif program.startswith("cluster/"):
        assert (ROOT / program).is_file()
    else:
        assert program in OTHERS or program.startswith("$"), f"unknown program {program}"


def check_keys(arguments: list[str]) -> None:
    for before, one in itertools.pairwise(arguments):
        if before == "-S":
            assert is_key(one.partition("=")[0]), one


def is_key(place: str) -> bool:
    """Whether params.yaml may have this key."""
    schema = params_schema()

    def find(value: dict[str, Any], names: list[str]) -> bool:
        if "$ref" in value:
            return find(schema["$defs"][value["$ref"].rsplit("/", 1)[-1]], names)
        if not names:
            return True
        if "properties" in value and names[0] in value["properties"]:
            return find(value["properties"][names[0]], names[1:])
        if "patternProperties" in value or isinstance(value.get("additionalProperties"), dict):
            inside = value.get("additionalProperties") or next(iter(value["patternProperties"].values()))
            return find(inside, names[1:])
        return any(find(one, names) for part in ("anyOf", "oneOf") for one in value.get(part, ()))

    return find(schema, place.split("."))


def test_keys_are_found_in_the_schema() -> None:
    assert is_key("policy.budget")
    assert is_key("policy.cost.normal")
    assert is_key("train.schedule.epochs")
    assert is_key("data.own.mood.kind")
    assert not is_key("policy.budgte")
    assert not is_key("transfer.schedule.epoch")


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_every_command_parses(block: Block) -> None:
    for words in simple_commands(block.commands):
        parse(words)


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.needs is None], ids=name_of)
def test_commands_without_a_mark_run_and_print_what_is_shown(block: Block, tmp_path: Path) -> None:
    for name in COPIED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    bash = ["bash", "-eo", "pipefail", "-c", block.commands]
    done = subprocess.run(bash, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == ("\nerror: " in block.text), done.stderr
    printed = [without_times(line) for line in (done.stdout + done.stderr).splitlines()]
    assert [line for line in shown_output(block) if not any(is_shown(without_times(line), one) for one in printed)] == []


def shown_output(block: Block) -> list[str]:
    """Lines that a block shows as output."""
    commands = {*block.commands.splitlines()}
    return [line for line in block.text.splitlines() if block.shown and line.removeprefix("$ ") not in commands and line not in ("...", "")]


def is_shown(line: str, printed: str) -> bool:
    """Whether a line of a page is a printed one; three dots stand for the rest of it."""
    return printed.startswith(line.removesuffix("...")) if line.endswith(" ...") else line == printed


def without_times(line: str) -> str:
    """A line of output without the seconds that it took."""
    return re.sub(r"\d+\.\d+ s\b", "T s", line).rstrip()


def test_output_is_compared_but_for_seconds_and_what_dots_leave_out() -> None:
    assert is_shown("known: a, ...", "known: a, b, c")
    assert not is_shown("known: b, ...", "known: a, b, c")
    assert not is_shown("0.5", "0.51")
    assert without_times("cost 8 of 8, 0.16 s") == without_times("cost 8 of 8, 12.01 s") != without_times("cost 7 of 8, 0.16 s")


def code_in(page: Path) -> set[str]:
    """What stands between backticks, outside blocks."""
    return set(re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_every_command_and_option_between_backticks_exists(page: Path) -> None:
    options = {name for command in every_command(command_line()) for name in options_of(command)} | dvc_options(dvc_parser())
    for text in code_in(page):
        words = text.split()
        if words[0] == "taskonomy" and len(words) > 1 and re.fullmatch(r"[a-z-]+", words[1]):
            command = command_line().commands.get(words[1])
            assert command is not None, text
            known = {name for one in (command, *getattr(command, "commands", {}).values()) for name in options_of(one)}
            assert [one for one in words[2:] if re.fullmatch(r"--[a-z-]+", one) and one not in known] == [], text
        elif re.fullmatch(r"--[a-z-]+( [A-Z]+)?", text) and not of_a_benchmark(words[0]):
            assert words[0] in options, f"{page.name}: {text}"


def options_of(command: Any) -> set[str]:
    return {"--help", *(name for one in command.params for name in (*one.opts, *one.secondary_opts))}


def dvc_options(parser: argparse.ArgumentParser) -> set[str]:
    """Options of DVC and of all its commands."""
    found: set[str] = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            found |= {name for one in action.choices.values() for name in dvc_options(one)}
    return found


def of_a_benchmark(option: str) -> bool:
    return any(f'"{option}"' in path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))


def every_command(group: Any) -> Iterator[Any]:
    for command in group.commands.values():
        yield command
        yield from getattr(command, "commands", {}).values()


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_every_key_between_backticks_is_one_of_params_yaml(page: Path) -> None:
    sections = set(params_schema()["properties"])
    keys = [text.split(":")[0] for text in code_in(page) if re.fullmatch(r"[a-z]+\.[a-z_.]+(: .*)?", text)]
    endings = ("csv", "json", "py", "yaml", "html", "md", "jpg", "png", "npy", "npz", "txt", "newick", "pickle", "lock", "cuda")
    wrong = [key for key in keys if key.split(".")[0] in sections and key.rsplit(".", 1)[-1] not in endings and not is_key(key)]
    assert wrong == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = {text for text in code_in(page) if text.startswith(PREFIXES) and re.fullmatch(r"[\w./-]+", text) and "PROFILE" not in text}
    assert [text for text in named if not (ROOT / text).exists()] == []
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_every_heading_that_is_linked_to_exists(page: Path) -> None:
    for file, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        text = (page.parent / file if file else page).read_text(encoding="utf-8")
        anchors = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines() if line.startswith("#")}
        assert heading in anchors, f"{page.name}: {file}#{heading}"


@pytest.mark.parametrize("path", PAGES)
def test_reference_pages_are_those_of_the_code(path: str) -> None:
    """`python -m taskonomy.cli.reference_pages` writes them anew."""
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path]()


def test_every_page_is_in_the_table_of_contents() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs/index.md").read_text(encoding="utf-8")))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"} == linked


def test_every_output_of_the_pipeline_is_described() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    outputs: set[str] = set()
    for stage in (one.get("do", one) for one in stages):
        for part in ("outs", "metrics", "plots"):
            outputs |= {next(iter(one)) if isinstance(one, dict) else one for one in stage.get(part, [])}
    text = (ROOT / "docs/files.md").read_text(encoding="utf-8")
    files = {one for one in outputs if one.startswith(("results/", "reports/", "predictors"))}
    assert [one for one in files if f"`{Path(one).name}`" not in text and "${key}" not in one.replace("results/${key}/", "")] == []


def test_every_stage_is_described() -> None:
    text = (ROOT / "docs/pipeline.md").read_text(encoding="utf-8")
    assert [name for name in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"] if f"| `{name}` |" not in text] == []


def test_the_cost_of_tasks_is_that_of_tasks_that_exist() -> None:
    """Names of tasks in `--cost`, `--exclude` and the like of the pages."""
    named = {one for block in BLOCKS for one in re.findall(r"--(?:exclude|require|task) ([\w,]+)", block.text)}
    assert {task for one in named for task in one.split(",")} <= set(BUILT_IN)
