"""A case in a process of its own."""

import signal
import time
from pathlib import Path

import pytest
import torch

from bench.records.cost import Memory
from bench.records.model import Unavailable
from bench.running.isolated import own_memory
from bench.suites.planning import Job, lay_out

MIB = 2**20

HOLDER = """
import os
import signal
import time

import torch
from transformers import BatchFeature
from models.recommender import Recommender
from models.serving import Recommendations

class Holder(Recommender):
    def index(self, catalogue):
        self.items = torch.arange(1, len(catalogue) + 1)

    def prepare(self, histories):
        return BatchFeature({"users": torch.tensor([history.user for history in histories])})

    def recommend(self, inputs, k):
        held = torch.ones(512 * 2**20, dtype=torch.uint8)
        users = len(inputs["users"])
        return Recommendations(self.items[:k].expand(users, k), -torch.arange(k).float().expand(users, k))

class Dying(Holder):
    def index(self, catalogue):
        os.kill(os.getpid(), signal.SIGKILL)

class Hanging(Holder):
    def index(self, catalogue):
        time.sleep(600)

class Broken(Holder):
    def index(self, catalogue):
        raise ZeroDivisionError("no items per shelf")
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job of one recommender of the module above, and the name of its case."""
    (tmp_path / "holders.py").write_text(HOLDER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name):
        found = Job(suite="smoke", recommenders=[f"holders:{name}"], changes={"batch_sizes": [1], "k": 5}, device="cpu")
        (piece,) = lay_out(found.model_copy(update={"threads": torch.get_num_threads()})).pieces
        return found, piece.groups[0][0].case.name

    return make


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak resident memory is read from Linux's /proc"
)
def test_half_a_gibibyte_is_found_to_two_percent(job):
    found = own_memory(*job("Holder"), timeout_s=120)
    assert isinstance(found, Memory), found
    assert found.request_bytes == pytest.approx(512 * MIB, rel=0.02)
    assert found.process_bytes > 512 * MIB


def test_a_process_that_is_killed_leaves_its_status(job):
    found = own_memory(*job("Dying"), timeout_s=120)
    assert found == Unavailable(
        unavailable=f"the process that serves the case alone ended with status {-signal.SIGKILL}"
    )


def test_a_process_that_hangs_is_ended(job):
    start = time.monotonic()
    found = own_memory(*job("Hanging"), timeout_s=8)
    assert "took over 8 s" in found.unavailable
    assert time.monotonic() - start < 60


def test_what_fails_there_is_told_here(job):
    assert "no items per shelf" in own_memory(*job("Broken"), timeout_s=120).unavailable


def test_this_process_computes_with_as_many_threads_as_before(job):
    before = torch.get_num_threads()
    own_memory(*job("Broken"), timeout_s=120)
    assert torch.get_num_threads() == before
