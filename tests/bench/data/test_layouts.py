"""Every layout gives the same dataset, in order and with its text."""

import pytest

from bench import data
from models.catalogue import Item

from .conftest import MOVIES, RATINGS, sequences, texts, write_amazon, write_movielens_zip, write_pair, write_recbole

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "".join(
    f"{user}\t{item}\t4\t{time}.0\n"
    for user, item, time in [("anna", "b", 2), ("anna", "a", 1), ("anna", "c", 3), ("bert", "c", 1), ("bert", "a", 2)]
)


def test_pair_reads_text_and_order(tmp_path):
    loaded = data.load(str(write_pair(tmp_path / "shop")))
    assert sequences(loaded) == ["abc", "cac"]
    assert texts(loaded)["b"] == Item("Title b", ("X", "Y"), "B")
    assert loaded.name == "shop"
    assert loaded.source.name == str(tmp_path / "shop")
    assert loaded.source.options["layout"] == "pair"


def test_pair_takes_keywords_for_a_missing_title(tmp_path):
    items = [{"item_id": "a", "title_keywords": "red lamp"}, {"item_id": "b"}, {"item_id": "c", "title": None}]
    loaded = data.load(str(write_pair(tmp_path / "shop", items=items)))
    assert texts(loaded) == {"a": Item("red lamp"), "b": Item(), "c": Item()}
    assert loaded.source.warnings == ("2 of 3 items have no text",)


def test_pair_may_be_uncompressed(tmp_path):
    (tmp_path / "interactions.tsv").write_text("u\ta\t1\r\nu\tb\t2\r\nu\tc\t3\r\n")
    (tmp_path / "items.jsonl").write_text('{"item_id": "a"}\n{"item_id": "b"}\n{"item_id": "c"}\n')
    assert sequences(data.load(str(tmp_path))) == ["abc"]


def test_first_of_two_descriptions_stays(tmp_path):
    items = [{"item_id": name, "title": name} for name in "abc"] + [{"item_id": "a", "title": "again"}]
    loaded = data.load(str(write_pair(tmp_path / "shop", items=items)))
    assert texts(loaded)["a"].title == "a"
    assert "1 items described more than once" in loaded.source.warnings[0]


@pytest.mark.parametrize("named", ["file", "folder"])
def test_recbole_sorts_by_time_and_finds_text_by_column_names(tmp_path, named):
    item = (
        "item_id:token\tmovie_title:token_seq\tclass:token_seq\tbrand:token\n"
        "a\tToy Story\tAnimation Comedy\tPixar\nb\tHeat\tCrime\t\nc\tSoap\t'Beauty', 'Bath & Body'\t\n"
    )
    path = write_recbole(tmp_path / "tiny", INTER, item)
    loaded = data.load(str(path if named == "file" else path.parent))
    assert sequences(loaded) == ["abc", "ca"]
    assert texts(loaded) == {
        "a": Item("Toy Story", ("Animation", "Comedy"), "Pixar"),
        "b": Item("Heat", ("Crime",)),
        "c": Item("Soap", ("Beauty", "Bath & Body")),
    }
    assert loaded.name == "tiny"


def test_recbole_without_items_has_no_text_and_says_so(tmp_path):
    loaded = data.load(str(write_recbole(tmp_path / "tiny", INTER)))
    assert loaded.source.warnings == ("3 of 3 items have no text",)


def test_recbole_prefers_the_file_named_like_its_folder(tmp_path):
    write_recbole(tmp_path / "tiny", INTER.replace("anna", "zoe"), name="other")
    write_recbole(tmp_path / "tiny", INTER)
    assert sequences(data.load(str(tmp_path / "tiny"))) == ["abc", "ca"]


@pytest.mark.parametrize("packed", ["zip", "folder", "zip in folder"])
def test_movielens_reads_latin_1_titles_and_genres(tmp_path, packed):
    folder = tmp_path / "movies"
    if packed == "folder":
        folder.mkdir()
        (folder / "ratings.dat").write_bytes(RATINGS.encode("latin-1"))
        (folder / "movies.dat").write_bytes(MOVIES.encode("latin-1"))
    else:
        write_movielens_zip(folder / "ml-1m.zip")
    loaded = data.load(str(folder / "ml-1m.zip" if packed == "zip" else folder))
    assert sequences(loaded) == ["abc", "cac"]
    assert texts(loaded)["a"] == Item("Amélie (2001)", ("Comedy", "Romance"))


def test_amazon_reads_python_literals_of_reviewed_items_only(tmp_path):
    loaded = data.load(str(write_amazon(tmp_path / "beauty")))
    assert sequences(loaded) == ["abc", "cac"]
    assert texts(loaded) == {
        "a": Item("Soap & Co", ("Beauty", "Bath", "Gifts")),
        "b": Item("", ("Beauty",), "L'Un"),
        "c": Item("Comb", ("Beauty",)),
    }


def test_pair_comes_before_other_layouts(tmp_path):
    folder = write_pair(tmp_path / "beauty")
    write_amazon(folder)
    assert data.load(str(folder)).source.options["layout"] == "pair"


def test_layouts_number_the_same_items_alike(tmp_path):
    """Numbers depend on identifiers and seed, not on the layout or the order of the file."""
    pair = data.load(str(write_pair(tmp_path / "pair")))
    amazon = data.load(str(write_amazon(tmp_path / "amazon")))
    assert pair.catalogue.ids == amazon.catalogue.ids
    assert pair.flat.tolist() == amazon.flat.tolist()
