"""What holds for every test: one thread, and a run-time folder outside the working tree."""

import os
import signal

import pytest
import torch

from bench.ground import interrupts

os.environ.pop("PYTEST_XDIST_WORKER", None)  # or pytest-benchmark takes none in the processes that tests start

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is first imported, which is later


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
