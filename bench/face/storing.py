"""pytest-benchmark's results files, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import safe_dumps

from bench.ground.home import atomic


class AtomicStorage(FileStorage):
    """A `FileStorage` that leaves no torn file behind where a disk is full, and does not end pytest then.

    Args:
        storage: pytest-benchmark's own, of the same folder and machine.

    Attributes:
        failed: Why the last file could not be written; None where it was.

    """

    def __init__(self, storage: FileStorage) -> None:
        super().__init__(storage.path, storage.logger, storage.default_machine_id)
        self.failed: OSError | None = None

    def save(self, output_json: dict[str, Any], save: str) -> None:
        """Write one results file."""
        path = self.get(f"{self._next_num}_{save}.json")
        self.write(path, output_json)
        if self.failed is None:
            self.logger.info(f"Saved benchmark data in: {path}")  # noqa: G004 - no logger of the standard library

    def write(self, path: Path, output_json: dict[str, Any]) -> None:
        """Write results to a path; what the system says against it is remembered."""
        self.failed = None
        try:
            with atomic(path) as temporary:
                temporary.write_bytes(safe_dumps(output_json, ensure_ascii=True, indent=4).encode())
        except OSError as error:
            self.failed = error


def store_atomically(session: Any) -> AtomicStorage | None:
    """Let pytest-benchmark write its files through `AtomicStorage`.

    Args:
        session: Its `BenchmarkSession`.

    Returns:
        The storage; None where results go somewhere else than into files.

    """
    if not isinstance(session.storage, FileStorage):
        return None
    storage = AtomicStorage(session.storage)
    save_json: Callable[[dict[str, Any]], None] = lambda output: storage.write(Path(session.json), output)  # noqa: E731
    session.storage, session.save_json = storage, save_json
    return storage
