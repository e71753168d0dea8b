"""What docstrings may not begin with: an attribute that starts in the middle of a sentence is read twice."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BARE = re.compile(r'^\s*(?:"""|[a-z_]\w*(?:, [a-z_]\w*)*: )(?:Of|It)\b')
"""A docstring, or what it says of an attribute or an argument, that begins so; errors say of what they are raised."""


@pytest.mark.parametrize("package", ["bench", "models", "baselines", "tests"])
def test_no_docstring_begins_in_the_middle_of_a_sentence(package):
    """Neither a docstring nor what it says of an attribute begins with a bare "Of" or "It"."""
    bare = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if BARE.match(line)
    ]
    assert bare == []
