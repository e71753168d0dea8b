"""On data without any order, no recommender is better than chance: neither ties nor numbering give anything away."""

import math
import random

import pytest
import torch

from bench import data
from bench.cli.options import BEAM_WIDTH, serving_for
from bench.data import Split
from bench.quality.evaluate import join, per_user_metrics, rank_users
from bench.training.loop import train
from bench.training.recipes import resolve
from models import registry
from models.serving import Scores
from models.trainable import TrainableRecommender
from tests.bench.data.conftest import write_pair

USERS, ITEMS, LENGTH, K = 1500, 200, 10, 10
CPU = torch.device("cpu")
CHANCE = K / (ITEMS - (LENGTH - 1))
"""A list of ten out of all items that are not in the history."""

NARROW = 4 * math.sqrt(CHANCE * (1 - CHANCE) / USERS)
"""Four standard deviations of a hit rate over so many users."""


TRAINED = ["sasrec", "lite-llm4rec", "tiger", "p5", "openp5-llama", "pad", "p2rec", "semantic-convergence"]
TRAINED += ["recmamba", "sigma", "setrec", "slmrec", "tokenrec", "deftrec"]


@pytest.fixture(scope="module", params=["equal times", "times of the draw"])
def baskets(request, tmp_path_factory):
    """Users who drew ten of two hundred items each; all at one time, or one after the other."""
    draw = random.Random(7)
    tied = request.param == "equal times"
    rows = [
        (f"u{user}", f"i{item}", 1000 if tied else 2000 + place)
        for user in range(USERS)
        for place, item in enumerate(draw.sample(range(ITEMS), LENGTH))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield data.load(str(write_pair(tmp_path_factory.mktemp("baskets") / "baskets", rows)))


def hit_rate(recommender, dataset):
    recommender.index(dataset.catalogue)
    batches = rank_users(recommender, *dataset.queries(Split.TEST), k=K, batch_size=256, device=CPU, items=ITEMS)
    return float(per_user_metrics(join(list(batches)).ranks, K)[f"HR@{K}"].mean())


@pytest.mark.parametrize("name", ["popularity", "shortcut"])
def test_what_is_counted_is_at_chance(baskets, name):
    kind = registry.load(name)
    recommender = kind.build(baskets.catalogue, baskets.training(), kind.settings_type()).eval()
    assert hit_rate(recommender, baskets) == pytest.approx(CHANCE, abs=NARROW)


@pytest.mark.minutes
@pytest.mark.parametrize("name", TRAINED)
def test_what_is_trained_is_at_chance(baskets, name, tmp_path):
    kind = registry.load(name)
    assert issubclass(kind, TrainableRecommender)
    settings, recipe = resolve(name, baskets.name, {})
    recipe = recipe.model_copy(update={"max_minutes": 0.25, "evaluate_every": 100_000})
    serving = serving_for(name, kind, None, BEAM_WIDTH, Scores.FULL_VOCAB)
    train(name, settings, recipe, baskets, serving=serving, device=CPU, folder=tmp_path / "weights")
    recommender = kind.from_pretrained(tmp_path / "weights").eval()
    recommender.serving = serving
    assert hit_rate(recommender, baskets) == pytest.approx(CHANCE, abs=NARROW)
