"""What pages carry packed, and their scripts unpack: libraries, figures, and the rows behind them."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any


def packed(text: str) -> str:
    """Pack a text with gzip, and write it in base 64, which ends no element; the same text gives the same letters."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def packed_json(value: Any) -> str:
    """Pack a value as JSON.

    Raises:
        ValueError: It holds an infinity or a NaN, which JSON has no words for.

    """
    return packed(json.dumps(value, allow_nan=False, separators=(",", ":")))
