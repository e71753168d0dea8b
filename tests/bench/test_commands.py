"""How every command ends."""

import errno

import pytest
import typer

from bench import commands
from models.errors import UserError


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
        (OSError(errno.ENOSPC, "No space left on device", "a/file"), 2, "error: a/file: No space left on device\n"),
    ],
    ids=["user error", "full disk"],
)
def test_what_the_user_can_put_right_is_one_line(error, status, line, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(SystemExit) as ended:
        commands.run(ending_with(error))
    assert ended.value.code == status
    assert capsys.readouterr().err == line


def test_an_interrupted_command_ends_with_status_130(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(SystemExit) as ended:
        commands.run(ending_with(KeyboardInterrupt()))
    assert ended.value.code == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(errno.EIO, "Input/output error")])
def test_a_defect_is_not_hidden(error, monkeypatch):
    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(type(error)):
        commands.run(ending_with(error))
