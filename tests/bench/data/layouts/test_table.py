"""Tables that people bring: Parquet, CSV, TSV, JSON lines, with columns found by their names or named by the user."""

import gzip
import json

import pandas as pd
import pytest

from bench import data
from bench.data.reading import Reading
from models.catalogue import Item
from tests.bench.data.conftest import ROWS, sequences, texts
from tests.bench.data.test_bad_input import failure

FRAME = pd.DataFrame(ROWS, columns=["user_id", "item_id", "timestamp"])


def write(path, frame):
    """Write a table in the format that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        frame.to_parquet(path, index=False)
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    return path


KINDS = ["x.parquet", "x.csv", "x.csv.gz", "x.tsv", "x.jsonl", "x.jsonl.gz"]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("given", ["folder", "file"])
def test_plainly_named_columns_need_no_options(tmp_path, name, given):
    path = write(tmp_path / "shop" / name, FRAME)
    loaded = data.load(str(path if given == "file" else path.parent))
    assert sequences(loaded) == ["abc", "cac"]
    assert loaded.source.options["layout"] == "table"
    assert loaded.name == ("x" if given == "file" else "shop")


@pytest.mark.parametrize("name", KINDS)
def test_columns_that_the_user_names_with_texts_among_them(tmp_path, name):
    frame = pd.DataFrame(
        {
            "who": [7, 7, 7],
            "what": ["b", "a", "c"],
            "when": ["2018-01-31 12:00:00", "2018-01-31", "2018-02-01T00:00:00.250Z"],
            "said": ["Brush, soft", "Soap", ""],
            "kind": ["X|Y", "X", ""],
            "user_id": [1, 2, 3],
        }
    )
    columns = {"user": "who", "item": "what", "time": "when", "title": "said", "categories": "kind"}
    loaded = data.load(str(write(tmp_path / name, frame)), reading=Reading(columns=columns))
    assert sequences(loaded) == ["abc"]
    assert texts(loaded) == {"a": Item("Soap", ("X",)), "b": Item("Brush, soft", ("X", "Y")), "c": Item()}


@pytest.mark.parametrize("kind", ["json", "python"])
def test_steam(tmp_path, kind):
    """Published as Python literals, https://cseweb.ucsd.edu/~jmcauley/datasets.html#steam_data."""
    rows = [
        {"username": "Ann\xe9", "product_id": item, "date": f"2017-12-{day}", "hours": 1.5, "early_access": False}
        for item, day in (("20", 17), ("10", 15), ("30", 18))
    ]
    games = [{"id": str(item), "app_name": f"Game {item}", "genres": ["Action", "Indie"]} for item in (10, 20)]
    text = json.dumps if kind == "json" else repr
    reviews, items = tmp_path / "steam_reviews.json.gz", tmp_path / "steam_games.json.gz"
    for path, objects in ((reviews, rows), (items, games)):
        path.write_bytes(gzip.compress("".join(text(one).replace("{'", "{u'") + "\n" for one in objects).encode()))
    columns = {"user": "username", "item": "product_id", "time": "date"}
    named = {"item": "id", "title": "app_name", "categories": "genres"}
    loaded = data.load(
        str(reviews), reading=Reading(columns=columns, items=items, item_columns=named), split="time=0.9"
    )
    assert sequences(loaded) == ["102030"]
    assert texts(loaded)["10"] == Item("Game 10", ("Action", "Indie"))
    assert f"{items}: 1 items that occur are not described" in loaded.source.warnings


def test_yelp(tmp_path):
    reviews, items = tmp_path / "yelp_academic_dataset_review.json", tmp_path / "yelp_academic_dataset_business.json"
    rows = [
        {"review_id": "r", "user_id": "u", "business_id": item, "stars": 5.0, "date": f"2018-07-07 22:09:{second}"}
        for item, second in (("b", 12), ("a", 11), ("c", 13))
    ]
    businesses = [{"business_id": item, "name": f"Place {item}", "categories": "Doctors, Health"} for item in "abc"]
    for path, objects in ((reviews, rows), (items, businesses)):
        path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    columns = {"user": "user_id", "item": "business_id", "time": "date"}
    named = {"title": "name", "categories": "categories"}
    loaded = data.load(str(reviews), reading=Reading(columns=columns, items=items, item_columns=named))
    assert sequences(loaded) == ["abc"]
    assert texts(loaded)["b"] == Item("Place b", ("Doctors", "Health"))
    assert data.load(str(reviews), reading=Reading(items=items)).catalogue == loaded.catalogue  # found by their names


