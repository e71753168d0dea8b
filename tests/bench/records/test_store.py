"""Reading results back, and saying clearly why they cannot be read."""

import json

import pytest

from bench.ground import textfiles
from bench.ground.home import home
from bench.ground.textfiles import either, packed
from bench.records import store
from models.errors import UserError
from tests.bench.factories import make_record, make_run, make_studies, write_results, write_studies


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


CHANGES = {
    "latency.samples_s.0": [float("nan"), 0.0, -1.0, float("inf"), "quick"],
    "latency.samples_s": [[]],
    "latency.turns": [[0]],
    "latency.p50_s": [float("nan"), 0],
    "latency": [None],
    "case.batch_size": [0, -1, 1.5],
    "case.k": [0],
    "case.threads": [0],
    "weights.parameters": [-1],
    "flops.per_user": [float("nan"), -1],
    "memory.peak_bytes": [-1],
    "quality.coverage": [1.5, float("nan")],
    "quality.users": [0],
    "quality.metrics.NDCG@10.value": [float("nan")],
    "quality.metrics.NDCG@10.low": [0.9],
}


@pytest.mark.parametrize(("place", "value"), [(place, value) for place, values in CHANGES.items() for value in values])
def test_a_value_that_cannot_be_is_refused_by_its_place(tmp_path, place, value):
    path = write_results(tmp_path / "run.json", [make_record()])
    content = json.loads(path.read_text())
    *way, last = place.split(".")
    part = content["benchmarks"][0]["extra_info"]
    for step in way:
        part = part[step]
    part[int(last) if isinstance(part, list) else last] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="the file is damaged") as caught:
        store.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert place.split(".")[0] in message or "the record" in message


@pytest.mark.parametrize("text", ['{"benchmarks": [{"extra_info": {"kind": "\\ud800"}}]}', "[" * 5000, '{"a": 1' * 300])
def test_text_that_json_cannot_hold_is_one_line(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(UserError, match="is no valid JSON") as caught:
        store.read(path)
    assert "\n" not in str(caught.value)


def test_a_torn_file_among_many_is_passed_over_with_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    folder = home("results", "Linux")
    sound = write_results(folder / "0001_run.json", [make_record()])
    torn = folder / "0002_run.json"
    torn.write_text(sound.read_text()[:-40])
    assert store.latest() == sound
    assert [run.path for run in store.stored([])] == [run.path for run in store.stored([folder])] == [sound]
    assert [run.path for run in store.past()] == [sound]
    said = capsys.readouterr().err.splitlines()
    assert len(set(said)) == 1
    assert "note: passed over: " in said[0]
    with pytest.raises(UserError, match="is no valid JSON"):
        store.read(torn)


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


@pytest.mark.parametrize("wanted", ["run.json.gz", "run.json"])
def test_packed_results_are_read_wherever_plain_ones_are(tmp_path, monkeypatch, wanted):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    folder = home("results", "Linux")
    plain = write_results(folder / "0001_run.json", [make_record()])
    records = store.read(plain).records
    place = folder / wanted
    place.write_bytes(packed(place, plain.read_text()))
    plain.unlink()
    assert store.read(place).records == records
    assert store.latest() == place
    assert [run.records for run in store.stored()] == [records]
    assert either(folder / "run.json.gz") == place
    torn = folder / "torn.json.gz"
    torn.write_bytes(packed(torn, "{}")[:-9])
    with pytest.raises(UserError, match=r"torn\.json\.gz: is no whole gzip file"):
        store.read(torn)


def test_a_packed_file_that_grows_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(textfiles, "MOST_UNPACKED", 1000)
    path = tmp_path / "run.json.gz"
    path.write_bytes(packed(path, "0" * 2000))
    with pytest.raises(UserError, match="unpacks to more than"):
        store.read(path)
