"""The client: a process of its own that sends requests when they are due, whatever became of those before.

Arrivals are absolute times, drawn before the trial: a request that is late does not make the next one later, and
latency counts from when a request was *to* be sent. So a service that stalls is not spared the requests that would
have come meanwhile (Tene, "coordinated omission").
"""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection

import numpy as np

from bench.records.load import Verdict
from bench.service.asked import Ask, Heard, judged_of
from bench.service.wire import HELLO, REQUEST, Messages, answer_type
from bench.statistics.objectives import judge

LEAD_S = 0.05
"""From now to the start of a trial."""

LOOK_S = 0.1
"""How often the client looks whether the objective is missed."""

LEAST_S = 2.0
"""An objective is not missed earlier: at first answers may be slow."""

AT_A_TIME = 64
"""Most requests that are sent before answers are heard again, or a worker would wait for somebody to read them."""

RISES, RISE_S, RISE_REQUESTS = 5, 0.5, 20
"""More arrives than can be answered where requests in flight and latency have risen so many times one after the
other, over spans of so many seconds, and of so many requests, at least."""


class Client:
    """Sends requests and hears answers.

    Args:
        queue: Where requests are written to.
        answers: Where each worker's answers are read from.
        k: Length of the lists.
        users: Lists are kept of the last request of each of so many users.

    Attributes:
        users: See above.
        outstanding: Requests without an answer, of all trials.

    """

    def __init__(self, queue: int, answers: list[int], k: int, users: int) -> None:
        self._queue = queue
        self._answers = {place: Messages(answer_type(k)) for place in answers}
        self.users = users
        self.outstanding = 0

    def ask(self, task: Ask) -> Heard:
        """Send the requests of a trial, and return what became of them."""
        trial = Running(self, task)
        while not trial.over():
            trial.send_due()
            trial.note(self.hear(trial.idle_s()))
            trial.look()
        return trial.ended()

    def settle(self, drained: int, most_s: float) -> bool:
        """Wait until all outstanding requests but those that were drained are answered; tell whether they are."""
        end = time.monotonic() + most_s
        self.outstanding -= drained
        while self.outstanding > 0 and time.monotonic() < end:
            if self.hear(LOOK_S) is None:
                return False
        return self.outstanding <= 0

    def send(self, number: int) -> bool:
        """Send a request; tell whether the queue had room for it."""
        message = np.array([(number, time.monotonic())], REQUEST)
        try:
            os.write(self._queue, message.tobytes())
        except BlockingIOError:
            return False
        self.outstanding += 1
        return True

    def hear(self, wait_s: float) -> np.ndarray | None:
        """Return what was answered within a time; None where a worker is gone."""
        ready, _, _ = select.select(list(self._answers), [], [], wait_s)
        parts = []
        for place in ready:
            read = os.read(place, 1 << 20)
            if not read:
                return None
            parts.append(self._answers[place].cut(read))
        if not parts:
            return np.empty(0)
        answers: np.ndarray = np.concatenate(parts)
        answers = answers[answers["number"] != HELLO]
        self.outstanding -= len(answers)
        return answers


