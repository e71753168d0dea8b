"""What pages carry packed comes out as it went in, weighs less, and ends no element."""

import base64
import gzip
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.drawing.packing import packed, packed_json


def unpacked(letters):
    return gzip.decompress(base64.b64decode(letters)).decode()


@given(st.text())
def test_a_text_comes_out_as_it_went_in(text):
    assert unpacked(packed(text)) == text
    assert not set(packed(text)) & set("<>&\"'")


def test_the_same_text_gives_the_same_letters_and_fewer():
    text = json.dumps([{"dataset": "synthetic", "batch": "32"}] * 100)
    assert packed(text) == packed(text)
    assert len(packed(text)) < len(text) / 10


def test_json_comes_out_as_it_went_in_and_holds_numbers_alone():
    assert json.loads(unpacked(packed_json({"</script>": [1.5, None]}))) == {"</script>": [1.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        packed_json(math.nan)
