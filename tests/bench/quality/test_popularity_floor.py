"""Popularity on the public datasets: a check of files, split, ranking and ties at once."""

import os
from pathlib import Path

import pytest
import torch

from baselines.one_pass.popularity import Popularity
from bench import data
from bench.data import Split
from bench.quality.evaluate import join, per_user_metrics, rank_users
from models.recommender import Settings

FLOOR = {
    "ml-1m": (0.02185, 0.01383, 0.03940, 0.01940),
    "beauty": (0.00742, 0.00413, 0.01147, 0.00544),
    "sports": (0.00573, 0.00415, 0.00913, 0.00523),
    "toys": (0.00554, 0.00384, 0.00902, 0.00494),
}
"""HR@5, NDCG@5, HR@10, NDCG@10 on test; counted on the training part, history removed, no k-core."""


@pytest.mark.parametrize("name", FLOOR)
def test_popularity_is_what_it_is_known_to_be(name):
    """Equal to the fifth decimal."""
    folder = os.environ.get("BENCH_DATA")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"BENCH_DATA holds no {name}")
    dataset = data.load(name)
    recommender = Popularity.build(dataset.catalogue, dataset.training(), Settings())
    histories, targets = dataset.queries(Split.TEST)
    batches = rank_users(recommender, histories, targets, k=10, batch_size=512, device=torch.device("cpu"))
    metrics = per_user_metrics(join(list(batches)).ranks, 10)
    found = tuple(float(metrics[key].mean()) for key in ("HR@5", "NDCG@5", "HR@10", "NDCG@10"))
    assert found == pytest.approx(FLOOR[name], abs=6e-6)
