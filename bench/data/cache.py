"""Prepared datasets as Parquet below ``.bench/data``: written whole, checked when read, rebuilt when damaged."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.data.prepare import Prepared
from bench.ground.home import atomic, home
from models.catalogue import Item

VERSION = 3
"""Part of every key. Raise when `prepare` or a reader changes what it makes of the same files."""

METADATA = b"bench"
log = logging.getLogger(__name__)


def folder(name: str, key: str) -> Path:
    """Return where the dataset with this key is cached."""
    readable = re.sub(r"[^\w.-]+", "-", name)[:40]
    return home("data", "prepared") / f"{readable}-{key[:16]}"


def store(place: Path, key: str, prepared: Prepared) -> None:
    """Write a dataset; a file system that is full or read-only costs the cache, not the run."""
    histories = pa.table({"items": pa.LargeListArray.from_arrays(pa.array(prepared.offsets), pa.array(prepared.flat))})
    items = pa.table(
        {
            "id": pa.array(prepared.ids, pa.string()),
            "title": pa.array([item.title for item in prepared.items], pa.string()),
            "categories": pa.array([list(item.categories) for item in prepared.items], pa.list_(pa.string())),
            "brand": pa.array([item.brand for item in prepared.items], pa.string()),
            "codes": pa.array(prepared.codes or [None] * len(prepared.items), pa.list_(pa.int64())),
        }
    )
    before = None if prepared.before is None else prepared.before.tolist()
    noted = {"key": key, "warnings": prepared.warnings, "counted": prepared.counted, "before": before}
    metadata = json.dumps(noted)
    try:
        for name, table in (("histories", histories), ("items", items)):
            with atomic(place / f"{name}.parquet") as path:
                pq.write_table(table.replace_schema_metadata({METADATA: metadata}), path, write_page_checksum=True)
    except OSError as error:
        log.warning("%s: the prepared data could not be cached (%s)", place, error)


def fetch(place: Path, key: str) -> Prepared | None:
    """Read a dataset back; None when it is not there or not whole."""
    if not (place / "histories.parquet").exists():
        return None
    try:
        return _read(place, key)
    except (OSError, ValueError, KeyError, TypeError) as error:  # ArrowInvalid and JSONDecodeError are ValueErrors
        log.warning("%s: the cached data is damaged (%s) and is made anew", place, error)
        return None


def _read(place: Path, key: str) -> Prepared:
    histories, items = (
        pq.ParquetFile(place / f"{name}.parquet", page_checksum_verification=True).read()
        for name in ("histories", "items")
    )
    notes = [json.loads(table.schema.metadata[METADATA]) for table in (histories, items)]
    if any(note["key"] != key for note in notes):
        raise ValueError("it belongs to other data")
    column = histories.column("items").combine_chunks()
    offsets = column.offsets.to_numpy().astype(np.int64)
    flat = column.values.to_numpy().astype(np.int32)
    columns = (items.column(name).to_pylist() for name in ("title", "categories", "brand"))
    texts = tuple(Item(title, tuple(categories), brand) for title, categories, brand in zip(*columns, strict=True))
    if offsets[-1] != len(flat) or flat.min() < 1 or flat.max() != len(texts):
        raise ValueError("histories and items do not fit")
    note, given = notes[0], items.column("codes")
    before = None if note["before"] is None else np.array(note["before"], dtype=np.int64)
    if before is not None and len(before) != len(offsets) - 1:
        raise ValueError("histories and cuts do not fit")
    ids = tuple(items.column("id").to_pylist())
    codes = None if given.null_count else tuple(map(tuple, given.to_pylist()))
    return Prepared(flat, offsets, ids, texts, tuple(note["warnings"]), note["counted"], before, codes)
