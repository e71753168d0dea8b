"""Reading results back, and saying clearly why they cannot be read."""

import json
import math

import pytest

from bench.results import store
from models.errors import UserError
from tests.bench.factories import make_quality, make_record, make_run, make_studies, write_results, write_studies


def test_records_come_back_as_they_were(tmp_path):
    records = make_run()
    assert store.read(write_results(tmp_path / "run.json", records)).records == tuple(records)


def test_latest_is_the_newest_file(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    folder = tmp_path / "results" / "Linux-CPython"
    folder.mkdir(parents=True)
    for number in (1, 2):
        write_results(folder / f"000{number}_run.json", [make_record()])
    (tmp_path / "results" / "unfinished" / "x").mkdir(parents=True)
    assert store.latest().name == "0002_run.json"


def test_no_results_names_the_command_that_makes_some(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match="pytest bench/ --benchmark-only"):
        store.latest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no valid JSON"),
        ('{"benchmarks": [', "no valid JSON"),
        ("[1, 2]", "not a results file"),
        ('{"benchmarks": []}', "no recommender benchmarks"),
        ('{"benchmarks": [{"name": "other", "extra_info": {}}]}', "another project"),
        ('{"benchmarks": [7, {"extra_info": "text"}], "failed_cases": 7}', "another project"),
        ('{"benchmarks": [{"extra_info": {"kind": "lite-llm4rec-bench"}}]}', "the file is damaged"),
    ],
    ids=["empty", "torn", "list", "no case", "foreign", "odd shapes", "gaps"],
)
def test_an_unusable_file_gives_one_clear_line(tmp_path, content, message):
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        store.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_that_is_none_is_read(tmp_path):
    """JSON as Python writes it may hold NaN where a float is."""
    quality = make_quality(float("nan"))
    path = write_results(tmp_path / "run.json", [])
    content = {"benchmarks": [{"extra_info": make_record(quality=quality).model_dump(mode="json")}]}
    path.write_text(json.dumps(content))
    record = store.read(path).records[0]
    assert math.isnan(record.quality.metrics["NDCG@10"].value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such results file"):
        store.read(tmp_path / "nothing.json")


def test_a_newer_schema_asks_for_an_upgrade(tmp_path):
    path = write_results(tmp_path / "run.json", [make_record()])
    content = json.loads(path.read_text())
    content["benchmarks"][0]["extra_info"]["schema_version"] = 99
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"newer version.*upgrade"):
        store.read(path)


def test_a_record_that_breaks_the_schema_says_where(tmp_path):
    path = write_results(tmp_path / "run.json", [make_record()])
    content = json.loads(path.read_text())
    content["benchmarks"][0]["extra_info"]["outcome"] = "splendid"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="outcome"):
        store.read(path)


def test_studies_come_back_as_they_were(tmp_path):
    studies, _ = make_studies()
    assert store.read_studies(write_studies(tmp_path / "studies.json", studies)).studies == studies


def test_files_are_told_apart_by_what_they_hold(tmp_path):
    studies, records = make_studies()
    paths = [write_studies(tmp_path / "run.json", studies), write_results(tmp_path / "studies.json", records)]
    runs, files = store.read_all([*paths, *paths])
    assert [run.path.name for run in runs] == ["studies.json"] * 2
    assert [file.path.name for file in files] == ["run.json"] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no valid JSON"),
        ('{"kind": "lite-llm4rec-studies", "evaluations": [', "no valid JSON"),
        ("[1, 2]", "not a file of studies"),
        ('{"benchmarks": []}', "not a file of studies"),
        ('{"kind": "somebody-elses"}', "not a file of studies"),
        ('{"kind": "lite-llm4rec-studies"}', "holds no studies"),
        ('{"kind": "lite-llm4rec-studies", "evaluations": [{}]}', r"evaluations.0.*damaged"),
        ('{"kind": "lite-llm4rec-studies", "schema_version": 99, "leeks": []}', r"newer version.*upgrade"),
    ],
    ids=["empty", "torn", "list", "results", "foreign", "nothing", "gaps", "newer"],
)
def test_an_unusable_file_of_studies_gives_one_clear_line(tmp_path, content, message):
    path = tmp_path / "studies.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        store.read_studies(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[1, 2]", '{"kind": "somebody-elses"}', '{"benchmarks": 7}'])
def test_a_file_that_is_neither_is_named(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(UserError, match="not a results file of pytest-benchmark, nor a file of studies"):
        store.read_all([write_results(tmp_path / "run.json", [make_record()]), path])


def test_a_missing_file_of_studies_is_named(tmp_path):
    with pytest.raises(UserError, match="no such"):
        store.read_studies(tmp_path / "nothing.json")
