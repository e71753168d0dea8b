"""The batcher: what waits is taken at once, a window waits for more, and an end is an end."""

import os
import select
import threading
import time
from contextlib import nullcontext, suppress

import numpy as np
import pytest

from bench.service.batcher import Batcher, Rules
from bench.service.wire import REQUEST, Messages, answer_type, queue_pipe


@pytest.fixture
def queue():
    reads, writes = queue_pipe()
    yield reads, writes
    for place in (reads, writes):
        with suppress(OSError):
            os.close(place)


def send(place, *numbers, ago_s=0.0):
    requests = np.array([(number, time.monotonic() - ago_s) for number in numbers], REQUEST)
    os.write(place, requests.tobytes())


def batcher(reads, window_s, largest):
    rules = Rules(np.zeros(2))
    rules.set(window_s, largest)
    return Batcher(reads, nullcontext(), rules)


def test_what_waits_is_taken_at_once_up_to_the_largest_batch(queue):
    send(queue[1], *range(5))
    taker = batcher(queue[0], 0.0, 3)
    assert [taker.take()["number"].tolist() for _ in range(2)] == [[0, 1, 2], [3, 4]]


def test_a_window_lets_others_come(queue):
    send(queue[1], 0)
    threading.Timer(0.1, send, (queue[1], 1, 2)).start()
    assert batcher(queue[0], 60.0, 3).take()["number"].tolist() == [0, 1, 2]


def test_a_window_counts_from_when_the_oldest_was_sent(queue):
    send(queue[1], 0, ago_s=61.0)
    start = time.monotonic()
    assert batcher(queue[0], 60.0, 3).take()["number"].tolist() == [0]
    assert time.monotonic() - start < 30


def test_requests_that_somebody_else_took_are_waited_for_no_more(queue, monkeypatch):
    """The service empties the queue after a trial; a worker that saw them come waits for the next ones."""
    wait = select.select
    seen = []

    def seeing_what_is_gone(reads, *others):
        seen.append(reads)
        if len(seen) == 1:
            return reads, [], []
        send(queue[1], 7)
        return wait(reads, *others)

    monkeypatch.setattr("bench.service.batcher.select.select", seeing_what_is_gone)
    assert batcher(queue[0], 0.0, 1).take()["number"].tolist() == [7]


def test_no_requests_are_left_when_nobody_can_ask(queue):
    send(queue[1], 0)
    os.close(queue[1])
    taker = batcher(queue[0], 60.0, 3)
    assert [len(taker.take()) for _ in range(2)] == [1, 0]


def test_answers_are_cut_into_whole_messages_wherever_the_pipe_broke_them():
    kind = answer_type(4)
    sent = np.zeros(5, kind)
    sent["number"], sent["items"] = range(5), np.arange(20).reshape(5, 4)
    content, cutter = sent.tobytes(), Messages(kind)
    found = [cutter.cut(content[start : start + 37]) for start in range(0, len(content), 37)]
    assert np.array_equal(np.concatenate(found), sent)
