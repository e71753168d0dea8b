"""Hundreds of malformed inputs, in this process: no traceback, the right status, one line, nothing foreign changed."""

import json
import random
import shutil
import string
from pathlib import Path

import pytest
import typer

import bench.gate.__main__
import bench.report.__main__
from bench import beams, evaluate, identifiers, leaks, reproduce, train
from bench.cli import ending
from bench.suites import definitions
from bench.suites.planning import Job, lay_out
from bench.training import checkpoints
from bench.training.checkpoints import CARD, Card
from bench.training.recipes import resolve
from tests.bench.data.conftest import write_amazon, write_movielens_zip, write_pair, write_recbole
from tests.bench.factories import make_run, write_results
from tests.tiny import build

INTER = "user_id:token\titem_id:token\ttimestamp:float\n" + "".join(
    f"u{user}\ti{item}\t{100 * user + item}\n" for user in range(6) for item in range(user, user + 5)
)
BAD_WORDS = ["nan", "inf", "-1", "1e999", "x", "", "0x10", "10" * 20, "ten", "\u0661" * 30]
BAD_VALUES = [None, -1, 0.5, "x", [], {}, True, 10**40, float("nan"), "\u0000", ["x"] * 3, {"a": {"b": []}}]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with somebody's own file, which nothing may change."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.setattr("bench.ground.interrupts.ignore", lambda: None)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    yield tmp_path
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def ends(app, words, monkeypatch, capsys):
    """Run a command line as `python -m` does; return its status, once it is seen to be told as it must be."""
    monkeypatch.setattr("sys.argv", ["command", *words])
    with pytest.raises(SystemExit) as ended:  # anything else that is raised would be a traceback
        ending.run(app)
    said = capsys.readouterr().err
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in said
    assert len(errors) == (1 if ended.value.code == 2 else 0), said
    assert ended.value.code in (0, 2)
    return ended.value.code


def damaged(content, draw):
    """Damage bytes in one of the ways that files are damaged in."""
    spot = draw.randrange(max(1, len(content)))
    other = draw.randrange(max(1, len(content)))
    first, last = min(spot, other), max(spot, other)
    return draw.choice(
        [
            lambda: content[:spot],
            lambda: content[:first] + content[last:],
            lambda: content[:spot] + bytes([draw.randrange(256)]) + content[spot + 1 :],
            lambda: content[:spot] + draw.randbytes(20) + content[spot:],
            lambda: (
                content[:spot]
                + draw.choice([b"\t", b"\n", b"::", b",", b'"', b"{", b"[" * 400, b"\\ud800"])
                + content[spot:]
            ),
            lambda: content.replace(
                draw.choice([b"1", b"2", b"3"]), draw.choice([b"nan", b"-", b"1e400", b"9" * 30]), 2
            ),
            lambda: b"\xef\xbb\xbf" + content,
            lambda: content.decode("latin-1").encode("utf-16"),
            lambda: draw.randbytes(200),
            lambda: b"",
            lambda: content * 2,
        ]
    )()


SOURCES = {
    "pair": write_pair,
    "recbole": lambda folder: write_recbole(folder, INTER).parent,
    "movielens": lambda folder: write_movielens_zip(folder / "ml-1m.zip").parent,
    "amazon": write_amazon,
}


@pytest.mark.parametrize("layout", SOURCES)
@pytest.mark.parametrize("packed", [True, False], ids=["as bytes", "as text"])
def test_damaged_data(layout, packed, place, monkeypatch, capsys):
    """Sixteen damages of each layout; where a file is compressed, of the file or of what it holds."""
    import gzip

    statuses = []
    for seed in range(16):
        draw = random.Random(f"{layout} {packed} {seed}")
        folder = place / f"{layout}-{seed}"
        SOURCES[layout](folder)
        path = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
        content = path.read_bytes()
        if packed or path.suffix != ".gz":
            path.write_bytes(damaged(content, draw))
        else:
            path.write_bytes(gzip.compress(damaged(gzip.decompress(content), draw)))
        statuses.append(ends(evaluate.app, ["popularity", "--dataset", str(folder), "--k", "2"], monkeypatch, capsys))
    assert 2 in statuses


