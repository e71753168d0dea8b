"""Ray as the launcher: a local cluster of three nodes, one of them killed in the middle."""

import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from bench.cli.loading import Loading
from bench.fleet import on_ray
from bench.fleet.folder import QueueFolder
from bench.fleet.gathering import gather
from bench.fleet.launching import share, sweep_of
from bench.fleet.on_ray import MEASURING, RayCrew
from bench.fleet.sweep import Sweep
from bench.records import store
from bench.records.record import Outcome
from models.errors import UserError
from tests.bench.fleet.small import CASES, write_suite

ROOT = Path(__file__).parents[3]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A head that does no work, and three nodes of one CPU that may time."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    short = tempfile.mkdtemp(dir="/tmp")  # paths of sockets may have 107 bytes
    monkeypatch.setenv("RAY_TMPDIR", short)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    small = {"include_dashboard": False, "object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    nodes = [made.add_node(num_cpus=1, resources={MEASURING: 1}, **small) for _ in range(3)]
    yield made, nodes
    made.shutdown()
    shutil.rmtree(short, ignore_errors=True)


def parent_of(process):
    """Return the number of a process's parent."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def raylet_of(worker):
    """Return the raylet under which a worker of this name runs, through the task that started it."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"bench.worker" in words and worker.encode() in words:
            return parent_of(parent_of(place.name))
    return None


@pytest.mark.minutes
@pytest.mark.skipif(sys.platform != "linux", reason="the node that times is looked for as Linux lists processes")
def test_of_three_nodes_one_is_killed_and_all_rows_are_there_none_twice(tmp_path, cluster, monkeypatch):
    made, nodes = cluster
    queue = QueueFolder(tmp_path / "queue")
    killed = []

    def kill_the_one_that_times():
        raylets = {node.all_processes["raylet"][0].process.pid: node for node in nodes}
        while not killed:
            time.sleep(0.2)
            if not (queue.root / "queue.json").exists() or not queue.done():
                continue
            for held in queue.claimed():
                node = raylets.get(raylet_of(held.worker))
                if node is not None:
                    killed.append(held)
                    made.remove_node(node, allow_graceful=False)
                    break

    sweep = sweep_of(
        str(write_suite(tmp_path)), size=None, only=[], sources=[], loading=Loading(), device="cpu", threads=1,
        dead_after_s=30.0,
    )  # fmt: skip
    said = []
    killer = threading.Thread(target=kill_the_one_that_times, daemon=True)
    killer.start()
    with RayCrew(made.address, threads=1, say=said.append) as crew:
        share(sweep, queue.root, tmp_path / "out", said.append, wait_for=True, render=False, look=crew.look)
    killer.join(timeout=10)
    assert killed, said
    records = [record for path in (tmp_path / "out").rglob("run.json.gz") for record in store.read(path).records]
    assert len(records) == CASES
    assert len({record.case.name for record in records}) == CASES
    assert {record.outcome for record in records} == {Outcome.OK}
    again = [record for record in records if record.provenance.attempt == 2]
    assert len(again) == 2  # the group that the dead node had
    assert {record.case.threads for record in records} == {1}
    assert gather(queue, Sweep.read(queue), tmp_path / "again", "", render=False) == []


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"Ray is not installed; pip install 'lite-llm4rec-bench\[ray\]'"):
        RayCrew("local", threads=1, say=print)


class FakeRay:
    """As much of Ray as a crew asks for."""

    class exceptions:  # noqa: N801 - Ray's name
        RayError = ConnectionResetError
        RayTaskError = KeyError

    def __init__(self, room=1, fails=False):
        self.room, self.fails, self.ended, self.asked = room, fails, False, []

    def init(self, **given):
        self.given = given
        if self.fails:
            raise ConnectionError("nobody answers")

    def cluster_resources(self):
        return {MEASURING: float(self.room)} if self.room else {"CPU": 4.0}

    def shutdown(self):
        self.ended = True

    def remote(self, function):
        return self

    def options(self, **needs):
        self.asked.append(needs)
        return self


def test_a_cluster_that_cannot_time_or_is_not_there_is_refused(monkeypatch):
    fake = FakeRay(room=0)
    monkeypatch.setitem(sys.modules, "ray", fake)
    with pytest.raises(UserError, match="no node may time; start those that may with ray start --resources"):
        RayCrew("auto", threads=1, say=print)
    assert fake.ended
    monkeypatch.setitem(sys.modules, "ray", FakeRay(fails=True))
    with pytest.raises(UserError, match=r"--ray auto: there is no cluster \(nobody answers\); ray start --head"):
        RayCrew("auto", threads=1, say=print)


def test_dashboard_and_usage_statistics_are_off(monkeypatch):
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    with RayCrew(on_ray.LOCAL, threads=1, say=print):
        assert fake.given["include_dashboard"] is False
        assert fake.given["resources"] == {MEASURING: 1}
    import os

    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert fake.ended
