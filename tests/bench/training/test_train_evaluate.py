"""The commands `train` and `evaluate`, on a dataset of a few dozen users."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback
from typer.testing import CliRunner

from baselines.generative.tiger import Tiger
from bench import data, evaluate, train
from bench.cli import ending, options
from bench.records.studies import Studies
from bench.statistics import quality as paired_quality
from bench.suites import cases
from bench.training import checkpoints, loop, recipes
from bench.training.recipes import Recipe
from bench.training.trainer import Arguments, TimeBudget
from models import registry
from models.errors import UserError
from models.serving import Scores, Serving

ROOT = Path(__file__).parents[3]

RECIPE = Recipe(
    batch_size=16, learning_rate=1e-3, weight_decay=0.0, warmup_steps=2, epochs=4, evaluate_every=4,
    validation_users=20, patience=500, max_minutes=1.0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _tiny(tmp_path, monkeypatch):
    """Forty synthetic users, few steps, and a run-time folder of the test's own."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    load, resolve = data.load, recipes.resolve

    def load_tiny(name, **given):
        return load(name, **given, users=40, items=30, length=8)

    def resolve_tiny(recommender, dataset, chosen):
        return resolve(recommender, dataset, chosen)[0], RECIPE

    monkeypatch.setattr(data, "load", load_tiny)
    monkeypatch.setattr(train, "resolve", resolve_tiny)


def trained(*arguments):
    return CliRunner().invoke(train.app, ["sasrec", "--threads", "1", "--seed", "3", *arguments])


def folder():
    """Where the trained SASRec's checkpoint is, finished or not."""
    (found,) = Path("home/checkpoints").glob("*/sasrec-compact-seed3-*")
    return found


class _Stops(TrainerCallback):
    """Interrupts training after a step, and notes where each training began."""

    step = None
    began: list[int] = []  # noqa: RUF012 - one list for the class is what is wanted

    def on_train_begin(self, args, state, control, **_):
        self.began.append(state.global_step)

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.fixture
def stops(monkeypatch):
    """Put an interruption into the Trainer's callbacks."""
    callback = _Stops()
    callback.began = []
    budget = loop.TimeBudget

    class Interrupted(budget):
        def on_train_begin(self, args, state, control, **_):
            super().on_train_begin(args, state, control)
            callback.on_train_begin(args, state, control)

        def on_step_end(self, args, state, control, **_):
            super().on_step_end(args, state, control)
            callback.on_step_end(args, state, control)

    monkeypatch.setattr(loop, "TimeBudget", Interrupted)
    return callback


def test_training_leaves_one_folder_with_weights_recipe_and_metrics(stops):
    result = trained()
    assert result.exit_code == 0, result.output
    assert "note: synthetic: generated data" in result.stderr
    card = checkpoints.read_card(folder())
    assert (card.recommender, card.dataset, card.recipe) == ("sasrec", "synthetic", RECIPE)
    assert card.settings["seed"] == 3
    assert card.validation == Serving()
    assert card.training["steps"] == 12
    assert 0 <= card.training["validation NDCG@10"] <= 1
    assert {path.name for path in folder().iterdir()} == {"card.json", "config.json", "model.safetensors"}
    assert stops.began == [0]


def test_validation_is_ranked_as_asked_and_the_card_says_how(monkeypatch):
    """The folder does not depend on the decoder: it decides when training stops, not what is learned."""
    seen = []
    monkeypatch.setattr(loop.evaluate, "rank_users", noting(seen, loop.evaluate.rank_users))
    arguments = ["p5", "--threads", "1", "--max-minutes", "0.0001", "--decoder", "reference", "--beam-width", "10"]
    result = CliRunner().invoke(train.app, [*arguments, "--scores", "renormalised"])
    assert result.exit_code == 0, result.output
    (made,) = Path("home/checkpoints").glob("*/p5-*")
    asked = Serving(decoder="reference", beam_width=10, scores=Scores.RENORMALISED)
    assert checkpoints.read_card(made).validation == asked
    assert {(one.decoder, one.beam_width, one.scores) for one in seen} == {("reference", 10, Scores.RENORMALISED)}
    again = CliRunner().invoke(train.app, ["p5", "--threads", "1"])
    assert again.stderr.splitlines()[-1].startswith("already trained: ")


