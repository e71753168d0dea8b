"""Ray as the launcher: a local cluster of three nodes, one of them killed in the middle."""

import shutil
import socket
import subprocess
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
from bench.records.case import Outcome
from models.errors import UserError
from tests.bench.fleet.small import CASES, filled, write_suite

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

    def __init__(self, room=1, fails=False):
        self.room, self.fails, self.ended, self.asked, self.answers = room, fails, False, [], {}

    def wait(self, references, num_returns, timeout):
        return [one for one in references if one in self.answers], []

    def get(self, reference):
        answer = self.answers[reference]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def init(self, **given):
        self.given = given
        if self.fails:
            raise ConnectionError("nobody answers")

    def cluster_resources(self):
        return {MEASURING: float(self.room)} if self.room else {"CPU": 4.0}

    def shutdown(self):
        self.ended = True

    def remote(self, *given):
        return self if callable(given[0]) else f"task {len(self.asked)}"

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


def test_an_address_at_which_nobody_listens_is_refused_at_once(monkeypatch):
    """Ray would try for minutes."""
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"--ray {address}: there is no cluster"):
            RayCrew(address, threads=1, say=print)


def test_dashboard_and_usage_statistics_are_off(monkeypatch):
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    with RayCrew(on_ray.LOCAL, threads=1, say=print):
        assert fake.given["include_dashboard"] is False
        assert fake.given["resources"] == {MEASURING: 1}
    import os

    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert fake.ended


def test_there_are_as_many_workers_as_have_something_to_do_and_the_dead_ones_tickets_return(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    fake, said = FakeRay(room=2), []
    monkeypatch.setitem(sys.modules, "ray", fake)
    queue, sweep = filled(tmp_path)
    with RayCrew("auto", threads=1, say=said.append) as crew:
        crew.look(queue, sweep)
        crew.look(queue, sweep)
        assert [needs["resources"] for needs in fake.asked] == [{MEASURING: 1}] * 2
        assert all(needs["max_retries"] == 0 for needs in fake.asked)
        first, second = crew._tasks
        queue.claim(queue.waiting()[0], first.name)
        fake.answers[first.reference] = ConnectionResetError("the node died")
        crew.look(queue, sweep)
        assert said == [f"worker {first.name} is gone: the node died", "1: tried again"]
        assert queue.waiting()[0].attempt == 2
        assert queue.losses(1) == 1
        assert len(fake.asked) == 3  # another one in its place
        fake.answers[second.reference] = (2, "error: there is no such dataset")
        with pytest.raises(UserError, match="could not begin on a node: error: there is no such dataset"):
            crew.look(queue, sweep)


def test_what_a_worker_says_and_how_it_ended_is_told(tmp_path):
    status, said = on_ray.run_worker(["--queue", str(tmp_path / "none")], {"PYTHONPATH": str(ROOT)})
    assert status == 2
    assert "there is no queue of cases" in said


@pytest.mark.slow
def test_a_worker_on_a_leash_ends_with_whoever_started_it(tmp_path, monkeypatch):
    """Another one has what it waits for, and keeps it for long."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    queue, _ = filled(tmp_path)
    for one in queue.waiting():
        queue.claim(one, "somebody")
    words = [sys.executable, "-m", "bench.worker", "--queue", str(queue.root), "--leash"]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdin.close()
        process.stdin = None
        _, said = process.communicate(timeout=200)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
