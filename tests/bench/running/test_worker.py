"""A process that measures what it is told."""

import pytest

from bench.running.worker import Worker
from bench.suites.planning import Job
from models.errors import UserError


def test_weights_that_would_have_to_be_trained_are_refused(tmp_path, monkeypatch):
    """Two sides that train differ by chance."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    worker = Worker()
    job = Job(suite="smoke", recommenders=["sasrec"], device="cpu", threads=1)
    (case, _), *_ = worker.plan(job.model_dump(mode="json"))["cases"]
    with pytest.raises(UserError, match="name --checkpoint FOLDER, or measure random weights with --untrained"):
        worker.open(next(name for name in worker._planned if case["recommender"] in name))
