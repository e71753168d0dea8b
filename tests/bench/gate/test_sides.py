"""Base and head are two trees that really ran."""

import pytest

from bench.gate.sides import Side, base_side, check_different, check_origins, code_of
from models.errors import UserError


def tree(folder, *, body="A = 1"):
    """A checkout with the harness, a recommender in a package and one in a module of its own."""
    for name in ("bench/__init__.py", "bench/measure/clock.py", "mine/deep/one.py", "alone.py"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    (folder / "bench" / "suite.toml").write_text("")
    return {"bench": str(folder / "bench/__init__.py"), "mine.deep.one": str(folder / "mine/deep/one.py")}


@pytest.mark.parametrize("against", ["", "  ", "\t"])
def test_a_variable_that_is_not_set_is_no_base(against):
    with pytest.raises(UserError, match="--against: names nothing"):
        base_side(against)


def test_equal_trees_have_equal_digests_and_any_changed_file_changes_them(tmp_path):
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert code_of(first) == code_of(second)
    for name in ("bench/measure/clock.py", "bench/suite.toml", "mine/deep/one.py"):
        before = (tmp_path / "b" / name).read_text()
        (tmp_path / "b" / name).write_text("B = 2")
        assert code_of(first) != code_of(second)
        (tmp_path / "b" / name).write_text(before)
    (tmp_path / "b" / "alone.py").write_text("B = 2")
    assert code_of(first) == code_of(second), "what does not run does not count"
    alone = {"alone": str(tmp_path / "a" / "alone.py")}, {"alone": str(tmp_path / "b" / "alone.py")}
    assert code_of(alone[0]) != code_of(alone[1])


def test_a_folder_whose_code_comes_from_elsewhere_is_refused(tmp_path):
    """A folder that is no checkout would be measured with what is installed."""
    installed = tree(tmp_path / "site-packages")
    empty = Side("checkout empty", tmp_path / "empty", tmp_path / "empty")
    with pytest.raises(UserError, match="checkout empty: holds no code that is measured; what would run lies in"):
        check_origins(empty, installed)
    own = installed | {"mine.deep.one": str(tmp_path / "empty" / "mine.py")}
    check_origins(empty, own)


def test_two_sides_that_run_the_same_files_are_refused(tmp_path):
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    with pytest.raises(UserError, match="base and head run the same files"):
        check_different(first, first)
    check_different(first, second)
    check_different(first, first | {"mine.deep.one": second["mine.deep.one"]})
