"""The commands `bench.leaks` and `bench.beams`, and training in several processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import beams, leaks, train
from bench.cli import ending
from bench.records.studies import Studies
from bench.training import checkpoints

pytestmark = pytest.mark.usefixtures("forty_users")

TINY = ["--threads", "1", "--max-minutes", "0.01"]


def test_leaks_shows_every_numbering_and_writes_them():
    result = CliRunner().invoke(leaks.app, ["p5", "--out", "leaks.json"])
    assert result.exit_code == 0, result.output
    probes = Studies.model_validate_json(Path("leaks.json").read_text()).leaks
    assert [probe.numbering for probe in probes] == [
        "catalogue", "random", "sequential", "sequential-leaky", "collaborative"
    ]  # fmt: skip
    for probe in probes:
        assert f"{probe.metrics['HR@1'].value:.4f}" in result.stdout
        assert probe.users == 40
    assert [bool(probe.labels) for probe in probes] == [False, False, False, True, False]


def test_beams_holds_a_trained_model_against_all_items():
    assert CliRunner().invoke(train.app, ["p5", *TINY]).exit_code == 0
    (folder,) = Path("home/checkpoints").glob("*/p5-*")
    result = CliRunner().invoke(
        beams.app, [str(folder), "--users", "12", "--beam-width", "10", "--beam-width", "29", "--out", "beams.json"]
    )
    assert result.exit_code == 0, result.output
    (study,) = Studies.model_validate_json(Path("beams.json").read_text()).beams
    assert (study.users, study.all_users) == (12, 40)
    assert [beam.width for beam in study.beams] == [10, 29]
    assert study.case.recommender == "p5"
    wide = study.beams[1]  # as wide as the catalogue but for what was seen: nothing is lost
    assert wide.metrics["NDCG@10"].value == pytest.approx(study.exhaustive["NDCG@10"].value, abs=1e-6)
    assert wide.overlap > 0.99
    assert "29 beams" in result.stdout


@pytest.mark.parametrize(
    ("app", "words", "said"),
    [
        (leaks.app, ["sasrec"], "sasrec does not number items: name one that does, such as p5"),
        (leaks.app, ["nope"], "use one of"),
        (beams.app, ["popularity"], "popularity searches with no beams: name a generative one, such as p5 or tiger"),
        (beams.app, ["p5"], "p5 has no checkpoint for synthetic"),
    ],
)
def test_what_cannot_be_studied_is_one_line(app, words, said, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as end:
        ending.run(app)
    assert end.value.code == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "Traceback" not in error


@pytest.mark.minutes
def test_two_processes_train_as_one_does(tmp_path):
    """`torchrun -m bench.train` takes the same steps on the same examples: the same quality, but for noise."""
    cards = []
    for count in (1, 2):
        out = tmp_path / str(count)
        place = os.environ | {"BENCH_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        words = [
            "sasrec",
            "--epochs",
            "12",
            "--threads",
            "1",
            "--device",
            "cpu",
            "--max-minutes",
            "5",
            "--out",
            str(out),
        ]
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
        done = subprocess.run(
            [sys.executable, *launch, "-m", "bench.train", *words],
            cwd=Path(__file__).parents[2], env=place, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("saved ") == 1
        cards.append(checkpoints.read_card(out))
    alone, together = (card.training for card in cards)
    assert (alone["processes"], together["processes"]) == (1, 2)
    assert alone["steps"] == together["steps"]
    reached = alone["validation NDCG@10"]
    assert together["validation NDCG@10"] == pytest.approx(reached, abs=0.05)  # 500 users: a standard error of 0.017
    assert reached > 0.2
