"""Few users and few steps, for tests of commands that train."""

import pytest


@pytest.fixture
def forty_users(tmp_path, monkeypatch):
    """Forty synthetic users, few steps, and a run-time folder of the test's own."""
    from bench import data, train  # here, since most tests need no Trainer
    from bench.training import recipes
    from tests.bench.training.tiny import RECIPE

    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    load, resolve = data.load, recipes.resolve

    def load_tiny(name, **given):
        return load(name, **given, users=40, items=30, length=8)

    def resolve_tiny(recommender, dataset, chosen):
        return resolve(recommender, dataset, chosen)[0], RECIPE

    monkeypatch.setattr(data, "load", load_tiny)
    monkeypatch.setattr(train, "resolve", resolve_tiny)
