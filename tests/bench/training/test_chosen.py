"""What a recommender chooses on validation once training has ended is kept with the weights, and told."""

import torch

from bench.data.dataset import Split
from bench.quality import evaluate
from bench.training import checkpoints, loop, recipes
from models.serving import Serving
from tests.tiny import dataset

RECIPE = {"batch_size": 16, "epochs": 2, "evaluate_every": 4, "validation_users": 100, "max_minutes": 1.0}


def test_the_card_says_what_was_chosen_and_how_good_it_is_then(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    data, place = dataset(), tmp_path / "setrec"
    settings, recipe = recipes.resolve("setrec", data.name, {"pretrain_epochs": 1})
    given = {"serving": Serving(), "device": torch.device("cpu"), "folder": place}
    loop.train("setrec", settings, recipe.model_copy(update=RECIPE), data, **given)
    model, card = checkpoints.load(place)
    beta = card.training["chosen beta"]
    assert model.weights.tolist() == [torch.tensor(1 - beta).item(), *[torch.tensor(beta).item()] * settings.semantic]
    model.eval().index(data.catalogue)
    histories, targets = data.queries(Split.VALIDATION)
    parts = list(
        evaluate.rank_users(
            model, histories, targets, k=10, batch_size=64, device=torch.device("cpu"), items=len(data.catalogue)
        )
    )
    metrics = evaluate.per_user_metrics(evaluate.join(parts).ranks, 10)
    assert card.training["validation NDCG@10"] == metrics["NDCG@10"].mean()
    assert card.training["validation NDCG@10"] >= max(point.metrics["NDCG@10"] for point in card.curve)
