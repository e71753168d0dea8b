"""Files with one object a line: JSON, or the Python literals in which old collections were published."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from pydantic_core import from_json

from bench.data.files import FileContent
from bench.data.values import whole

WHERE = re.compile(r" at line 1 column ")


class Objects:
    """Parses the lines of a file, and counts what it had to mend.

    Args:
        source: The file.

    """

    def __init__(self, source: FileContent) -> None:
        self.source = source
        self._mended = 0

    def parse(self, line: int, row: bytes) -> dict[str, Any]:
        """Return the object of one line; halves of characters in it are replaced and counted.

        Raises:
            UserError: There is none.

        """
        try:
            value = from_json(row, cache_strings="keys")
        except ValueError as error:
            value = self._otherwise(line, row, error)
        if not isinstance(value, dict):
            raise self.source.fault(line, "no object, {...}", "give one JSON object a line")
        return value

    def _otherwise(self, line: int, row: bytes, error: ValueError) -> Any:
        """Read what a strict parser of JSON refuses."""
        reason = f"invalid JSON ({WHERE.sub(' at column ', str(error))})"
        try:
            if row.lstrip().startswith((b"{'", b'{u"', b"{u'", b"{}")):
                reason = "no Python literal"
                return _plain(ast.literal_eval(row.decode()))
            mended = json.loads(row.decode())
        except RecursionError:
            reason = "nested too deeply"
        except (ValueError, SyntaxError, TypeError, MemoryError):
            pass
        else:
            self._mended += 1
            return _plain(mended)
        raise self.source.fault(line, reason, "correct or delete the line") from error

    def warnings(self) -> tuple[str, ...]:
        """Tell how many lines were mended."""
        if not self._mended:
            return ()
        return (f"{self.source.label}: {self._mended:,} lines hold halves of characters, replaced by U+FFFD",)


def _plain(value: Any) -> Any:
    """Return a value with whole characters only."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {_plain(name): _plain(part) for name, part in value.items()}
    return value
