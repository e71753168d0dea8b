"""Options that say how data is loaded: written once, the same in every command, in pytest and in a job."""

import inspect

import pytest
from typer.testing import CliRunner

from bench import beams, evaluate, identifiers, leaks, reproduce, train
from bench.cli.loading import Loading, add_to, option_name, with_loading
from bench.gate.__main__ import app as gate
from bench.suites.planning import Job
from models.errors import UserError

APPS = {"train": train.app, "evaluate": evaluate.app, "beams": beams.app, "leaks": leaks.app, "gate": gate}
APPS |= {"identifiers": identifiers.app, "reproduce": reproduce.app}


@pytest.mark.parametrize("name", APPS)
def test_every_command_has_every_option_with_its_help(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = " ".join(CliRunner().invoke(APPS[name], ["--help"]).output.replace("│", " ").split())
    for field, about in Loading.model_fields.items():
        assert option_name(field) in said
        assert about.description.split(".")[0][:40] in said


def test_pytest_has_them_too():
    added = []
    add_to(lambda name, **how: added.append((name, how["help"])))
    assert added == [(option_name(name), field.description) for name, field in Loading.model_fields.items()]


def test_words_become_values():
    found = Loading.from_words(
        {"min_count": "5", "ties": "file", "split": "time=0.9", "columns": "user=a, item=b", "max_history": None}
    )
    assert (found.min_count, found.ties, found.max_history) == (5, "file", None)
    assert found.columns == {"user": "a", "item": "b"}
    assert Loading.from_words(dict(zip(*[iter(_pairs(found.words()))] * 2, strict=True))) == found


def _pairs(words):
    return [word.removeprefix("--").replace("-", "_") if word.startswith("--") else word for word in words]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"min_count": "x"}, "--min-count x: input should be a valid integer"),
        ({"max_history": "0"}, "--max-history 0: input should be greater than or equal to 1"),
        ({"ties": "both"}, "--ties both: input should be 'shuffled' or 'file'"),
        ({"split": "half"}, "--split half: write leave-one-out, time=0.9 or time=2018-01-31"),
        ({"columns": "user"}, "--columns user: write it as user=COLUMN,item=COLUMN,time=COLUMN"),
        ({"max_unpacked": "0"}, "--max-unpacked 0: "),
    ],
)
def test_words_that_cannot_be_are_one_line(words, said):
    with pytest.raises(UserError) as caught:
        Loading.from_words(words)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_job_carries_them_as_json():
    job = Job(suite="smoke", loading=Loading(split="time=0.5", columns={"user": "a"}))
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_what_the_loader_warns_of_stands_on_the_screen(capsys):
    Loading().load("synthetic-100")
    assert capsys.readouterr().err == "note: synthetic-100: generated data\n"


def test_a_command_keeps_its_own_parameters():
    @with_loading
    def command(name: str, *, loading: Loading, k: int = 3) -> None:
        found.append((name, loading, k))

    found = []
    assert list(inspect.signature(command).parameters) == ["name", "k", *Loading.model_fields]
    command(name="a", k=4, **dict.fromkeys(Loading.model_fields) | {"min_count": "2"})
    assert found == [("a", Loading(min_count=2), 4)]