def noting(servings, rank_users):
    def ranked(recommender, *given, **options):
        servings.append(recommender.serving)
        return rank_users(recommender, *given, **options)

    return ranked


def test_a_card_without_a_way_of_validation_is_read():
    trained()
    path = folder() / "card.json"
    values = json.loads(path.read_text())
    del values["validation"]
    path.write_text(json.dumps(values))
    assert checkpoints.read_card(folder()).validation is None


def test_what_is_trained_is_not_trained_again_unless_asked(stops):
    trained()
    card = (folder() / "card.json").read_text()
    result = trained()
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1].startswith("already trained: ")
    assert stops.began == [0]
    assert trained("--again", "--epochs", "1").exit_code == 0
    assert stops.began == [0, 0]
    assert (folder() / "card.json").read_text() != card


def test_an_interrupted_training_goes_on_from_its_last_evaluation(stops):
    """Interrupted at step 7, the checkpoint of step 4 stands; the next run begins there and ends whole."""
    stops.step = 7
    result = trained()
    assert isinstance(result.exception, KeyboardInterrupt) or result.exit_code == 130
    assert "interrupted: the same command goes on" in result.stderr
    assert not (folder() / "card.json").exists()
    assert [path.name for path in (folder() / "run").glob("checkpoint-*")] == ["checkpoint-4"]
    with pytest.raises(UserError, match="there is no card"):
        checkpoints.load(folder())
    stops.step = None
    assert trained().exit_code == 0
    assert stops.began == [0, 4]
    card = checkpoints.read_card(folder())
    assert card.training["steps"] == 12
    assert not (folder() / "run").exists()


def test_what_comes_before_the_loop_is_learned_once_and_its_seconds_count(stops, monkeypatch):
    """An interrupted training goes on from saved weights: it has the seconds, and does not learn that part again."""
    learned = []

    def pretrain(self, histories):
        learned.append((len(histories), self.training))
        time.sleep(0.2)

    monkeypatch.setattr(registry.load("sasrec"), "pretrain", pretrain)
    stops.step = 6
    trained()  # interrupted after the evaluation of step 4
    stops.step = None
    assert trained().exit_code == 0
    assert learned == [(40, True)]
    training = checkpoints.read_card(folder()).training
    assert training["seconds of pretraining"] >= 0.2
    assert training["seconds"] > training["seconds of pretraining"]


