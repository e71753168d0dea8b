"""GroupLens' files, each edition as it is published."""

import zipfile

import pytest

from bench import data
from models.catalogue import Item
from tests.bench.data.conftest import ROWS, sequences, texts
from tests.bench.data.test_bad_input import failure

MOVIES = ["a", "b", "c"]
U_DATA = "".join(f"{user}\t{item}\t3\t{time}\n" for user, item, time in ROWS)
U_ITEM = (
    "a|Amélie (2001)|01-Jan-1995||http://x|0|0|1|0\nb|unknown||||1|0|0|0\n"
    "c|Casablanca (1942)|01-Jan-1942||http://y|0|1|0|1\n"
)
RATINGS = "userId,movieId,rating,timestamp\n" + "".join(f"{user},{item},3.5,{time}\n" for user, item, time in ROWS)
CSV = (
    'movieId,title,genres\na,"American President, The (1995)",Comedy|Drama\nb,"""Great"" Performances",'
    "(no genres listed)\nc,Amélie (2001),Comedy\n"
)


def write(folder, files, *, archive=None, encoding="utf-8"):
    """Write files into a folder, or into a zip in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if archive is None:
        for name, text in files.items():
            (folder / name).write_bytes(text.encode(encoding))
        return folder
    with zipfile.ZipFile(folder / archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("__MACOSX/._ratings.csv", b"litter")
        for name, text in files.items():
            opened.writestr(f"{archive.removesuffix('.zip')}/{name}", text.encode(encoding))
    return folder / archive


@pytest.mark.parametrize("archive", [None, "ml-100k.zip"])
def test_100k_reads_latin_1_titles_and_the_flags_of_genres(tmp_path, archive):
    files = {"u.data": U_DATA, "u.item": U_ITEM, "u.genre": "unknown|0\nAction|1\nComedy|2\nDrama|3\n\n"}
    loaded = data.load(str(write(tmp_path / "ml", files, archive=archive, encoding="latin-1")))
    assert sequences(loaded) == ["abc", "cac"]
    assert texts(loaded) == {
        "a": Item("Amélie (2001)", ("Comedy",)),
        "b": Item("unknown"),
        "c": Item("Casablanca (1942)", ("Action", "Drama")),
    }
    assert loaded.source.options["layout"] == "movielens-100k"


def test_100k_knows_the_genres_where_their_file_is_missing(tmp_path):
    flags = "|".join("1" if flag == 18 else "0" for flag in range(19))
    items = "".join(f"{name}|Film {name}|||x|{flags}\n" for name in MOVIES)
    loaded = data.load(str(write(tmp_path / "ml", {"u.data": U_DATA, "u.item": items}) / "u.data"))
    assert texts(loaded)["b"] == Item("Film b", ("Western",))


@pytest.mark.parametrize("archive", [None, "ml-20m.zip"])
def test_csv_reads_quoted_titles_and_genres(tmp_path, archive):
    loaded = data.load(str(write(tmp_path / "ml", {"ratings.csv": RATINGS, "movies.csv": CSV}, archive=archive)))
    assert sequences(loaded) == ["abc", "cac"]
    assert texts(loaded) == {
        "a": Item("American President, The (1995)", ("Comedy", "Drama")),
        "b": Item('"Great" Performances'),
        "c": Item("Amélie (2001)", ("Comedy",)),
    }
    assert loaded.source.options["layout"] == "movielens-csv"
    assert loaded.source.warnings == ()


def test_a_zip_in_a_folder_is_found(tmp_path):
    write(tmp_path / "films", {"ratings.csv": RATINGS, "movies.csv": CSV}, archive="ml-25m.zip")
    assert sequences(data.load(str(tmp_path / "films"))) == ["abc", "cac"]


def test_10m_reads_utf_8_titles_and_half_stars(tmp_path):
    ratings = "".join(f"{user}::{item}::4.5::{time}\n" for user, item, time in ROWS)
    movies = "a::Amélie (2001)::Comedy\nb::B::Drama\nc::C::Drama\n"
    loaded = data.load(str(write(tmp_path / "ml-10m", {"ratings.dat": ratings, "movies.dat": movies})))
    assert texts(loaded)["a"].title == "Amélie (2001)"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"u.data": U_DATA}, "u.item is missing; put it beside u.data"),
        ({"u.data": U_DATA, "u.item": "a|b\n"}, "u.item, line 1: 2 columns instead of 5 columns and a flag for each"),
        ({"ratings.dat": "x"}, "movies.dat is missing; put it beside ratings.dat"),
        ({"ratings.csv": RATINGS + "u,a,1\n", "movies.csv": CSV}, "ratings.csv, line 8: "),
        ({"ratings.csv": RATINGS + "u,a,1,2,3\n", "movies.csv": CSV}, "ratings.csv, line 8: 5 columns instead of 4"),
        ({"ratings.csv": RATINGS + "u,,1,2\n", "movies.csv": CSV}, "ratings.csv, line 8: movieId is empty"),
        ({"ratings.csv": RATINGS + "u,a,1,x\n", "movies.csv": CSV}, "ratings.csv, line 8: timestamp is 'x'"),
        ({"ratings.csv": RATINGS + "u,a,1,nan\n", "movies.csv": CSV}, "ratings.csv, line 8: timestamp is 'nan'"),
        ({"ratings.csv": RATINGS + f"u,a,1,{10**20}\n", "movies.csv": CSV}, "ratings.csv, line 8: timestamp is '1000"),
        ({"ratings.csv": RATINGS.replace(",", ";"), "movies.csv": CSV}, "separated by semicolons, where commas are"),
        ({"ratings.csv": RATINGS, "movies.csv": "movieId,title\n"}, "movies.csv, line 1: no column genres"),
        (
            {"ratings.csv": RATINGS.partition("\n")[0], "movies.csv": CSV},
            "ratings.csv, line 2: no row after the header",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, files, problem):
    assert problem in failure(write(tmp_path / "ml", files))
