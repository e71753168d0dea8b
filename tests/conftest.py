"""What holds for every test: one thread, and a run-time folder outside the working tree."""

import os
import signal

import pytest
import torch

from bench.ground import interrupts
from tests import forked

os.environ.pop("PYTEST_XDIST_WORKER", None)  # or pytest-benchmark takes none in the processes that tests start

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is first imported, which is later

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is first imported, which is later, too


SLOW = (
    "baselines/decoding/test_compiled.py",
    "baselines/decoding/test_exactness.py",
    "baselines/diffusion/test_deftrec.py",
    "baselines/generative/test_decoders.py",
    "baselines/generative/test_every_item.py",
    "baselines/generative/test_p5.py",
    "baselines/generative/test_semantic_convergence.py",
    "baselines/item_ids/test_schemes.py",
    "baselines/one_pass/test_p2rec.py",
    "baselines/one_pass/test_pad.py",
    "baselines/one_pass/test_recmamba.py",
    "baselines/one_pass/test_returning.py",
    "baselines/one_pass/test_tokenrec.py",
    "bench/cli/test_ending.py",
    "bench/data/test_large.py",
    "bench/data/test_real.py",
    "bench/face/test_face.py",
    "bench/face/test_failing.py",
    "bench/fleet/test_ray.py",
    "bench/fleet/test_worker.py",
    "bench/gate/test_command.py",
    "bench/gate/test_paired.py",
    "bench/gate/test_pairs.py",
    "bench/gate/test_trials.py",
    "bench/measure/test_costs.py",
    "bench/quality/test_identifiers.py",
    "bench/quality/test_popularity_floor.py",
    "bench/report/comparing/test_comparison.py",
    "bench/report/comparing/test_comparison_page.py",
    "bench/report/growth/test_laws.py",
    "bench/report/history/test_history.py",
    "bench/report/run/test_front.py",
    "bench/report/site/test_questions.py",
    "bench/report/studies/test_studies_page.py",
    "bench/report/test_browser.py",
    "bench/report/test_command.py",
    "bench/report/test_committed.py",
    "bench/report/test_report.py",
    "bench/report/test_shapes.py",
    "bench/report/test_work.py",
    "bench/reproducing/test_packed.py",
    "bench/reproducing/test_queued.py",
    "bench/reproducing/test_reproduce.py",
    "bench/running/test_guard.py",
    "bench/running/test_isolated.py",
    "bench/running/test_served_worker.py",
    "bench/scenarios/test_served.py",
    "bench/service/test_loadgen.py",
    "bench/service/test_refreshing.py",
    "bench/service/test_service.py",
    "bench/statistics/test_between_runs.py",
    "bench/statistics/test_growth.py",
    "bench/test_study_commands.py",
    "bench/training/test_checkpoints.py",
    "bench/training/test_evaluate.py",
    "bench/training/test_teacher.py",
    "bench/training/test_train.py",
    "models/test_backbones.py",
    "models/test_forward_costs.py",
    "models/test_item_vectors.py",
)
"""Files that take nine tenths of the time: they start processes, render pages, trace searches, or simulate."""


SLOW_TESTS = ("test_in_int8_weights_are_lighter", "test_the_loss_falls")
"""Tests of every recommender that train, or count a request's operators twice."""


def pytest_collection_modifyitems(items):
    """Mark what is slow by its file or its name, and what takes minutes; slow files come first, to end together."""
    for item in items:
        if (
            item.path.as_posix().endswith(SLOW)
            or item.name.startswith(SLOW_TESTS)
            or item.get_closest_marker("minutes")
        ):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not item.path.as_posix().endswith(SLOW))


@pytest.fixture(autouse=True, scope="session")
def _quiet_machine(tmp_path_factory):
    """Compute with one thread and keep everything that is written below a temporary folder."""
    interrupts.hand_back()  # a test that imports bench.conftest is no run of it
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(tmp_path_factory.mktemp("bench-home")))
        yield


@pytest.fixture(autouse=True)
def _ctrl_c():
    """Let Ctrl-C reach the processes that a test starts: a command that ended in this one has turned it off."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def forked_commands(monkeypatch):
    """Fork the commands that the gate and `bench.reproduce` start from a process that has imported what they need."""
    for starting in ("bench.gate.process", "bench.reproducing.run", "bench.reproducing.queued"):
        monkeypatch.setattr(f"{starting}.subprocess", forked.subprocess)
