"""A worker makes the programs of all sizes before it is ready, and asks for no other sizes afterwards."""

import pytest
import torch

from bench.service.batcher import Batcher, Rules
from bench.service.worker import Worker, filled_up
from tests.bench.service.sleepers import Sleeper, subject
from tests.tiny import walks


class Compiling(Sleeper):
    """Notes the sizes that it is asked by."""

    compiles = True

    def __init__(self):
        super().__init__()
        self.sizes = []

    def recommend(self, inputs, k):
        self.sizes.append(len(inputs["items"]))
        return super().recommend(inputs, k)


@pytest.mark.parametrize(("users", "size"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (17, 32)])
def test_batches_are_filled_up_to_a_power_of_two_with_the_last_user(users, size):
    histories = walks(users)
    filled = filled_up(histories)
    assert len(filled) == size
    assert filled[:users] == histories
    assert all(one == histories[-1] for one in filled[users:])


def test_programs_of_all_sizes_are_made_before_the_first_request():
    asked = subject(Compiling(), users=24)
    users = [history for batch in asked.batches for history in batch]
    worker = Worker(asked, users, Batcher(0, None, Rules(None)), 0, 0, largest=6)
    with torch.inference_mode():
        worker._warm_up()
    assert set(asked.recommender.sizes) == {1, 2, 4, 8}