NAMES = [
    "",
    " ",
    ".",
    "..",
    "/",
    "~nosuchuser",
    "no\x00thing",
    "a" * 5000,
    "nosuch",
    "./nosuch",
    "mine",
    "mine/notes.txt",
    "synthetic-",
    "synthetic-1",
    "synthetic-" + "9" * 40,
    "/dev/null",
    "ml-1m.zip",
    "x.inter",
    "\ud800",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_datasets(name, place, monkeypatch, capsys):
    assert ends(evaluate.app, ["popularity", "--dataset", name], monkeypatch, capsys) == 2


NUMBERS = {
    train.app: (["sasrec"], ["--seed", "--max-minutes", "--epochs", "--beam-width", "--threads", "--min-count"]),
    evaluate.app: (["popularity"], ["--k", "--beam-width", "--seed", "--batch-size", "--threads", "--max-history"]),
    beams.app: (["p5"], ["--beam-width", "--users", "--seed", "--threads"]),
    leaks.app: (["p5"], ["--seed", "--min-count"]),
    identifiers.app: (["tiger"], ["--seed", "--max-unpacked"]),
    reproduce.app: (["paper"], ["--budget-minutes", "--jobs", "--quality-users", "--beam-users"]),
    bench.gate.__main__.app: (
        ["--against", "HEAD"],
        [
            "--beam-width",
            "--batch-size",
            "--top-k",
            "--threads",
            "--margin",
            "--case-seconds",
            "--budget-minutes",
            "--case-timeout",
        ],
    ),
    bench.report.__main__.app: (["--compare", "a.json", "b.json"], ["--margin"]),
}


@pytest.mark.parametrize(
    ("app", "words", "option"),
    [(app, words, option) for app, (words, options) in NUMBERS.items() for option in options],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_numbers_of_options(app, words, option, place, monkeypatch, capsys):
    """Ten words that are no such number, for each option of each command that takes one."""
    for word in BAD_WORDS:
        if (option, word) != ("--max-history", ""):
            assert ends(app, [*words, option, word], monkeypatch, capsys) == 2, word


@pytest.mark.parametrize("app", NUMBERS)
def test_options_that_there_are_not(app, place, monkeypatch, capsys):
    words, _ = NUMBERS[app]
    for more in (["--nosuch"], ["--nosuch=1"], ["-q"], ["--out"], ["\ud800" * 3, "--nosuch"]):
        assert ends(app, [*words, *more], monkeypatch, capsys) == 2


OUTS = ["mine/notes.txt", "mine/notes.txt/x", "mine", "no\x00thing", "/proc/nosuch/x", "a" * 5000]


@pytest.mark.parametrize("out", OUTS)
def test_places_that_results_cannot_be_written_to(out, place, monkeypatch, capsys):
    """Looked at before the work: the same line, whatever the work would be."""
    assert ends(evaluate.app, ["popularity", "--out", out], monkeypatch, capsys) == 2
    assert ends(leaks.app, ["p5", "--out", out], monkeypatch, capsys) == 2
    if out != "mine":
        source = str(write_results(place / "run.json", make_run()))
        assert ends(bench.report.__main__.app, [source, "--out", out], monkeypatch, capsys) == 2
    assert ends(train.app, ["sasrec", "--max-minutes", "0.01", "--out", out], monkeypatch, capsys) == 2


def change(content, draw):
    """Put something that does not belong there somewhere into JSON."""
    part = content
    while True:
        keys = list(part) if isinstance(part, dict) else range(len(part))
        key = draw.choice(list(keys))
        if not isinstance(part[key], (dict, list)) or not part[key] or draw.random() < 0.2:
            before = part[key]
            part[key] = draw.choice([value for value in BAD_VALUES if value != before])
            return key
        part = part[key]


def test_changed_results(place, monkeypatch, capsys):
    """A hundred values that do not belong where they stand: refused, or a page all the same."""
    app = typer.Typer()

    @app.command()
    def read(path: Path) -> None:
        from bench.records import store

        store.read_all([path])

    refused = 0
    for seed in range(100):
        draw = random.Random(seed)
        path = write_results(place / "run.json", make_run()[:2])
        content = json.loads(path.read_text())
        change(content["benchmarks"], draw)
        path.write_text(json.dumps(content))
        refused += ends(app, [str(path)], monkeypatch, capsys) == 2
    assert refused > 15


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        b"{}",
        b"[]",
        b"null",
        b"[" * 5000,
        b'{"benchmarks": [',
        b"\xff\xfe{\x00}",
        b'{"kind": "lite-llm4rec-studies"}',
        b'"lite-llm4rec-bench"',
    ],
)
def test_files_that_are_no_results(content, place, monkeypatch, capsys):
    path = place / "run.json"
    path.write_bytes(content)
    for words in ([str(path)], ["--compare", str(path), str(path)], ["--history", str(path)], [str(place / "mine")]):
        assert ends(bench.report.__main__.app, words, monkeypatch, capsys) == 2
    assert ends(bench.gate.__main__.app, ["--against", str(path), "--untrained"], monkeypatch, capsys) == 2


