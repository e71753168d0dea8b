"""All sections of the page, in their order."""

from __future__ import annotations

from bench.report.drawing.section import Section
from bench.report.run.chapter import Chapter, Material
from bench.report.run.learning import LEARNING
from bench.report.run.load import LOAD
from bench.report.run.rankers import RANKERS
from bench.report.run.studied import ABLATIONS, BEAMS, FAIR, LEAKS, PUBLISHED, QUALITY, SEEDS, SHORTCUTS
from bench.report.run.timed import CLAIM, COST, DECODERS, FAILED, GROWTH, LATENCY, RESULTS

CHAPTERS: tuple[Chapter, ...] = (
    CLAIM,
    FAIR,
    DECODERS,
    RANKERS,
    LATENCY,
    LOAD,
    GROWTH,
    COST,
    QUALITY,
    LEARNING,
    PUBLISHED,
    SEEDS,
    BEAMS,
    LEAKS,
    SHORTCUTS,
    ABLATIONS,
    RESULTS,
    FAILED,
)


def sections(material: Material) -> list[Section]:
    """Return the sections that have something to show."""
    return [section for chapter in CHAPTERS if (section := chapter.section(material)) is not None]


def dropped_first() -> list[str]:
    """Return the anchors of what Markdown goes without where it is too long, in that order."""
    dropped = [(chapter.dropped, chapter.anchor) for chapter in CHAPTERS if chapter.dropped is not None]
    return [anchor for _, anchor in sorted(dropped)]