def test_parquet_keeps_its_types(tmp_path):
    frame = pd.DataFrame(
        {
            "user": pd.Series([1.0, 1, 1]),  # pandas' integers where one is missing
            "item": [3, 1, 2],
            "time": pd.to_datetime(["2018-01-03", "2018-01-01", "2018-01-02"]),
            "categories": [["X"], ["Y", "Z"], []],
        }
    )
    loaded = data.load(str(write(tmp_path / "x.parquet", frame)))
    assert sequences(loaded) == ["123"]
    assert texts(loaded)["1"] == Item("", ("Y", "Z"))


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
@pytest.mark.parametrize("time", [10**20, "nan", "inf", "soon", "", None, float("nan")])
def test_times_that_are_none(tmp_path, name, time):
    frame = FRAME.astype(object)
    frame.loc[2, "timestamp"] = time
    if name == "x.parquet":
        frame["timestamp"] = [str(value) if isinstance(value, int) else value for value in frame["timestamp"]]
        frame = frame.astype({"timestamp": "str"})
    line = {"x.csv": 4}.get(name, 3)
    assert f"{name}, line {line}: " in (said := failure(write(tmp_path / name, frame)))
    assert "timestamp" in said


def test_times_keep_every_digit(tmp_path):
    late = 2**62
    frame = pd.DataFrame({"user_id": ["u"] * 3, "item_id": ["c", "b", "a"], "timestamp": [late + 2, late + 1, late]})
    for name in ("x.csv", "x.jsonl", "x.parquet"):
        assert sequences(data.load(str(write(tmp_path / name, frame)))) == ["abc"]


@pytest.mark.parametrize(
    ("reading", "problem"),
    [
        ({"columns": {"user": "nobody", "item": "item_id", "time": "timestamp"}}, "line 1: no column nobody; the file"),
        (
            {"columns": {"author": "user_id"}},
            "--columns author=user_id: there is no such column; name user, item, time",
        ),
        ({"item_columns": {"title": "x"}}, "--item-columns: there is no table of items; give it by --items"),
        ({"items": "no.csv"}, "no.csv: cannot be read (No such file or directory)"),
    ],
)
@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.jsonl"])
def test_columns_that_are_not_there(tmp_path, name, reading, problem):
    said = failure(write(tmp_path / name, FRAME), reading=Reading(**reading))
    if name == "x.jsonl" and "nobody" in problem:
        problem = "line 1: no nobody; fill it in or delete the line; it has user_id, item_id, timestamp"
    assert problem in said


def test_columns_that_cannot_be_told_apart(tmp_path):
    frame = FRAME.rename(columns={"user_id": "username"}).assign(uid=1)
    path = write(tmp_path / "x.csv", frame)
    said = failure(path, reading=Reading(columns={"item": "item_id"}))
    assert "no one column for user" in said
    assert "--columns user=..." in said


def test_several_tables(tmp_path):
    for name in ("x.csv", "y.csv"):
        write(tmp_path / "shop" / name, FRAME)
    assert "several tables (x.csv, y.csv); give the path of one" in failure(tmp_path / "shop")


def test_a_table_of_other_things_is_not_taken(tmp_path):
    write(tmp_path / "shop" / "x.csv", FRAME.rename(columns={"timestamp": "colour"}))
    assert "no data in a layout that can be read" in failure(tmp_path / "shop")


@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_broken_parquet(tmp_path, damage):
    path = write(tmp_path / "x.parquet", FRAME)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] if damage == "cut" else whole[:8] + b"\xff" * 60 + whole[68:])
    assert "x.parquet: " in (said := failure(path))
    assert "fetch a whole copy of it" in said
