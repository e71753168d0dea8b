"""LC-Rec's and MiniOneRec's files bring sequences, texts and semantic IDs, and recommenders can be built on those."""

import json

import pytest

from bench import data
from models import registry
from models.catalogue import Item
from models.errors import UserError
from tests.bench.data.conftest import sequences, texts
from tests.bench.data.test_bad_input import failure

INTER = {"0": [0, 1, 2, 3], "1": [3, 2, 0]}
ITEMS = {str(n): {"title": f"T {n}", "brand": "B", "categories": "X,Y", "description": "d"} for n in range(4)}
INDEX = {str(n): [f"<a_{n // 2}>", f"<b_{n}>", "<c_7>"] for n in range(4)}
TINY = {"preset": "compact", "codebook_size": 8}


def write(folder, *, inter=INTER, items=ITEMS, index=INDEX):
    folder.mkdir(exist_ok=True)
    for kind, content in (("inter", inter), ("item", items), ("index", index)):
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / f"Games.{kind}.json").write_text(text)
    return folder


def codes(loaded):
    return dict(zip(loaded.catalogue.ids, loaded.catalogue.codes, strict=True))


@pytest.mark.parametrize("interactions", ["json", "inter", "parts"])
def test_sequences_texts_and_codes(tmp_path, interactions):
    folder = write(tmp_path / "games", inter=INTER if interactions == "json" else None)
    if interactions == "inter":
        rows = "".join(f"{user}\t{item}\t{at}\n" for user, items in INTER.items() for at, item in enumerate(items))
        (folder / "Games.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + rows)
    if interactions == "parts":
        rows = "".join(f"{user}\t{' '.join(map(str, items[:-1]))}\t{items[-1]}\n" for user, items in INTER.items())
        (folder / "Games.test.inter").write_text("user_id:token\titem_id_list:token_seq\titem_id:token\n" + rows)
    loaded = data.load(str(folder))
    assert sequences(loaded) == ["0123", "320"]
    assert texts(loaded)["2"] == Item("T 2", ("X", "Y"), "B")
    assert codes(loaded) == {"0": (0, 0, 7), "1": (0, 1, 7), "2": (1, 2, 7), "3": (1, 3, 7)}
    assert loaded.source.options["layout"] == "semantic-ids"
    again = data.load(str(folder))  # from the cache
    assert again.catalogue == loaded.catalogue
    assert codes(again) == codes(loaded)


def test_index_and_texts_may_be_missing(tmp_path):
    loaded = data.load(str(write(tmp_path / "games", items=None, index=None)))
    assert sequences(loaded) == ["0123", "320"]
    assert loaded.catalogue.codes is None


def test_codes_are_part_of_the_fingerprint(tmp_path):
    with_codes = data.load(str(write(tmp_path / "one")))
    without = data.load(str(write(tmp_path / "two", index=None)))
    assert with_codes.catalogue.ids == without.catalogue.ids
    assert with_codes.catalogue.fingerprint != without.catalogue.fingerprint


def build(loaded, **settings):
    kind = registry.load("tiger")
    chosen = kind.settings_type(**TINY, codes="given", **settings)
    return kind.build(loaded.catalogue, loaded.training(), chosen)


def test_a_tiger_is_built_on_the_codes(tmp_path):
    loaded = data.load(str(write(tmp_path / "games")))
    tiger = build(loaded)
    assert dict(zip(loaded.catalogue.ids, tiger.items.ids, strict=True))["3"] == "<a_1><b_3><c_7>"
    tiger.index(loaded.catalogue)
    lists = tiger.eval().recommend(tiger.prepare(loaded.training()), 2)
    assert lists.items.shape == (2, 2)


def test_equal_codes_get_one_more(tmp_path):
    index = {name: ["<a_1>", "<b_2>"] for name in INDEX} | {"3": ["<a_0>", "<b_0>"]}
    loaded = data.load(str(write(tmp_path / "games", index=index)))
    assert sorted(build(loaded).items.ids) == ["<a_0><b_0><c_0>", *(f"<a_1><b_2><c_{n}>" for n in range(3))]


@pytest.mark.parametrize(
    ("index", "settings", "problem"),
    [
        (None, {}, "codes=given: games brings no semantic IDs; put NAME.index.json beside"),
        ({"0": ["<a_1>"]}, {}, "3 of 4 items of games have no semantic ID, such as"),
        (INDEX | {"0": ["<a_1>"]}, {}, "the semantic IDs of games have 1 to 3 codes; give all items the same number"),
        (INDEX | {"0": ["<a_9>"] * 3}, {}, "games has code 9; set codebook_size to 10 or more"),
        ({name: ["<a_1>"] for name in INDEX}, {"codebook_size": 2}, "4 items of games have the semantic codes <a_1>"),
    ],
)
def test_codes_that_cannot_be_used(tmp_path, index, settings, problem):
    loaded = data.load(str(write(tmp_path / "games", index=index)))
    kind = registry.load("tiger")
    with pytest.raises(UserError, match=problem) as raised:
        kind.build(loaded.catalogue, loaded.training(), kind.settings_type(**TINY | {"codes": "given"} | settings))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"inter": "[1]"}, "Games.inter.json, line 1: no object, {...}"),
        ({"inter": '{"0": [1,\n 2'}, "Games.inter.json, line 2: invalid JSON"),
        ({"inter": {"0": {"1": 2}}}, "Games.inter.json, line 1: the entry of user '0' is no list of items"),
        ({"inter": {"0": [1.5]}}, "the entry of user '0' is no list of items"),
        ({"items": {"0": 7}}, "Games.item.json, line 1: the entry of item '0' is no object"),
        ({"index": {"0": ["<a>"]}}, "Games.index.json, line 1: the semantic ID of item '0' is ['<a>']; write it as"),
        ({"index": {"0": []}}, "the semantic ID of item '0' is []"),
        ({"items": '{"0": {"title": "\\ud800"}}'}, "Games.item.json, line 1: invalid JSON"),
        ({"inter": "[" * 100_000}, "Games.inter.json, line 1: invalid JSON"),
    ],
)
def test_bad_file(tmp_path, content, problem):
    assert problem in failure(write(tmp_path / "games", **content))
