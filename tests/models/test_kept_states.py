"""States of the histories that were read last."""

import torch

from models.kept_states import KeptStates, key_of


def states(*numbers):
    return torch.tensor(numbers, dtype=torch.float32)[:, None], torch.tensor(numbers, dtype=torch.float64)[
        :, None, None
    ]


def test_what_is_kept_comes_back_in_the_order_asked():
    kept = KeptStates(states(0), most=3)
    kept.keep([7, 8, 9], states(70, 80, 90))
    first, second = kept.get([9, 7])
    assert first.flatten().tolist() == second.flatten().tolist() == [90, 70]
    assert (first.dtype, second.dtype, second.shape) == (torch.float32, torch.float64, (2, 1, 1))
    assert kept.bytes == 3 * (4 + 8)


def test_the_least_recently_used_makes_room():
    kept = KeptStates(states(0), most=2)
    kept.keep([1, 2], states(10, 20))
    kept.get([1])
    kept.keep([3], states(30))
    assert [key in kept for key in (1, 2, 3)] == [True, False, True]
    assert kept.get([1, 3])[0].flatten().tolist() == [10, 30]
    assert len(kept) == 2


def test_of_more_than_there_is_room_for_the_last_are_kept_and_equal_keys_once():
    kept = KeptStates(states(0), most=2)
    kept.keep([1, 2, 3, 3], states(10, 20, 30, 30))
    assert [key in kept for key in (1, 2, 3)] == [False, True, True]
    assert kept.get([2, 3])[0].flatten().tolist() == [20, 30]


def test_a_state_is_written_in_and_outside_of_inference_mode():
    with torch.inference_mode():
        kept = KeptStates(states(0), most=2)
    kept.keep([1], states(10))
    with torch.inference_mode():
        kept.keep([1], states(11))
    assert kept.get([1])[0].item() == 11


def test_a_key_is_of_the_events_in_their_order():
    assert key_of((4, 5)) == key_of((4, 5, 6)[:2])
    assert key_of((5, 4)) != key_of((4, 5)) != key_of((4, 5, 5))
