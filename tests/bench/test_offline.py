"""Nothing is fetched that the user did not name: a whole run opens no socket to anywhere."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FORBIDDING = """
    import os
    import socket

    connect = socket.socket.connect

    def refuse(*_, **__):
        with open(os.environ["OPENED"], "a") as file:
            file.write("a socket was opened\\n")
        raise OSError("no network in this test")

    def connect_locally(self, address):
        return connect(self, address) if self.family == socket.AF_UNIX else refuse()

    socket.socket.connect = connect_locally
    socket.getaddrinfo = socket.create_connection = refuse
"""


@pytest.mark.minutes
def test_a_whole_smoke_run_opens_no_socket(tmp_path):
    """Every process inherits the ban: training, measuring, rendering, and a checkpoint without its tokenizer."""
    ban = tmp_path / "ban"
    ban.mkdir()
    (ban / "sitecustomize.py").write_text(textwrap.dedent(FORBIDDING))
    opened = tmp_path / "opened.txt"
    allowed = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    path = os.pathsep.join([str(ban), str(ROOT)])
    environment = allowed | {"PYTHONPATH": path, "BENCH_HOME": str(tmp_path / "home"), "OPENED": str(opened)}

    def run(*words):
        command = [sys.executable, "-m", *words]
        return subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)

    probe = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"],
        check=False,
        env=environment,
        capture_output=True,
    )
    assert probe.returncode == 1
    assert opened.read_text() == "a socket was opened\n", "the ban is in force"
    opened.unlink()

    few = ["--train-minutes", "0.1", "--case-seconds", "0.1", "--min-rounds", "3", "-p", "no:cacheprovider"]
    done = run("pytest", "bench/", "--benchmark-only", "--suite", "smoke", *few)
    assert done.returncode == 0, done.stdout[-3000:]
    assert run("bench.report", "--out", str(tmp_path / "page")).returncode == 0
    (folder,) = (tmp_path / "home" / "checkpoints").glob("*/p5-*")
    (folder / "tokenizer" / "tokenizer.json").unlink()
    synthetic = ["--dataset", "synthetic"]
    refused = run("bench.evaluate", os.path.relpath(folder, ROOT), *synthetic)
    assert refused.returncode == 2
    assert "tokenizer.json is missing" in refused.stderr
    assert not opened.exists(), "a socket was opened"
