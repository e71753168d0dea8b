"""``python -m bench...`` forked from a process that has imported what all commands need, and computed nothing.

Importing torch and transformers takes seconds, and tests start hundreds of commands. Only what is tested of starting
itself (a kill, Ctrl-C, a command of a user) begins as an interpreter.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import time
from contextlib import ExitStack, suppress
from multiprocessing.reduction import DupFd
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired, run
from types import SimpleNamespace

PRELOADED = ["bench.running.worker"]
"""As `bench.running.isolated` has it, whose fork server this is."""


class _Descriptor:
    """A file descriptor that goes along to a forked process."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return _received, (DupFd(self.number),)


def _received(copy):
    return copy.detach()


class Forked:
    """What is used of `subprocess.Popen`, for a module that is run as a command."""

    def __init__(self, words, *, stdin=None, stdout=None, stderr=None, cwd=None, env=None, **_):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.args = words
        self.stdin = self.stdout = self.stderr = None
        with ExitStack() as theirs:
            streams = []
            for number, (name, asked) in enumerate({"stdin": stdin, "stdout": stdout, "stderr": stderr}.items()):
                if asked == PIPE:
                    read, write = os.pipe()
                    mine, other = (write, read) if number == 0 else (read, write)
                    setattr(self, name, os.fdopen(mine, "wb" if number == 0 else "rb"))
                    theirs.callback(os.close, other)
                elif asked in {None, DEVNULL}:
                    other = os.open(os.devnull, os.O_RDWR)
                    theirs.callback(os.close, other)
                else:
                    other = asked.fileno()
                streams.append(_Descriptor(other))
            begun, told = context.Pipe(duplex=False)
            environment = dict(os.environ if env is None else env)
            self._process = context.Process(
                target=_run, args=(told, streams, words[2:], os.fspath(cwd or os.getcwd()), environment)
            )
            self._process.start()
        told.close()
        with suppress(EOFError):
            begun.recv()  # it leads a process group of its own by now
        begun.close()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired(self.args, timeout)
        return self._process.exitcode

    def terminate(self):
        self._process.terminate()

    def kill(self):
        self._process.kill()


def popen(words, **options):
    """Fork what is a module of this project, and start anything else as ever."""
    forks = list(words[:2]) == [sys.executable, "-m"] and words[2].split(".")[0] in {"bench", "pytest"}
    return Forked(list(words), **options) if forks else Popen(words, **options)


subprocess = SimpleNamespace(DEVNULL=DEVNULL, PIPE=PIPE, TimeoutExpired=TimeoutExpired, run=run, Popen=popen)
"""In the place of the module of this name, where commands are to be forked."""


def _run(told, streams, words, folder, environment):
    """Become the command: its folder, environment, streams, search path and words."""
    os.setsid()
    told.send(True)
    told.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as an interpreter has it
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    searched = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:] = searched + [place for place in sys.path if place not in searched]
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
