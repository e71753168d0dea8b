"""A student is given its teacher, which is trained once."""

import pytest
import torch

from bench.training import checkpoints, loop, recipes
from models.errors import UserError
from models.serving import Serving
from tests.tiny import dataset

RECIPE = {"batch_size": 16, "epochs": 2, "evaluate_every": 4, "validation_users": 10, "max_minutes": 1.0}


@pytest.fixture
def brief(tmp_path, monkeypatch):
    """Few steps, for whoever is trained."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    resolve = recipes.resolve

    def resolved(name, data, chosen):
        settings, recipe = resolve(name, data, {"pretrain_epochs": 1} | chosen)
        return settings, recipe.model_copy(update=RECIPE)

    monkeypatch.setattr(recipes, "resolve", resolved)


def train(data, folder, **chosen):
    settings, recipe = recipes.resolve("slmrec", data.name, chosen)
    loop.train("slmrec", settings, recipe, data, serving=Serving(), device=torch.device("cpu"), folder=folder)
    return checkpoints.read_card(folder)


def test_the_teacher_is_trained_first_and_the_second_student_finds_it(brief, tmp_path, monkeypatch):
    data, trained = dataset(), []
    teach = loop.train_unless_done

    def noting(*given, **named):
        card = teach(*given, **named)
        trained.append(card is not None)
        return card

    monkeypatch.setattr(loop, "train_unless_done", noting)
    cards = [train(data, tmp_path / name, length=length) for name, length in (("one", 0.1), ("other", 0.2))]
    assert trained == [True, False]
    settings, _ = recipes.resolve("slmrec", data.name, {"role": "teacher"})
    folder = checkpoints.folder_for("slmrec", settings, data)
    assert [card.training["teacher"] for card in cards] == [folder.name] * 2
    teacher, _ = checkpoints.load(folder)
    student, _ = checkpoints.load(tmp_path / "one")
    assert torch.equal(teacher.vectors, student.vectors)
    assert len(teacher.llm.layers) > len(student.llm.layers)


def test_who_has_no_teacher_names_none(brief, tmp_path):
    assert "teacher" not in train(dataset(), tmp_path / "teacher", role="teacher").training


def test_a_teacher_of_other_data_is_refused(brief, tmp_path, monkeypatch):
    data, other = dataset(), dataset(seed=1)
    train(data, tmp_path / "one")
    monkeypatch.setattr(checkpoints, "data_folder", lambda _: "the same folder")
    monkeypatch.setattr(loop, "_refuse_another", lambda *_: None)
    train(data, tmp_path / "two")
    with pytest.raises(UserError, match="was trained on"):
        train(other, tmp_path / "three")
