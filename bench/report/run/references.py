"""What the recommenders of a page are published in, as BibTeX."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

REFERENCES = Path(__file__).with_name("references.toml")


class Paper(BaseModel):
    """One paper.

    Attributes:
        of: Recommenders that it describes, as records name them.
        key: Its key in BibTeX.
        title: As on arXiv; empty where it could not be read.
        author: Likewise, as BibTeX has it.
        year: Year of its first version.
        arxiv: Its number on arXiv.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: tuple[str, ...]
    key: str
    title: str = ""
    author: str = ""
    year: int
    arxiv: str

    @property
    def bibtex(self) -> str:
        """The entry."""
        told = {"title": self.title and f"{{{self.title}}}", "author": self.author, "year": str(self.year)}
        told |= {"eprint": self.arxiv, "archiveprefix": "arXiv", "url": f"https://arxiv.org/abs/{self.arxiv}"}
        fields = ",\n".join(f"  {name} = {{{_escaped(value)}}}" for name, value in told.items() if value)
        return f"@misc{{{self.key},\n{fields}\n}}"


def _escaped(text: str) -> str:
    return text.replace("&", "\\&").replace("%", "\\%")


@cache
def papers(path: Path = REFERENCES) -> tuple[Paper, ...]:
    """Read the papers; the file is read once."""
    return tuple(Paper(**row) for row in tomllib.loads(path.read_text(encoding="utf-8"))["paper"])


def bibtex(recommenders: Sequence[str]) -> str:
    """Return an entry a paper that describes one of these recommenders, and a comment for each that has none."""
    wanted = list(dict.fromkeys(recommenders))
    cited = [paper for paper in papers() if set(paper.of) & set(wanted)]
    named = {name for paper in cited for name in paper.of}
    missing = [f"% {' '.join(name.split())}: no paper is known to us" for name in wanted if name not in named]
    return "\n\n".join([*(paper.bibtex for paper in cited), *missing]) + "\n"
