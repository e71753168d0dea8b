"""A timer that gives samples back."""

from bench.face.replay import Replay


def test_a_replayed_timer_gives_the_samples_back():
    replay = Replay()
    replay.load([0.5, 0.25])
    first, second, third, fourth = (replay() for _ in range(4))
    assert (second - first, fourth - third) == (0.5, 0.25)
    assert replay() == fourth, "and stands still afterwards"
