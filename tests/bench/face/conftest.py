"""The pytest face within this process, on a tiny suite."""

import sys

import pytest

from tests.bench.face.tiny import BENCH, OURS, SUITE


@pytest.fixture
def face(pytester, monkeypatch):
    """Run the face within this process on a tiny suite; what it saved is below `home`."""
    home = pytester.path / "home"
    monkeypatch.setenv("BENCH_HOME", str(home))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.setattr("bench.measure.peaks.SIZES", {"cpu": (64,)})
    monkeypatch.setattr("bench.measure.peaks.COPY_BYTES", {"cpu": 2**20})
    monkeypatch.setattr("bench.measure.peaks.BUDGET_S", 0.001)
    monkeypatch.setattr("bench.measure.overhead.BLOCKS", (5, 10))
    pytester.makefile(".toml", suite=SUITE)
    pytester.makepyfile(ours=OURS)
    # Pytester forgets what a run imports: NumPy cannot be imported twice, and the fork server would start each time.
    monkeypatch.setattr("_pytest.pytester.SysModulesSnapshot.restore", lambda _: None)
    monkeypatch.delitem(sys.modules, "ours", raising=False)

    def run(*options, isolated=False):
        arguments = [
            *([] if isolated else ["--in-process"]),
            "-p",
            "no:cacheprovider",
            "-p",
            "no:hypothesispytest",
            "--benchmark-only",
            "--threads=1",
            str(BENCH),
        ]
        if not any(option.startswith("--suite") for option in options):
            arguments.append("--suite=suite.toml")
        return pytester.runpytest_inprocess(*arguments, *options)

    run.home = home
    return run
