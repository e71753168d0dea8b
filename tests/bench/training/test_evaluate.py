"""The command `evaluate`, and what `train` and `evaluate` refuse, on a dataset of a few dozen users."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import data, evaluate, train
from bench.cli import ending
from bench.records.studies import Studies
from bench.statistics import quality as paired_quality
from tests.bench.training.tiny import folder, trained

pytestmark = pytest.mark.usefixtures("forty_users")


def test_evaluate_prints_a_table_and_writes_json():
    trained()
    result = CliRunner().invoke(
        evaluate.app, ["popularity", "sasrec", "--seed", "3", "--k", "10", "--threads", "1", "--out", "found.json"]
    )
    assert result.exit_code == 0, result.output
    for words in ("synthetic data", "test: 40 users, all 30 items", "popularity", "sasrec", "NDCG@10", "coverage"):
        assert words in " ".join(result.stdout.split())
    found = Studies.model_validate_json(Path("found.json").read_text()).evaluations
    assert [one.case.recommender for one in found] == ["popularity", "sasrec"]
    assert [one.case.weights for one in found] == ["as built", "trained"]
    assert [one.seed for one in found] == [3, 3]
    for one in found:
        metric = one.quality.metrics["NDCG@10"]
        assert metric.low <= metric.value <= metric.high
        assert f"{metric.value:.5f}" in result.stdout
        assert paired_quality.per_user(one.quality).mean() == pytest.approx(metric.value, abs=1e-12)


def test_a_checkpoint_folder_is_evaluated_by_its_path():
    trained()
    by_name, by_path = (
        CliRunner().invoke(evaluate.app, [what, "--seed", "3", "--threads", "1", "--out", out])
        for what, out in (("sasrec", "name.json"), (str(folder()), "path.json"))
    )
    assert by_name.exit_code == by_path.exit_code == 0
    (name,), (path,) = (
        Studies.model_validate_json(Path(out).read_text()).evaluations for out in ("name.json", "path.json")
    )
    assert (name.case, name.weights, name.quality) == (path.case, path.weights, path.quality)


def refused(app, arguments, monkeypatch, capsys):
    """Run a command line as `python -m` does; return the one line it ends with."""
    monkeypatch.setattr("sys.argv", ["command", *arguments])
    with pytest.raises(SystemExit) as end:
        ending.run(app)
    assert end.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "".join(said)
    return said[-1]


@pytest.mark.parametrize(("app", "arguments", "words"), [
    (evaluate.app, ["sasrec"], ["sasrec has no checkpoint", "python -m bench.train sasrec --dataset synthetic"]),
    (evaluate.app, ["nosuch"], ["unknown recommender 'nosuch'"]),
    (evaluate.app, ["popularity", "--set", "colour=blue"], ["setting colour"]),
    (evaluate.app, ["popularity", "--device", "abacus"], ["--device abacus cannot be used"]),
    (train.app, ["popularity"], ["popularity has no weights to train"]),
    (train.app, ["sasrec", "--preset", "huge"], ["sasrec has no preset 'huge'", "compact"]),
    (train.app, ["p5", "--decoder", "telepathy"], ["--decoder telepathy: p5 has", "reference"]),
    (train.app, ["sasrec", "--epochs", "0"], ["'--epochs'", "greater than 0"]),
    (train.app, ["sasrec", "--set", "dropout"], ["--set dropout: write it as name=value"]),
    (train.app, ["sasrec", "--threads", "0"], ["'--threads'", "greater than or equal to 1"]),
    (train.app, ["sasrec", "--max-minutes", "nan"], ["'--max-minutes'", "finite"]),
    (train.app, ["sasrec", "--seed", "-1"], ["'--seed'", "greater than or equal to 0"]),
    (train.app, ["sasrec", "--dataset", "synthetic-1"], ["items 1: ", "greater than or equal to 20"]),
    (train.app, ["sasrec", "--dataset", f"synthetic-{10**30}"], ["less than or equal to"]),
    (train.app, ["sasrec", "--min-count", "-1"], ["--min-count -1: ", "greater than or equal to 0"]),
    (train.app, ["sasrec", "--set", "dropout=nan"], ["setting dropout: input should be a finite number"]),
    (evaluate.app, ["popularity", "--batch-size", "0"], ["'--batch-size'", "greater than or equal to 1"]),
    (evaluate.app, ["popularity", "--k", str(10**9)], ["'--k'", "less than or equal to"]),
])  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_status_2(app, arguments, words, monkeypatch, capsys):
    line = refused(app, arguments, monkeypatch, capsys)
    assert line.startswith("error: ")
    assert all(word in line for word in words)


@pytest.mark.parametrize(("file", "damage"), [
    ("model.safetensors", lambda content: content[: len(content) // 2]),
    ("model.safetensors", lambda content: b""),
    ("model.safetensors", None),
    ("config.json", lambda content: content[:-20]),
    ("card.json", lambda content: content[:-20]),
])  # fmt: skip
def test_a_damaged_checkpoint_is_one_line_and_status_2(file, damage, monkeypatch, capsys):
    trained()
    path = folder() / file
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    capsys.readouterr()
    line = refused(evaluate.app, ["sasrec", "--seed", "3"], monkeypatch, capsys)
    assert line.startswith("error: ")
    assert "again" in line
    assert str(folder()) in line


def test_a_checkpoint_of_other_data_is_refused(monkeypatch, capsys):
    trained()
    line = refused(evaluate.app, [str(folder()), "--min-count", "2"], monkeypatch, capsys)
    assert "was trained on synthetic loaded with" in line


def test_an_interrupted_command_ends_with_status_130(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "load", interrupt)
    monkeypatch.setattr("sys.argv", ["command", "popularity"])
    with pytest.raises(SystemExit) as end:
        ending.run(evaluate.app)
    assert end.value.code == 130
    assert "Traceback" not in capsys.readouterr().err
