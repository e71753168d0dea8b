"""New catalogues while requests go on: how long they take, and what the users notice."""

from __future__ import annotations

import multiprocessing
import random
import time
from dataclasses import replace
from multiprocessing.connection import Connection

import numpy as np
import torch

from bench.measure.subject import Subject
from bench.records.load import Refresh
from bench.service.arrivals import poisson
from bench.service.peak import Batching
from bench.service.session import Session
from bench.service.trial import percentiles
from models.catalogue import Catalogue, Item

SHARES = (0.01, 0.1, 1.0)
"""Shares of the items that are new."""

BY_NUMBER = "its lists are the same whatever the items are: it knows them by number, and new ones need training"

ASKED = 4
"""Requests that show whether new items change anything."""

ON_A_GPU = "measured on a CPU alone: beside requests on one GPU it would need a second process with the weights"


def renewed(catalogue: Catalogue, share: float, *, seed: int = 0) -> Catalogue:
    """Return a catalogue in which a share of the items, drawn at random, is new: other identifiers, other texts.

    New texts are made of the words of old ones, so that they are as long.
    """
    draw = random.Random(seed)
    rows = draw.sample(range(len(catalogue)), max(1, round(share * len(catalogue))))
    ids, items = list(catalogue.ids), list(catalogue.items)
    for row in rows:
        words = items[row].title.split()
        draw.shuffle(words)
        ids[row] = f"new {ids[row]}"
        items[row] = Item(" ".join(["new", *words]), items[row].categories, items[row].brand)
    return replace(catalogue, ids=tuple(ids), items=tuple(items))


def refreshes(session: Session, batching: Batching, rate: float) -> list[Refresh]:
    """Take new catalogues in beside a service, and hold what users notice against what they do without.

    Args:
        session: Whose service.
        batching: How batches are formed.
        rate: Requests a second meanwhile.

    """
    subject = session.service.subject
    assert subject.catalogue is not None, "a case's subject knows its catalogue"
    if subject.device.type == "cuda":
        return [Refresh(new=share, rate=rate, why=ON_A_GPU) for share in SHARES]
    calm, _ = session.wholly(rate, 0, batching)
    refreshed = [_refresh(session, subject, share, batching, rate) for share in SHARES]
    return [refresh.model_copy(update={"p99_before_s": calm.latency.p99_s}) for refresh in refreshed]


def _refresh(session: Session, subject: Subject, share: float, batching: Batching, rate: float) -> Refresh:
    assert subject.catalogue is not None, "checked above"
    catalogue = renewed(subject.catalogue, share)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_index, args=(theirs, subject, catalogue), daemon=True)
    session.progress(f"{subject.name.partition(' | ')[0]}: {share:.0%} of the items new, at {rate:.3g} a second")
    process.start()
    theirs.close()
    told: list[tuple[float, float, int] | str] = []
    try:
        _, heard = session.tried(poisson(rate, count=session.count(rate), seed=0), batching, rate=rate)
        end = time.monotonic() + session.offered.search_s
        while not told and process.is_alive() and time.monotonic() < end:
            _gather(ours, told, wait_s=1.0)
        _gather(ours, told)
    finally:
        process.kill()
        process.join()
        ours.close()
    if not told:
        return Refresh(new=share, rate=rate, why="its process ended, or took too long")
    if isinstance(told[0], str):
        return Refresh(new=share, rate=rate, why=told[0])
    spans = [span for span in told if not isinstance(span, str)]
    latency = heard.received - heard.scheduled
    return Refresh(
        new=share,
        rate=rate,
        seconds=float(np.median([end - start for start, end, _ in spans])),
        bytes=spans[-1][2],
        p99_meanwhile_s=percentiles(latency[~np.isnan(latency)]).p99_s,
    )


def _gather(ours: Connection, told: list[tuple[float, float, int] | str], *, wait_s: float = 0.0) -> None:
    try:
        while ours.poll(wait_s):
            told.append(ours.recv())
            wait_s = 0.0
    except EOFError:
        return


def _index(theirs: Connection, subject: Subject, catalogue: Catalogue) -> None:
    """Take a catalogue in again and again, in a process of its own, and tell how long each time took."""
    torch.set_num_threads(1)
    recommender = subject.recommender
    try:
        if not notices(subject):
            theirs.send(BY_NUMBER)
            return
        while True:
            with torch.inference_mode():
                start = time.monotonic()
                recommender.index(catalogue)
                theirs.send((start, time.monotonic(), recommender.index_bytes))
    except Exception as error:  # noqa: BLE001 - one that cannot take new items in says so
        theirs.send(" ".join(str(error).split())[:300])


def notices(subject: Subject) -> bool:
    """Tell whether lists change where all items are others; the subject is left with a catalogue of others."""
    assert subject.catalogue is not None, "a case's subject knows its catalogue"
    before = [subject.request(number) for number in range(ASKED)]
    with torch.inference_mode():
        subject.recommender.index(renewed(subject.catalogue, 1.0))
    after = [subject.request(number) for number in range(ASKED)]
    pairs = zip(before, after, strict=True)
    return not all(torch.equal(old.items, new.items) and torch.equal(old.scores, new.scores) for old, new in pairs)