def test_a_checkpoint_that_was_torn_while_written_is_dropped(stops):
    stops.step = 10
    trained()
    run = folder() / "run"
    assert {path.name for path in run.glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-8"}
    (run / "checkpoint-8" / "trainer_state.json").write_text('{"global_step": 8, "log_hist')
    stops.step = None
    assert trained().exit_code == 0
    assert stops.began == [0, 4]


def test_the_time_budget_ends_training_and_counts_earlier_parts():
    result = trained("--max-minutes", "0.00001")
    assert result.exit_code == 0
    assert checkpoints.read_card(folder()).training["steps"] == 1
    assert checkpoints.read_card(folder()).training["best step"] == 1


def test_the_learning_rate_rises_holds_and_falls_with_the_time_left():
    arguments = Arguments(output_dir="run", max_seconds=100, warmup_steps=4, cooldown=0.2, use_cpu=True)
    passed = [(1, 0), (2, 3), (79, 90), (90, 95), (101, 99)]
    rates = [TimeBudget(spent).rate(arguments, step, 1000) for spent, step in passed]
    assert rates == pytest.approx([0.25, 1.0, 1.0, 0.5, 0.0])
    whole = Arguments(output_dir="run", max_seconds=100, use_cpu=True)
    assert TimeBudget(99).rate(whole, 5, 1000) == 1
    assert TimeBudget(101).rate(whole, 5, 1000) == 1, "a step that ends beyond the time"


def test_the_learning_rate_falls_with_the_steps_left_where_these_end_first():
    arguments = Arguments(output_dir="run", max_seconds=1000, cooldown=0.5, use_cpu=True)
    assert [TimeBudget(10).rate(arguments, step, 100) for step in (20, 50, 75, 100)] == [1, 1, 0.5, 0]


def test_the_last_step_of_a_cooled_training_hardly_learns(monkeypatch):
    cooled = RECIPE.model_copy(update={"cooldown": 1.0, "warmup_steps": 0, "max_minutes": 0.05, "epochs": 500})
    resolve = train.resolve
    monkeypatch.setattr(train, "resolve", lambda *given: (resolve(*given)[0], cooled))
    rates = []

    class Noting(TimeBudget):
        def on_step_end(self, args, state, control, **told):
            super().on_step_end(args, state, control, **told)
            rates.append(told["lr_scheduler"].get_last_lr()[0])

    monkeypatch.setattr(loop, "TimeBudget", Noting)
    assert trained().exit_code == 0
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * rates[0] <= 0.2 * cooled.learning_rate


@pytest.mark.parametrize(("has", "is_used"), [({"avx512_bf16": True}, True), ({"avx512_bf16": False}, False)])
def test_bfloat16_is_used_where_recipe_and_cpu_have_it_and_attention_is_given_back(has, is_used, monkeypatch):
    low = RECIPE.model_copy(update={"bf16_on_cpu": True})
    monkeypatch.setattr(train, "resolve", lambda *given: (recipes.resolve(*given)[0], low))
    monkeypatch.setattr(loop.torch.cpu, "get_capabilities", lambda: has)
    kinds, forward = set(), Tiger.forward

    def noting_forward(self, input_ids, attention_mask, labels):
        kinds.add(self.backbone.config._attn_implementation)
        return forward(self, input_ids, attention_mask, labels)

    monkeypatch.setattr(Tiger, "forward", noting_forward)
    result = CliRunner().invoke(train.app, ["tiger", "--threads", "1", "--max-minutes", "0.001"])
    assert result.exit_code == 0, result.output
    (made,) = Path("home/checkpoints").glob("*/tiger-*")
    assert checkpoints.read_card(made).training["bfloat16"] is is_used
    assert kinds == {"eager" if is_used else "sdpa"}
    model, _ = checkpoints.load(made)
    assert model.backbone.config._attn_implementation == "sdpa"
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


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


def test_generative_recommenders_alone_are_served_with_a_decoder():
    from models.decoder import Decoder
    from models.named import by_name
    from models.recommender import Recommender
    from models.serving import Scores, SeenItems

    class Writes(Recommender):
        decoders = by_name(Decoder("quick"), Decoder("slow"), Decoder("every-item", has_beams=False))

    class Scans(Recommender):
        pass

    def served(kind, decoder, seen=SeenItems.REMOVE):
        return options.serving_for("it", kind, decoder, 7, Scores.RENORMALISED, seen=seen)

    beam = served(Writes, "slow", SeenItems.KEEP)
    assert (beam.decoder, beam.beam_width, beam.scores, beam.seen) == ("slow", 7, Scores.RENORMALISED, SeenItems.KEEP)
    assert served(Writes, None).decoder == "quick"
    assert served(Writes, "every-item").beam_width is None
    one_pass = served(Scans, "slow")
    assert (one_pass.decoder, one_pass.beam_width) == (None, None)
    with pytest.raises(UserError, match="--decoder telepathy: it has quick, slow, every-item"):
        served(Writes, "telepathy")


def test_settings_and_devices_are_read_as_written():
    assert options.parse_settings(["loss=bce", " dropout = 0.4 ", "a=b=c"]) == {
        "loss": "bce",
        "dropout": "0.4",
        "a": "b=c",
    }
    assert options.choose_device("cpu").type == "cpu"
    assert options.choose_device(None).type in {"cpu", "cuda"}
    assert options.set_threads(None) == 1


def test_every_recipe_names_what_exists():
    """Each recommender resolves on each kind of dataset, and the tables have no key that nothing reads."""
    from models.registry import REGISTRY

    for name in REGISTRY:
        for dataset in ("synthetic", "ml-1m", "beauty"):
            settings, recipe = recipes.resolve(name, dataset, {})
            assert settings.preset == "compact"
            assert recipe.max_minutes > 0
    known = {"recommender", "dataset", "preset", "settings", "chosen", *Recipe.model_fields}
    assert all(set(table) <= known for table in recipes._tables())
    named = [
        name for table in recipes._tables() if "recommender" in table for name in recipes._names(table["recommender"])
    ]
    assert set(named) <= set(REGISTRY)


def test_a_recipe_may_hang_on_what_is_chosen():
    assert (
        recipes.resolve("sasrec", "beauty", {"loss": "bce"})[1].epochs
        > recipes.resolve("sasrec", "beauty", {})[1].epochs
    )
    settings, _ = recipes.resolve("lite-llm4rec", "beauty", {"item_llm": "minilm"})
    assert settings.text_tokens == 32
    named = cases.named_settings("lite-llm4rec", "beauty", settings)
    assert named == {"preset": "compact", "item_llm": "minilm"}, "what the recipe adds is not named"
    changed = settings.model_copy(update={"text_tokens": 8})
    assert cases.named_settings("lite-llm4rec", "beauty", changed)["text_tokens"] == 8


@pytest.mark.parametrize("written", [True, "true", "True"], ids=["toml", "command line", "python"])
def test_what_is_chosen_is_compared_as_the_setting_it_becomes(written):
    frozen = {"item_llm": "minilm", "item_llm_training": "frozen"}
    numbered, _ = recipes.resolve("lite-llm4rec", "beauty", frozen | {"item_ids": written})
    assert numbered.dropout > recipes.resolve("lite-llm4rec", "beauty", frozen)[0].dropout


def test_a_folder_that_is_the_working_one_is_trained_in(tmp_path, monkeypatch):
    place = tmp_path / "weights"
    place.mkdir()
    monkeypatch.chdir(place)
    assert trained("--out", ".").exit_code == 0
    assert checkpoints.read_card(place).recommender == "sasrec"


def test_another_checkpoint_in_the_folder_is_not_taken_for_this_one():
    """Nor is it lost: only --again replaces it."""
    assert trained("--out", "mine").exit_code == 0
    card = Path("mine/card.json").read_bytes()
    other = trained("--out", "mine", "--set", "dropout=0.3")
    assert "mine: holds a checkpoint of another setting" in str(other.exception)
    assert "another recommender (sasrec, not tiger)" in str(
        CliRunner().invoke(train.app, ["tiger", "--threads", "1", "--out", "mine"]).exception
    )
    loaded = trained("--out", "mine", "--min-count", "1")
    assert "checkpoint mine was trained on synthetic loaded with" in str(loaded.exception)
    assert Path("mine/card.json").read_bytes() == card
    assert trained("--out", "mine", "--set", "dropout=0.3", "--again").exit_code == 0
    assert checkpoints.read_card(Path("mine")).settings["dropout"] == 0.3


@pytest.mark.parametrize("more", [[], ["--again"]])
def test_a_card_of_somebody_else_stays_as_it_is(more):
    Path("theirs").mkdir()
    Path("theirs/card.json").write_text('{"player": "ace of spades"}')
    result = trained("--out", "theirs", *more)
    assert isinstance(result.exception, UserError)
    assert "theirs/card.json is damaged" in str(result.exception)
    assert Path("theirs/card.json").read_text() == '{"player": "ace of spades"}'


def test_who_comes_second_waits_for_the_first_and_finds_its_checkpoint(tmp_path):
    """A process of its own holds the lock, makes the checkpoint a second later, and lets go."""
    assert trained("--out", "first").exit_code == 0
    script = f"""
        import shutil, time
        from pathlib import Path
        from bench.training.processes import alone
        place = Path({str(tmp_path / "second")!r})
        with alone(place):
            print("held", flush=True)
            time.sleep(1)
            shutil.copytree({str(tmp_path / "first")!r}, place)
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, env=environment
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        result = trained("--out", "second")
        assert holder.wait(timeout=60) == 0
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1].startswith("already trained: ")
