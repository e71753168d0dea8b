"""Everything that a page is made of, put together from runs and studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.records.record import Record
from bench.records.store import Run, StudyFile
from bench.records.studies import LeakProbe, ShortcutProbe, Studies
from bench.report.drawing.figure import Drawing
from bench.report.drawing.section import Section
from bench.report.reading.distrust import Doubt, Severity, distrust, graver_first
from bench.report.reading.joining import with_whole_quality
from bench.report.reading.naming import Told, page_names
from bench.report.run.chapter import Material
from bench.report.run.chapters import sections
from bench.report.run.figures import draw_all
from bench.report.run.first_rows import FirstRow, first_rows
from bench.report.run.money import Price
from bench.report.run.opening import Opening, opening
from bench.report.studies import ablations
from bench.report.studies.doubts import doubts
from bench.report.studies.variants import Standing, ranked, variants


@dataclass(frozen=True)
class Known:
    """Everything that a page is made of.

    Attributes:
        runs: What was measured.
        files: What was studied.
        records: Records of all runs, with the quality of the largest evaluation, but for services.
        served: Those of services.
        studies: Studies of all files.
        probes: Those of datasets, which are named in full.
        places: What was evaluated, by dataset, best first.
        drawings: Figures of records, by name.
        sections: Parts of the page.
        prices: Prices of devices.
        folder: Where it is written to.
        rows: Rows of the first screen.
        opening: The question and the answer.
        doubts: What to distrust, the gravest first.

    """

    runs: Sequence[Run]
    files: Sequence[StudyFile]
    records: list[Record]
    served: list[Record]
    studies: Studies
    probes: list[LeakProbe | ShortcutProbe]
    places: dict[str, list[Standing]]
    drawings: dict[str, Drawing]
    sections: list[Section]
    prices: Sequence[Price]
    folder: Path
    rows: list[FirstRow]
    opening: Opening
    doubts: dict[Severity, list[Doubt]]

    @property
    def told(self) -> list[Told]:
        """What has a case: records, evaluations, studies of beams."""
        return [*self.records, *self.served, *self.studies.evaluations, *self.studies.beams]


def known_of(runs: Sequence[Run], files: Sequence[StudyFile], prices: Sequence[Price], folder: Path) -> Known:
    """Put together what a page in a folder is made of."""
    studies = Studies()
    for file in files:
        studies = studies.joined(file.studies)
    probes = studies.probes
    stored, studies = page_names([record for run in runs for record in run.records], studies)
    whole_quality = with_whole_quality(stored, studies.evaluations)
    records = [record for record in whole_quality if record.case.load is None]
    served = [record for record in whole_quality if record.case.load is not None]
    evaluated = variants(studies.evaluations)
    places = ranked(evaluated)
    drawings = draw_all(records)
    replaced = sum(shown is not read for shown, read in zip(whole_quality, stored, strict=True))
    all_sections = sections(Material(records, studies, evaluated, places, drawings, prices, served, replaced))
    rows = first_rows(records, served)
    told = graver_first([*distrust(records, served), *doubts(studies)])
    every = [doubt for group in told.values() for doubt in group]
    parts = ablations.parts(studies.ablations, evaluated, records)
    begun = opening(records, rows, studies, places, parts, every)
    return Known(
        runs, files, records, served, studies, probes, places, drawings, all_sections, prices, folder, rows, begun, told
    )
