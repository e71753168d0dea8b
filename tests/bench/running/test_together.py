"""Several processes give what one gives: by torchrun, as a user types it, and part by part."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.dataset import Split
from bench.quality.evaluate import join, rank_users
from bench.running.together import together
from models import item_vectors, shards
from models.serving import Serving
from tests import tiny

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")


def test_parts_of_the_users_make_up_all_of_them():
    """Each process ranks whole batches, those that one process would make."""
    recommender = tiny.build("sasrec", serving=Serving())
    dataset = tiny.dataset(50)
    recommender.index(dataset.catalogue)
    queries = dataset.queries(Split.TEST)
    how = {"k": 5, "batch_size": 8, "device": CPU, "items": tiny.ITEMS}
    whole = join(list(rank_users(recommender, *queries, **how)))
    parts = join([one for part in range(3) for one in rank_users(recommender, *queries, **how, part=(part, 3))])
    for name in ("users", "items", "scores"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
    assert np.array_equal(whole.ranks.better, parts.ranks.better)


def test_one_process_shares_with_nobody(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with together(CPU) as place, shards.shared():
        assert place == CPU
        assert (shards.rank(), shards.processes()) == (0, 1)
        assert shards.gathered("own") == ["own"]
        assert [made.item() for made in shards.in_shards([1, 2], torch.tensor)] == [1, 2]


def test_large_catalogues_are_read_shard_by_shard(monkeypatch):
    """Their tokens are kept only while they are read; where all is one shard, the vectors are the same."""
    whole = tiny.build("lite-llm4rec")
    catalogue = tiny.catalogue()
    whole.index(catalogue)
    monkeypatch.setattr(item_vectors, "SHARD", tiny.ITEMS - 1)
    parts = tiny.build("lite-llm4rec")
    parts.load_state_dict(whole.state_dict())
    parts.index(catalogue)
    assert parts.reader.tokens is None
    assert torch.allclose(parts.reader.vectors, whole.reader.vectors, atol=1e-6)
    parts.train()
    numbers = torch.tensor([[1, 2, 0], [5, 0, 0]])
    torch.manual_seed(0)
    found = parts.reader(numbers)
    whole.train()
    torch.manual_seed(0)
    assert torch.allclose(found, whole.reader(numbers), atol=1e-5)


def run(words, tmp_path, processes):
    start = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes)] if processes > 1 else []
    environment = os.environ | {"BENCH_HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "TERM": "dumb", "COLUMNS": "160"}
    command = [sys.executable, *start, "-m", *words, "--threads", "1", "--device", "cpu"]
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert made.returncode == 0, made.stderr
    return made.stdout


@pytest.mark.minutes
def test_torchrun_prints_what_one_process_prints(tmp_path):
    words = ["bench.evaluate", "popularity", "shortcut", "--dataset", "synthetic-500"]
    one, two = (run(words, tmp_path, processes) for processes in (1, 2))
    assert "NDCG@10" in one
    assert one == two


@pytest.mark.minutes
def test_an_index_that_processes_share_is_the_same_to_the_last_digit(tmp_path):
    words = ["bench.index", "lite-llm4rec", "tiger", "--untrained", "--dataset", "synthetic-2000"]
    one, two = (re.findall(r"\b[0-9a-f]{12}\b", run(words, tmp_path, processes)) for processes in (1, 2))
    assert len(one) == 4
    assert one == two
