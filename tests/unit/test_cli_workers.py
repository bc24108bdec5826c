"""What is decided about workers; that it is done is shown by tests/acceptance/test_workers.py, with processes."""

from gateway.cli.workers import pause_after


def test_a_worker_that_served_for_long_is_replaced_at_once() -> None:
    assert pause_after(0) == 0


def test_pauses_grow_from_one_short_life_to_the_next_up_to_a_limit() -> None:
    pauses = [pause_after(short_lives) for short_lives in range(1, 100)]
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert max(pauses) == pauses[-1] == 30
