"""Results of a queue in a few files that can be committed: a list of its jobs, and archives with the files of each."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from bench.ground.outputs import write_folder
from bench.ground.textfiles import read_text
from bench.records.model import Model
from bench.reproducing.queue import ROW, JobRow
from models.errors import UserError

LIST = "queue.json"

VOLUME_BYTES = 15 * 2**20
"""What an archive holds at most; a folder of them can be committed and copied anywhere."""

VOLUMES = 6
"""Archives at most."""

MOST_UNPACKED = 2**30
"""Bytes that an archive may unpack to."""

EARLY = (1980, 1, 1, 0, 0, 0)
"""Time of all members, so that equal results make equal archives."""


class Listed(Model):
    """What a packed folder holds.

    Attributes:
        queue: Its name.
        size: At which it was run.
        rows: What came of each job, in the queue's order.

    """

    queue: str
    size: str
    rows: list[JobRow]


def pack(folder: Path, listed: Listed, files: Mapping[str, Mapping[str, bytes]], *, made_by: str) -> list[Path]:
    """Write the results of a queue.

    Args:
        folder: Where to.
        listed: The rows.
        files: Files of each job, by their place in its folder.
        made_by: The command, for the folder's manifest.

    Returns:
        The files written.

    Raises:
        UserError: There is more than `VOLUMES` archives hold, or the folder cannot be written to.

    """
    made = {LIST: (listed.model_dump_json(indent=1) + "\n").encode()}
    volumes: list[list[str]] = [[]]
    held = 0
    for job, its in files.items():
        size = len(_archive({job: its}))
        if size > VOLUME_BYTES:
            raise UserError(f"job {job}: its files take {size / 2**20:.0f} MiB even packed; see its folder")
        if held + size > VOLUME_BYTES:
            volumes.append([])
            held = 0
        volumes[-1].append(job)
        held += size
    if len(volumes) > VOLUMES:
        raise UserError(f"{folder}: more than {VOLUMES} archives; go on with another --out, and without --kept")
    for number, jobs in enumerate(filter(None, volumes), start=1):
        made[f"results-{number}.zip"] = _archive({job: files[job] for job in jobs})
    return write_folder(folder, made, made_by=made_by)


def unpack(folder: Path) -> tuple[Listed, dict[str, dict[str, bytes]]]:
    """Read what `pack` wrote.

    Args:
        folder: With the list and its archives.

    Returns:
        The list, and the files of each job, by their place in its folder.

    Raises:
        UserError: There is no list, or an archive is damaged or not one of ours.

    """
    path = folder / LIST
    if not path.is_file():
        raise UserError(f"{folder}: holds no {LIST}; give the folder that bench.reproduce wrote")
    try:
        listed = Listed.model_validate_json(read_text(path))
    except ValueError as error:
        raise UserError(f"{path}: is damaged; copy the whole folder once more") from error
    files: dict[str, dict[str, bytes]] = {}
    for archive in sorted(folder.glob("results-*.zip")):
        for name, content in _members(archive):
            job, _, place = name.partition("/")
            files.setdefault(job, {})[place] = content
    return listed, files


def restore(files: Mapping[str, bytes], folder: Path) -> None:
    """Put a job's files where a queue looks for them, its row last.

    Args:
        files: By their place in the folder.
        folder: The job's.

    """
    for place in sorted(files, key=lambda name: name == ROW):
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files[place])


def _archive(files: Mapping[str, Mapping[str, bytes]]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for job, its in files.items():
            for place in sorted(its):
                archive.writestr(zipfile.ZipInfo(f"{job}/{place}", EARLY), its[place], zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _members(path: Path) -> Sequence[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if sum(info.file_size for info in infos) > MOST_UNPACKED:
                raise UserError(f"{path}: unpacks to more than a gigabyte, and is none of ours")
            strange = next((info.filename for info in infos if not _is_inside(info.filename)), None)
            if strange is not None:
                raise UserError(f"{path}: holds {strange!r}, which lies outside of its folder")
            return [(info.filename, archive.read(info)) for info in infos]
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{path}: is damaged ({error}); copy the whole folder once more") from error


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) > 1 and not name.startswith("/") and ".." not in parts and "\\" not in name
