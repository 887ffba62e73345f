"""What a run shows: live lines on a terminal, a line per event elsewhere, and the table in the end."""

import io
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

import pytest

from taskonomy.errors import TaskonomyError
from taskonomy.machine.cores import cores
from taskonomy.machine.terminal import byte_size, clock, rough_duration, text_table
from taskonomy.pipeline.progress import ProgressDisplay, RunningLine, last_line
from taskonomy.pipeline.timings import Time, as_csv, read_seconds, table, write_seconds


class Stream(io.StringIO, TextIO):
    """What the tests' type checker takes for a stream of text."""


class Terminal(Stream):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_there_is_a_line_as_a_stage_starts_and_one_as_it_ends(tmp_path: Path) -> None:
    screen = ProgressDisplay(stream := Stream(), total=3, done=1)
    screen.started("train@normal")
    screen.draw([RunningLine("train@normal", time.monotonic(), tmp_path / "log")])
    screen.ended("train@normal", "done", 61)
    assert stream.getvalue() == "start     train@normal\ndone      train@normal  1:01  [2/3]\n"


def seen(written: str) -> list[str]:
    """The lines that a terminal shows after what was written to it: text, colours, cursor up, and lines erased."""
    lines, row = [""], 0
    for code, text in re.findall(r"(\x1b\[[0-?]*[ -/]*[@-~]|[\r\n])|([^\x1b\r\n]+)", written):
        if text:
            lines[row] += text
        elif code == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif code.endswith("A"):
            row -= int(code[2:-1])
        elif code.endswith("K"):
            lines[row] = ""
        elif code != "\r" and not code.endswith(("m", "h", "l")):
            raise ValueError(f"a code that this terminal does not know: {code!r}")
    return [line.rstrip() for line in lines if line.strip()]


def test_a_terminal_shows_what_runs_and_the_last_line_of_its_log_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "24")
    log = tmp_path / "log"
    log.write_text("epoch 1\n\x1b[1mepoch 2\x1b[0m\rstep [7] :smile: " + "." * 100)
    monkeypatch.setattr("taskonomy.pipeline.progress.time", SimpleNamespace(monotonic=lambda: 1000.0))
    screen = ProgressDisplay(stream := Terminal(), total=3)
    screen.started("a")
    assert stream.getvalue() == ""
    screen._last = 0.0
    screen.draw([RunningLine("a", 935.0, log), RunningLine("longer", 1000.0, tmp_path / "none")])
    first, second, third = seen(stream.getvalue())
    assert "0/3 stages" in first
    assert re.match(r" +a +1:05 +step \[7\] :smile: \.\.\.", second)
    assert len(second) <= 60
    assert third.strip().startswith("longer")
    screen.ended("a", "done", 65)  # stays, above the lines of what runs
    screen.draw([RunningLine("longer", 1000.0, tmp_path / "none")])
    above, bar, left = seen(stream.getvalue())
    assert above == "done      a  1:05  [1/3]"
    assert "1/3 stages" in bar
    assert left.strip().startswith("longer")
    screen.close()
    assert seen(stream.getvalue()) == [above]


def test_the_last_line_says_something_and_is_not_of_those_not_wanted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"> run\nreason \xff\n\n   \nfailed to run: x\n\n")
    assert last_line(log) == "failed to run: x"
    assert last_line(log, ("failed to run", ">")) == "reason \ufffd"
    assert last_line(log, ("failed to run", ">", "reason")) == ""
    assert last_line(tmp_path / "none") == ""


def test_numbers_as_people_read_them() -> None:
    assert [byte_size(one) for one in (999, 1500, 2.5e9, 11.16e12)] == ["999 bytes", "1.5 kB", "2.5 GB", "11.2 TB"]
    assert [rough_duration(one) for one in (12, 600, 36_000, 3e6)] == ["12 s", "10 min", "10 h", "35 days"]
    assert [clock(value) for value in (0.04, 59.94, 60, 3599, 3600, 36061)] == ["0.0 s", "59.9 s", "1:00", "59:59", "1:00:00", "10:01:01"]


def test_a_table_aligns_words_and_numbers_and_takes_nothing_for_markup() -> None:
    rows = [("name", "count"), ("[bold]a[/]", "1"), ("\u65e5\u672c :smile:", "1,200")]
    assert text_table(rows, left=1).splitlines() == ["name          count", "[bold]a[/]        1", "\u65e5\u672c :smile:  1,200"]


def test_the_table_has_a_row_per_group_with_count_and_sum() -> None:
    times = [Time("train@b", 30, 2, False), Time("world", 5, 0, True), Time("train@a", 40, 2.5, False)]
    assert table(times).splitlines() == [
        "stage     ran  cached  total  longest",
        "world     0    1       5.0 s  5.0 s",
        "train x2  2    0       1:10   40.0 s (train@a)",
    ]
    assert as_csv(times).splitlines() == [
        "stage,seconds,start,cached",
        "world,5.000,0.000,true",
        "train@b,30.000,2.000,false",
        "train@a,40.000,2.500,false",
    ]


def test_seconds_of_what_ran_are_known_next_time_and_a_torn_file_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "seconds.json"
    assert read_seconds(path) == {}
    write_seconds(path, {"a": 1.0, "b": 2.0}, [Time("b", 3.0, 0, False), Time("a", 0.1, 0, True)])
    assert read_seconds(path) == {"a": 1.0, "b": 3.0}
    path.write_text('{"a": 1')
    assert read_seconds(path) == {}


def test_cores_are_what_the_environment_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TASKONOMY_CORES", raising=False)
    available = cores()
    monkeypatch.setenv("TASKONOMY_CORES", str(available + 5))
    assert cores() == available
    monkeypatch.setenv("TASKONOMY_CORES", "1")
    assert cores() == 1
    for wrong in ("0", "-1", "many"):
        monkeypatch.setenv("TASKONOMY_CORES", wrong)
        with pytest.raises(TaskonomyError, match="TASKONOMY_CORES"):
            cores()
