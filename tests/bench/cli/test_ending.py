"""How every command ends."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from bench.cli import ending
from models.errors import UserError

ROOT = Path(__file__).parents[3]


def surroundings(home):
    """An environment with a run-time folder of its own."""
    return os.environ | {"BENCH_HOME": str(home)}


def ending_with(error: BaseException) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def fail():
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("no such file: name another"), 2, "error: no such file: name another\n"),
        (MemoryError(), 2, "error: not enough memory: give a smaller dataset, catalogue or batch\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a/file"), 2, "error: a/file: No space left on device\n"),
    ],
    ids=["user error", "no memory", "full disk"],
)
def test_what_the_user_can_put_right_is_one_line(error, status, line, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(SystemExit) as ended:
        ending.run(ending_with(error))
    assert ended.value.code == status
    assert capsys.readouterr().err == line


def test_an_interrupted_command_ends_with_status_130(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["command"])
    monkeypatch.setattr("bench.ground.interrupts.ignore", lambda: None)
    with pytest.raises(SystemExit) as ended:
        ending.run(ending_with(KeyboardInterrupt()))
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_wrong_option_is_one_line_too(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["command", "--nosuch"])
    with pytest.raises(SystemExit) as ended:
        ending.run(ending_with(UserError("not reached")))
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: No such option: --nosuch (--help lists the options)\n"


def test_the_status_that_a_command_chose_is_kept(monkeypatch):
    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(SystemExit) as ended:
        ending.run(ending_with(typer.Exit(3)))
    assert ended.value.code == 3


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(errno.EIO, "Input/output error")])
def test_a_defect_is_not_hidden(error, monkeypatch):
    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(type(error)):
        ending.run(ending_with(error))


@pytest.mark.parametrize("module", ["bench", "numpy", "torch", "pandas", "bench.data", "bench.training.trainer"])
def test_ctrl_c_is_one_line_whatever_is_being_imported(module, tmp_path):
    """Python tells of each module once it is imported; at one of them the user has had enough."""
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "bench.train",
        "sasrec",
        "--epochs",
        "1000",
        "--max-minutes",
        "1",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=surroundings(tmp_path)) as process:
        for line in process.stderr:
            if line.rpartition("|")[2].strip() == module:
                process.send_signal(signal.SIGINT)
                break
        _, rest = process.communicate(timeout=60)
    said = [line for line in rest.splitlines() if line and not line.startswith("import time:")]
    assert process.returncode == 130
    assert said[-1] == "interrupted"
    assert "Traceback" not in rest
