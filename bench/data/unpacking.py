"""Files off the disk into memory, unpacked where they are packed, and never more than is allowed.

What a file holds is told by its first bytes, never by its name.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from bench.data.files import FileContent, content
from bench.data.place import archive_of
from bench.data.reading import Reading
from bench.ground.textfiles import check_regular
from models.errors import UserError

GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 1 << 20
PIECE_BYTES = 1 << 24
"""At most so much is unpacked before it is counted."""

TRAILER_BYTES = 8
STEP_BYTES = 1 << 12
HEAD_BYTES = 1 << 16
MIB = 1 << 20
ENCRYPTED = 0x1
"""The bit of a zip member's flags."""


class Unpacker:
    """Reads the files of one dataset, which together may unpack to so much and no more.

    Args:
        reading: Says how much that is.

    """

    def __init__(self, reading: Reading) -> None:
        self._allowed = reading.max_unpacked
        self._left = reading.max_unpacked * MIB

    def read(self, path: Path) -> FileContent:
        """Read a text file, or a member of a zip; compressed by gzip or not.

        Args:
            path: Path of the file; of a member, as `bench.data.place.DataPlace` writes it.

        Raises:
            UserError: It cannot be read, is no plain file, is empty, encrypted, cut off or damaged, or unpacks to more
                than is left.

        """
        archive = archive_of(path)
        try:
            if archive != path:
                return content(*self._member(archive, path.relative_to(archive).as_posix()))
            check_regular(path)
            with path.open("rb") as file:
                return content(str(path), self._file(path, file))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
        except MemoryError:
            raise UserError(
                f"{path}: does not fit into memory; use a machine with more, or a part of the data"
            ) from None

    def count(self, label: str | Path, size: int) -> None:
        """Count bytes that are in memory now.

        Raises:
            UserError: They are more than is left.

        """
        self.check(label, size)
        self._left -= size

    def check(self, label: str | Path, size: int) -> None:
        """Check that there is room for so many bytes, without counting them.

        Raises:
            UserError: They are more than is left.

        """
        if size > self._left:
            raise UserError(
                f"{label}: the files of this dataset unpack to more than {self._allowed:,} MiB; "
                "if you trust them, allow more by --max-unpacked MIB"
            )

    def _file(self, path: Path, file: IO[bytes]) -> bytes:
        first = file.read(len(GZIP_MAGIC))
        file.seek(0)
        if first == GZIP_MAGIC:
            return b"".join(self._gunzip(path, file))
        self.count(path, path.stat().st_size)
        data = file.read()
        if path.suffix == ".gz" and b"\0" in data[:HEAD_BYTES]:
            raise UserError(f"{path}: neither a gzip file nor text; fetch a whole copy of it")
        return data

    def _gunzip(self, path: Path, file: IO[bytes]) -> Iterator[bytes]:
        """Unpack one gzip stream after the other, piece by piece."""
        stream, begun = zlib.decompressobj(wbits=31), False
        while chunk := file.read(CHUNK_BYTES):
            while chunk := chunk if begun else chunk.lstrip(b"\0"):  # zeros may fill the last block
                try:
                    piece = stream.decompress(chunk, PIECE_BYTES)
                except zlib.error as error:
                    raise _broken(path, f"damaged ({error})") from error
                self.count(path, len(piece))
                yield piece
                begun, chunk = not stream.eof, stream.unconsumed_tail or stream.unused_data
                if stream.eof:
                    stream = zlib.decompressobj(wbits=31)
        if begun:
            raise _broken(path, "truncated")

    def _member(self, archive: Path, name: str) -> tuple[str, bytes]:
        label = f"{archive}, member {name}"
        try:
            with zipfile.ZipFile(archive) as opened:
                member = opened.getinfo(name)
                if member.flag_bits & ENCRYPTED:
                    raise UserError(
                        f"{label}: is encrypted; unpack the zip with its password and give the path of the folder"
                    )
                self.check(label, member.file_size)  # as it says of itself; it is counted all the same
                pieces = []
                with opened.open(member) as file:
                    while piece := file.read(PIECE_BYTES):
                        self.count(label, len(piece))
                        pieces.append(piece)
        except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, KeyError) as error:
            raise UserError(f"{archive}: no whole zip file ({error}); delete it and fetch it anew") from error
        return label, b"".join(pieces)


def _broken(path: Path, what: str) -> UserError:
    """Return the error for a broken gzip stream; names up to which line it can be read."""
    stream, line, left = zlib.decompressobj(wbits=31), 1, path.stat().st_size - TRAILER_BYTES
    with path.open("rb") as file, suppress(zlib.error):
        while left > 0 and (chunk := file.read(min(left, STEP_BYTES))):  # a wrong trailer must not hide lines before it
            left -= len(chunk)
            line += stream.decompress(chunk).count(b"\n")
    return UserError(f"{path}, line {line}: the gzip file is {what} here; fetch a whole copy of it")


def head(path: Path) -> bytes:
    """Return how a text file begins: whole lines of its first 64 KiB, unpacked; nothing where it cannot be read.

    Args:
        path: As for `Unpacker.read`, which will say what is wrong.

    """
    archive = archive_of(path)
    try:
        if archive != path:
            with zipfile.ZipFile(archive) as opened, opened.open(path.relative_to(archive).as_posix()) as member:
                data = member.read(HEAD_BYTES)
        else:
            with path.open("rb") as file:
                data = file.read(HEAD_BYTES)
            if data.startswith(GZIP_MAGIC):
                data = zlib.decompressobj(wbits=31).decompress(data, HEAD_BYTES)
        text = content(str(path), data).data
    except (
        OSError,
        ValueError,
        UserError,
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        NotImplementedError,
        KeyError,
    ):
        return b""
    return text if len(data) < HEAD_BYTES else text.rpartition(b"\n")[0] or text
