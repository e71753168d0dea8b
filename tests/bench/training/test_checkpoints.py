"""A checkpoint is loaded whole, as it was saved, from where it lies, or refused in one line."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.suites.planning import Job, lay_out
from bench.training import checkpoints
from bench.training.checkpoints import CARD, Card
from bench.training.recipes import resolve
from models.errors import UserError
from models.origins import origin
from models.serving import Serving
from tests.tiny import build, dataset

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Save an untrained recommender with a tokenizer as if it had been trained."""
    folder = tmp_path_factory.mktemp("weights") / "p5"
    recommender = build("p5")
    recommender.save_pretrained(folder)
    settings, recipe = resolve("p5", "toy", {})
    values = settings.model_dump(mode="json")
    card = {"recommender": "p5", "settings": values, "dataset": "toy", "dataset_checksum": "0", "dataset_options": {}}
    checkpoints.write_card(folder, Card(**card, recipe=recipe))
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "p5"))


def change_card(folder, **changes):
    path = folder / CARD
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder, change):
    """Change tensors, and leave the card without digests, as older cards are."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    change_card(folder, files={})


def refusal(folder):
    with pytest.raises(UserError) as caught:
        checkpoints.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_checkpoint_comes_back(folder):
    recommender, card = checkpoints.load(folder)
    assert card.recommender == "p5"
    assert {"model.safetensors", "config.json", "tokenizer/tokenizer.json"} <= set(card.files)
    assert all(len(digest) == 64 for digest in card.files.values())
    assert all(torch.equal(a, b) for a, b in zip(recommender.parameters(), build("p5").parameters(), strict=True))


def test_missing_weights_are_not_drawn_at_random(folder):
    change_weights(folder, lambda tensors: tensors.pop(next(name for name in tensors if "DenseReluDense" in name)))
    assert "weights are missing, " in refusal(folder)


def test_weights_that_are_left_over_are_refused(folder):
    change_weights(folder, lambda tensors: tensors.update({"another.layer": torch.ones(3)}))
    assert "weights are left over, another.layer" in refusal(folder)


def test_weights_of_another_shape_are_refused(folder):
    def cut(tensors):
        name = next(name for name in tensors if "DenseReluDense" in name)
        tensors[name] = tensors[name][:-1].clone()

    change_weights(folder, cut)
    assert "cannot be loaded" in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(folder, value):
    change_weights(folder, lambda tensors: next(iter(tensors.values())).view(-1)[:1].fill_(value))
    assert "weights are not finite, " in refusal(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer/tokenizer.json", "item_tokens.json"])
def test_one_flipped_bit_is_seen(folder, name):
    if not (folder / name).exists():
        name = next(path.name for path in folder.glob("*.json") if path.name not in (CARD, "config.json"))
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert f"{name} was changed or damaged after training" in refusal(folder)


def test_a_missing_file_is_named_and_one_more_is_nobodys_business(folder):
    (folder / "notes.txt").write_text("mine")
    checkpoints.load(folder)
    (folder / "config.json").unlink()
    assert "config.json is missing; copy the whole folder" in refusal(folder)


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer/chat_template.jinja", "model-2.safetensors"])
def test_a_file_that_could_be_read_and_was_added_later_is_refused(folder, name):
    (folder / name).write_text("{}")
    assert f"{name} was added after training, and could be read; take it away" in refusal(folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("adapter_config.json", {"base_model_name_or_path": "owner/model"}, "names other weights"),
        ("model.safetensors.index.json", {"weight_map": {"a": "../other.safetensors"}}, "lies outside of its folder"),
        ("model.safetensors.index.json", {"weights": 1}, "is no list of shards"),
        ("model.safetensors.index.json", [], "is no list of shards"),
    ],
)
def test_files_that_lead_elsewhere_are_refused(folder, name, content, said):
    """By whatever way they came: here the card has no digests."""
    (folder / name).write_text(json.dumps(content))
    change_card(folder, files={})
    assert said in refusal(folder)
    with pytest.raises(UserError, match=said):
        origin(str(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer/tokenizer_config.json"])
def test_code_that_a_checkpoint_names_is_neither_run_nor_asked_about(folder, name, monkeypatch):
    """Transformers would ask on the terminal whether to run it."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    path = folder / name
    named = dict.fromkeys(("AutoConfig", "AutoModel"), "theirs.Theirs") | {"AutoTokenizer": [None, "theirs.Theirs"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": named, "tokenizer_class": "Theirs"}))
    (path.parent / "theirs.py").write_text("raise SystemExit('it was run')\n")
    change_card(folder, files={})
    try:
        checkpoints.load(folder)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 - to be loaded without the code is right, too


@pytest.mark.parametrize("changes", [{"dtype": "float31"}, {"dtype": 7}, {"backbone": {"a": 1}}, {"settings": 3}])
def test_a_configuration_of_anything_is_one_line(folder, changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    change_card(folder, files={})
    try:
        checkpoints.load(folder)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 - what nobody reads may be anything


def test_pickles_are_not_read(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    change_card(folder, files={})
    assert "cannot be loaded" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recommender": "popularity"}, "popularity has no weights to load"),
        ({"recommender": "sasrec"}, "cannot be loaded"),
        ({"recommender": "nosuch"}, "unknown recommender 'nosuch'"),
        ({"recommender": ":X"}, "cannot be imported"),
        ({"recipe": {"batch_size": 0}}, "is damaged (recipe."),
        ({"training": {"seconds": []}}, "is damaged (training.seconds"),
        ({"colour": "blue"}, "is damaged (colour: extra inputs"),
    ],
)
def test_a_card_that_says_something_else_is_one_line(folder, changes, said):
    change_card(folder, files={}, **changes)
    assert said in refusal(folder)


@pytest.mark.parametrize("content", [b"", b"\x80", b"[" * 2000, b"null", b'{"a": "\\ud800"}'])
def test_a_card_that_is_none_is_one_line(folder, content):
    (folder / CARD).write_bytes(content)
    assert CARD in refusal(folder)


def test_a_checkpoint_of_changed_data_says_that_the_contents_changed(folder):
    from tests.tiny import dataset

    card = checkpoints.read_card(folder)
    loaded = dataset()
    alike = card.model_copy(update={"dataset_options": loaded.source.options})
    with pytest.raises(UserError, match="was trained on other contents of toy: its files have changed"):
        alike.check(loaded, folder)
    with pytest.raises(UserError, match="loaded with"):
        card.check(loaded, folder)


def test_a_checkpoint_without_its_tokenizer_asks_nobody_for_it(folder):
    """In a process of its own, where the hub may be asked: no socket is opened, whatever the folder is called."""
    shutil.rmtree(folder / "tokenizer")
    change_card(folder, files={})
    script = f"""
        import socket
        def refuse(*_, **__):
            raise SystemExit("a socket was opened")
        socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
        from pathlib import Path
        from bench.training import checkpoints
        from models.errors import UserError
        try:
            checkpoints.load(Path({folder.name!r}))
        except UserError as error:
            print(error)
    """
    allowed = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment = allowed | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, check=False, cwd=folder.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "p5/tokenizer: the checkpoint's tokenizer is missing" in done.stdout


@pytest.mark.parametrize("name", ["./nosuch", "/no/such", "~/nosuch", "a/b/c", ""])
def test_what_is_written_as_a_path_is_not_looked_up_on_the_hub(name):
    with pytest.raises(UserError, match="there is no such folder"):
        origin(name)


def test_the_hub_is_asked_for_a_name_and_that_is_said(capsys, monkeypatch):
    monkeypatch.setattr("models.origins._asked", set())
    assert origin("owner/model") == ("owner/model", {"trust_remote_code": False})
    assert capsys.readouterr().err == "asking the hub for owner/model\n"
    assert origin(str(ROOT)) == (str(ROOT), {"local_files_only": True, "trust_remote_code": False})
    assert capsys.readouterr().err == ""


def test_a_card_of_another_class_is_one_line_where_cases_are_planned(folder):
    change_card(folder, recommender="sasrec", files={})
    with pytest.raises(UserError, match=r"sasrec has no such settings .*the card is of another class"):
        lay_out(Job(suite="smoke", checkpoints=[folder], device="cpu", threads=1))


def test_a_checkpoints_folder_is_known_by_settings_and_data(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    settings, _ = resolve("sasrec", "toy", {})
    other, _ = resolve("sasrec", "toy", {"dropout": 0.3})
    folders = {
        checkpoints.folder_for("sasrec", settings, dataset()),
        checkpoints.folder_for("sasrec", other, dataset()),
        checkpoints.folder_for("sasrec", settings, dataset(seed=1)),
    }
    assert len(folders) == 3
    assert checkpoints.folder_for("sasrec", settings, dataset()) in folders
    usual = checkpoints.folder_for("sasrec", settings, dataset())
    odd = checkpoints.folder_for("my.module:Class", settings.model_copy(update={"preset": "a/b"}), dataset())
    assert odd.parent == usual.parent
    assert odd.name.startswith("my.module.Class-a_b-seed0-")


def test_a_missing_or_unfinished_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"is no checkpoint: there is no card\.json; train one with"):
        checkpoints.load(tmp_path)


def test_a_card_from_before_compiled_had_its_name_is_read(folder):
    change_card(folder, validation={"seen": "remove", "captured": True})
    assert checkpoints.read_card(folder).validation == Serving(compiled=True)