class Running:
    """A trial while it runs.

    Args:
        client: Sends and hears.
        task: What is asked.

    """

    def __init__(self, client: Client, task: Ask) -> None:
        count = len(task.arrivals)
        self._client = client
        self._task = task
        self._heard = Heard(
            scheduled=task.arrivals,
            sent=np.full(count, np.nan),
            taken=np.full(count, np.nan),
            received=np.full(count, np.nan),
            size=np.zeros(count, int),
            ok=np.zeros(count, int),
        )
        self._trend = Trend()
        self._start = time.monotonic() + LEAD_S
        self._sent = self._answered = 0
        self._news = self._looked = 0.0
        self._missed = False

    def _now(self) -> float:
        return time.monotonic() - self._start

    def over(self) -> bool:
        """Tell whether nothing more is to be sent or waited for."""
        if self._missed or self._heard.lost or self._heard.saturated:
            return True
        if self._sent < len(self._task.arrivals):
            return False
        return self._answered == self._sent or self._now() > self._task.arrivals[-1] + self._task.drain_s

    def idle_s(self) -> float:
        """Return how long there is nothing to do but to listen."""
        if self._sent == len(self._task.arrivals):
            return LOOK_S
        return float(min(max(0.0, self._task.arrivals[self._sent] - self._now()), LOOK_S))

    def send_due(self) -> None:
        """Send requests whose time has come, `AT_A_TIME` at most."""
        end = min(self._sent + AT_A_TIME, len(self._task.arrivals))
        while self._sent < end and self._task.arrivals[self._sent] <= self._now():
            if not self._client.send(self._task.first + self._sent):
                self._heard.saturated = "the queue is full"
                return
            self._heard.sent[self._sent] = self._now()
            self._sent += 1

    def note(self, answers: np.ndarray | None) -> None:
        """Note down answers; those to earlier trials are passed over."""
        now = self._now()
        if answers is None:
            self._heard.lost = "no answer comes from it any more"
            return
        if not len(answers):
            if self._answered < self._sent and now - self._news > self._task.hang_s:
                self._heard.lost = f"no answer came for {self._task.hang_s:g} s"
            elif self._answered == self._sent:
                self._news = now
            return
        heard, first = self._heard, self._task.first
        ours = answers[answers["number"] >= first]
        rows = (ours["number"] - np.uint64(first)).astype(int)
        heard.received[rows] = now
        heard.taken[rows] = ours["taken"] - self._start
        heard.size[rows] = ours["size"]
        heard.ok[rows] = ours["ok"]
        for answer in ours[ours["ok"] == 1][-self._client.users :]:
            heard.lists[int(answer["number"]) % self._client.users] = answer["items"], answer["scores"]
        self._answered += len(ours)
        self._news = now

    def look(self) -> None:
        """See now and then whether the objective is missed, or more arrives than can be answered."""
        now, task = self._now(), self._task
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        if task.early and (now > LEAST_S or self._sent == len(task.arrivals)):
            judged, misses = judged_of(self._heard, task.slo, self._sent, now)
            enough = judged * task.slo.allowed >= 1 - 1e-9  # a miss is to be expected: few requests are late together
            self._missed = enough and judge(task.slo, judged, misses) is Verdict.MISSED
        self._heard.saturated = self._trend.look(self._heard, self._sent, self._sent - self._answered, now)

    def ended(self) -> Heard:
        """Return what was heard, without what was never sent."""
        heard = self._heard
        heard.ended = self._now()
        for name in ("scheduled", "sent", "taken", "received", "size", "ok"):
            setattr(heard, name, getattr(heard, name)[: self._sent])
        return heard


class Trend:
    """Watches whether requests in flight and latency rise together, on and on."""

    def __init__(self) -> None:
        self._last: tuple[int, float] = (0, 0.0)
        self._from = (0.0, 0)
        self._rises = 0

    def look(self, heard: Heard, sent: int, in_flight: int, now: float) -> str:
        """Return why the trial should end, or nothing.

        Args:
            heard: What is known so far.
            sent: Requests sent.
            in_flight: Those without an answer.
            now: Seconds from the start.

        """
        since, before = self._from
        if now - since < RISE_S or sent - before < RISE_REQUESTS:
            return ""
        fresh = heard.received[:sent] > since
        if not fresh.any():
            return ""
        latency = float(np.median((heard.received[:sent] - heard.scheduled[:sent])[fresh]))
        rose = in_flight > self._last[0] and latency > self._last[1]
        self._rises = self._rises + 1 if rose else 0
        self._last, self._from = (in_flight, latency), (now, sent)
        if self._rises < RISES:
            return ""
        return f"requests in flight ({in_flight:,}) and latency rose on and on: more arrived than could be answered"


def main() -> None:
    """Do what the service says through the first of the given pipes, until it says no more."""
    talk, queue, k, users, *answers = (int(word) for word in sys.argv[1:])
    client = Client(queue, answers, k, users)
    with suppress(EOFError, OSError, KeyboardInterrupt), Connection(talk) as service:
        service.send("ready")
        while True:
            told = service.recv()
            service.send(client.ask(told) if isinstance(told, Ask) else client.settle(*told))


if __name__ == "__main__":
    main()