SUITE = """
description = "tiny"
datasets = ["synthetic"]
batch_sizes = [4]
k = 5
[[recommenders]]
name = "popularity"
"""


def test_damaged_suites(place, monkeypatch, capsys):
    """Damaged text, and values that do not belong there, for every field of a suite."""
    app = typer.Typer()

    @app.command()
    def plan(path: str) -> None:
        lay_out(Job(suite=path, threads=1, device="cpu"))

    path = place / "suite.toml"
    for seed in range(25):
        path.write_bytes(damaged(SUITE.encode(), random.Random(seed)))
        ends(app, [str(path)], monkeypatch, capsys)
    path = place / "suite.json"
    known = {"description": "tiny", "datasets": ["synthetic"], "recommenders": [{"name": "popularity"}]}
    for field in definitions.Suite.model_fields:
        for value in (float("nan"), -1, {"a": 1}, [[]]):
            path.write_text(json.dumps(known | {field: value}))
            assert ends(app, [str(path)], monkeypatch, capsys) == 2, field
    for name in ("mine", "mine.toml", "", "\x00.toml", "/dev/null", "nosuch"):
        assert ends(app, [name], monkeypatch, capsys) == 2


def test_damaged_checkpoints(place, monkeypatch, capsys):
    """Damages of each file of a checkpoint, seen by its digest or, in an older card, when it is loaded."""
    whole = place / "whole"
    build("sasrec").save_pretrained(whole)
    settings, recipe = resolve("sasrec", "toy", {})
    card = {"recommender": "sasrec", "settings": settings.model_dump(mode="json"), "dataset": "toy"}
    card |= {"dataset_checksum": "0", "dataset_options": {}, "recipe": recipe}
    checkpoints.write_card(whole, Card(**card))
    for seed in range(40):
        draw = random.Random(seed)
        folder = place / f"weights-{seed}"
        shutil.copytree(whole, folder)
        if seed % 2:
            older = json.loads((folder / CARD).read_text()) | {"files": {}}
            (folder / CARD).write_text(json.dumps(older))
        path = draw.choice(sorted(path for path in folder.iterdir() if path.is_file()))
        path.write_bytes(damaged(path.read_bytes(), draw))
        assert ends(evaluate.app, [str(folder)], monkeypatch, capsys) == 2


WORDS = [
    ["--set", "dropout"],
    ["--set", "=1"],
    ["--set", "colour=blue"],
    ["--set", "seed=-1"],
    ["--set", "dropout=nan"],
    ["--set", "preset="],
    ["--preset", "huge"],
    ["--device", "abacus"],
    ["--device", ""],
    ["--split", "time=x"],
    ["--split", ""],
    ["--ties", "neither"],
    ["--columns", "user"],
    ["--columns", "colour=a"],
    ["--items", "nosuch"],
    ["--item-columns", "="],
    ["--max-unpacked", "0"],
    ["--data-dir", "nosuch"],
    ["--decoder", "telepathy"],
    ["--data-dir", "mine/notes.txt"],
    ["--scores", "none"],
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_words_of_options(words, place, monkeypatch, capsys):
    source = str(write_recbole(place / "tiny", INTER))
    assert ends(train.app, ["p5", "--dataset", source, "--max-minutes", "0.01", *words], monkeypatch, capsys) == 2
    random_name = "".join(random.Random(str(words)).choices(string.printable, k=12)).strip("-") or "x"
    assert ends(train.app, [random_name, *words], monkeypatch, capsys) == 2
