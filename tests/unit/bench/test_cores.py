import pytest

from bench import BenchFailed
from bench.cores import Cores, divide


def test_the_first_core_is_for_what_is_measured() -> None:
    assert divide({5, 2, 3}) == Cores(measured=(2,), load=(3, 5))


def test_one_core_is_refused() -> None:
    with pytest.raises(BenchFailed, match="one core only"):
        divide({0})


def test_workers_get_cores_of_their_own_where_there_are_enough() -> None:
    given = divide({0, 1, 2, 3}).for_workers(2)
    assert given == Cores(measured=(0, 1), load=(2, 3))
    assert not given.shared


def test_workers_share_two_cores_with_the_load() -> None:
    given = divide({0, 1}).for_workers(2)
    assert given == Cores(measured=(0, 1), load=(1,))
    assert given.shared
