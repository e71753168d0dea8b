"""Where the next item is always the last one plus one, each recommender that learns finds it."""

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
from tests.bench.data.conftest import write_pair

USERS, ITEMS, LENGTH = 1500, 200, 10
CPU = torch.device("cpu")

LEARNS = ["sasrec", "pad", "p2rec", "semantic-convergence"]
LEARNS += ["recmamba", "sigma", "setrec", "slmrec", "tokenrec"]
"""Recommenders that are tried; each trains for minutes."""

NEAR = pytest.param("deftrec", marks=pytest.mark.xfail(reason="in minutes its diffusion ends near an item, not at it"))

BRIEFLY = {"pretrain_epochs": 10.0, "pretrain_batch": 64}
"""What comes before the loop, where a recommender has settings for it."""


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """Users who begin anywhere and count up, past the last item from the first on."""
    draw = random.Random(7)
    rows = [
        (f"u{user}", f"i{(first + step) % ITEMS}", 1000 + step)
        for user in range(USERS)
        for first in [draw.randrange(ITEMS)]
        for step in range(LENGTH)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield data.load(str(write_pair(tmp_path_factory.mktemp("counting") / "counting", rows)))


@pytest.mark.minutes
@pytest.mark.parametrize("name", [*LEARNS, NEAR])
def test_the_next_number_stands_first(counting, name, tmp_path):
    """HR@1 of all test users is at least .9 within the recipe's steps, three minutes at most."""
    kind = registry.load(name)
    chosen = {key: value for key, value in BRIEFLY.items() if key in kind.settings_type.model_fields}
    settings, recipe = resolve(name, counting.name, chosen)
    recipe = recipe.model_copy(update={"max_minutes": 3.0, "evaluate_every": 150, "epochs": 60.0, "patience": 4})
    serving = serving_for(name, kind, None, BEAM_WIDTH, Scores.FULL_VOCAB)
    train(name, settings, recipe, counting, serving=serving, device=CPU, folder=tmp_path / "weights")
    recommender = kind.from_pretrained(tmp_path / "weights").eval()
    recommender.serving = serving
    recommender.index(counting.catalogue)
    ranked = rank_users(recommender, *counting.queries(Split.TEST), k=10, batch_size=256, device=CPU, items=ITEMS)
    assert float(per_user_metrics(join(list(ranked)).ranks, 10)["HR@1"].mean()) >= 0.9
