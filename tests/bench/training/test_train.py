"""The command `train`, on a dataset of a few dozen users."""

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
from bench import train
from bench.training import checkpoints, loop, recipes
from bench.training.trainer import Arguments, TimeBudget
from models import registry
from models.errors import UserError
from models.serving import Scores, Serving
from tests.bench.training.tiny import RECIPE, folder, trained

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("forty_users")


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


def test_what_comes_before_the_loop_computes_with_what_it_has_learned_so_far(monkeypatch):
    """In bfloat16, too: autocast would go on with its casts of the first weights."""
    outputs = []

    def pretrain(self, histories):
        layer = torch.nn.Linear(1, 1, bias=False)
        for weight in (1.0, 2.0):
            with torch.no_grad():
                layer.weight.fill_(weight)
            outputs.append(layer(torch.ones(1, 1)))

    low = RECIPE.model_copy(update={"bf16_on_cpu": True})
    monkeypatch.setattr(train, "resolve", lambda *given: (recipes.resolve(*given)[0], low))
    monkeypatch.setattr(loop.torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr(registry.load("sasrec"), "pretrain", pretrain)
    assert trained().exit_code == 0
    assert {output.dtype for output in outputs} == {torch.bfloat16}
    assert [output.item() for output in outputs] == [1, 2]


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
