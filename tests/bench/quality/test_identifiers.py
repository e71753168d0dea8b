"""``python -m bench.identifiers``: collisions and categories, of our identifiers and of others'."""

import gzip
import json
import re

import pytest
from typer.testing import CliRunner

from bench.identifiers import app, facts, read_identifiers
from models.errors import UserError
from tests.tiny import catalogue


def test_identifiers_that_differ_in_the_last_code_alone_collide():
    found = facts({1: (0, 1, 0), 2: (0, 1, 1), 3: (0, 2, 0), 4: (5, 1, 0)}, catalogue())
    assert (found.items, found.distinct, found.lengths) == (4, 4, (3, 3))
    assert found.collision_rate == 0.5
    assert found.largest == 2
    assert found.first_codes == 2


def test_unequal_lengths_collide_by_what_stands_before_the_last_code():
    found = facts({1: (7,), 2: (7, 1), 3: (7, 2), 4: (7, 2)}, catalogue())
    assert found.lengths == (1, 2)
    assert found.distinct == 3
    assert found.collision_rate == 0.75


def test_first_codes_that_are_the_categories_agree_fully_and_constant_ones_not_at_all():
    toys = catalogue()
    kinds = {
        number: int(item.categories[-1].split()[1]) for number, item in enumerate(toys.items, 1) if item.categories
    }
    assert facts({number: (kind, number) for number, kind in kinds.items()}, toys).agreement == pytest.approx(1)
    assert facts({number: (0, number) for number in kinds}, toys).agreement == pytest.approx(0)
    assert facts({len(toys): (0, 1)}, toys).agreement is None, "the last item has no category"


def test_others_identifiers_are_read_by_scheme(tmp_path):
    path = tmp_path / "ids.jsonl.gz"
    lines = [
        {"item_id": "i0", "mine": [1, 2], "text": "1001"},
        {"item_id": "i1", "mine": [3]},
        {"item_id": "x", "mine": [4]},
    ]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    assert read_identifiers(path, catalogue()) == {"mine": {1: (1, 2), 2: (3,)}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "no JSON lines can be read"),
        ('{"id": "i0", "mine": [1]}', "no field item_id"),
        ('{"item_id": "elsewhere", "mine": [1]}', "none of its items is in toy"),
    ],
)
def test_a_file_of_another_form_is_one_line(tmp_path, text, message):
    path = tmp_path / "ids.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_identifiers(path, catalogue())


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no JSON lines can be read"):
        read_identifiers(tmp_path / "none.jsonl", catalogue())


def test_the_command_prints_a_line_a_scheme():
    result = CliRunner().invoke(app, ["tiger", "--set", "codebook_size=32"])
    assert result.exit_code == 0
    assert "tiger, rq-vae" in result.stdout
    assert "tiger, rq-kmeans" in result.stdout
    assert "tiger, random" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["tiger", "--set", "codes_size=32"], "setting codes_size: .*its settings are .*codebook_size"),
        (["sasrec"], "sasrec has no codes to describe"),
        (["nosuch"], "unknown recommender 'nosuch'"),
    ],
)
def test_what_cannot_be_described_is_one_line(options, message):
    result = CliRunner().invoke(app, options)
    assert isinstance(result.exception, UserError)
    assert re.search(message, str(result.exception))
