"""What is cached of a session is all of it above a floor, whatever was read, appended and trimmed before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import dropwhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import ApiKey, HistoryMessage, LedgerEntry, NewMessage, Session, Status, User
from gateway.history.exchanges import Remembered, newest_first
from gateway.ids import new_message_id, new_turn_id
from gateway.ports import ClosedTurn, OpenedTurn, TurnOpening
from gateway.storage.memory import InMemoryStore
from gateway.turns.cache import CachedWindow, WindowCache, merge

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def remembered(seq: int, role: str = "user", size: int = 2) -> Remembered:
    return Remembered(seq, role, b"x" * size, tokens=1, encoding="o200k_base")


def window(*roles: str, first: int = 1, floor: int = 0, epoch: int = 0) -> CachedWindow:
    messages = [remembered(seq, role) for seq, role in enumerate(roles, first)]
    return CachedWindow(epoch, floor, first + len(roles) - 1, messages, NOW)


def seqs(cached: CachedWindow) -> list[int]:
    return [message.seq for message in cached.messages]


# ── one window ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_window_covers_what_it_holds_or_all_there_is() -> None:
    whole = window("user", "assistant")
    part = window("user", "assistant", first=5, floor=4)
    assert [whole.covers(limit) for limit in (0, 2, 3)] == [True, True, True]
    assert [part.covers(limit) for limit in (0, 2, 3)] == [True, True, False]


def test_appending_keeps_the_floor() -> None:
    grown = window("user", "assistant", first=5, floor=4).appended([remembered(7)], last_seq=8)
    assert (grown.floor, grown.last_seq, seqs(grown)) == (4, 8, [5, 6, 7])


def test_trimming_keeps_the_newest_and_raises_the_floor_to_the_last_that_went() -> None:
    trimmed = window("user", "assistant", "user", "assistant", "user", "assistant").trimmed(3)
    assert (trimmed.floor, trimmed.last_seq, seqs(trimmed)) == (3, 6, [4, 5, 6])


@pytest.mark.parametrize("limit", [4, 5])
def test_a_window_within_the_limit_is_left_alone(limit: int) -> None:
    full = window("user", "assistant", "user", "assistant")
    assert full.trimmed(limit) is full


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_the_newest_exchange_is_kept_whole_though_it_is_longer_than_the_limit(limit: int) -> None:
    roles = ("user", "assistant", "user", "assistant", "tool", "assistant")
    assert seqs(window(*roles).trimmed(limit)) == [3, 4, 5, 6]


def test_a_window_without_a_users_message_is_not_trimmed() -> None:
    assert seqs(window("assistant", "tool", "assistant").trimmed(1)) == [1, 2, 3]


# ── opening a turn ───────────────────────────────────────────────────────────────────────────────────────────────


def session(**fields: int) -> Session:
    empty = Session("sess_1", "user_1", None, None, 20, (), {}, created_at=NOW, updated_at=NOW)
    return replace(empty, **fields)  # type: ignore[arg-type]  # only counters are given


def opened(
    *, last_seq: int, exchange_seq: int, after: int, epoch: int = 0, read: Sequence[int] = ()
) -> tuple[OpenedTurn, list[Remembered]]:
    """A turn as the store opened it, and what it read as it is remembered."""
    messages = [HistoryMessage(seq, "user", b"{}", 1, "o200k_base") for seq in read]
    state = session(last_seq=last_seq, exchange_seq=exchange_seq, epoch=epoch)
    return OpenedTurn(state, messages, after), [remembered(seq) for seq in read]


def test_what_was_read_is_put_after_what_was_cached() -> None:
    turn, read = opened(last_seq=4, exchange_seq=3, after=2, read=[3, 4])
    merged = merge(window("user", "assistant"), turn, read, limit=20)
    assert (merged.floor, merged.last_seq, seqs(merged)) == (0, 4, [1, 2, 3, 4])


def test_messages_that_are_never_injected_still_move_the_window_on() -> None:
    turn, read = opened(last_seq=5, exchange_seq=1, after=2)
    merged = merge(window("user", "assistant"), turn, read, limit=20)
    assert (merged.last_seq, seqs(merged)) == (5, [1, 2])


def test_another_epoch_makes_the_cached_messages_worthless() -> None:
    turn, read = opened(last_seq=2, exchange_seq=1, after=0, epoch=1, read=[1, 2])
    merged = merge(window("user", "assistant"), turn, read, limit=20)
    assert (merged.epoch, merged.floor, seqs(merged)) == (1, 0, [1, 2])


def test_a_store_that_stopped_at_its_limit_may_have_left_a_gap() -> None:
    turn, read = opened(last_seq=9, exchange_seq=9, after=2, read=[8, 9])
    merged = merge(window("user", "assistant"), turn, read, limit=2)
    assert (merged.floor, seqs(merged)) == (7, [8, 9])


def test_failed_turns_after_the_newest_exchange_do_not_hide_that_the_store_stopped() -> None:
    turn, read = opened(last_seq=30, exchange_seq=5, after=0, read=[5, 6])
    merged = merge(None, turn, read, limit=2)
    assert (merged.floor, seqs(merged)) == (4, [5, 6])
    assert not merged.covers(10)


def test_a_store_that_read_on_in_the_newest_exchange_left_no_gap() -> None:
    turn, read = opened(last_seq=6, exchange_seq=1, after=2, read=[3, 4, 5, 6])
    merged = merge(window("user", "assistant"), turn, read, limit=2)
    assert (merged.floor, seqs(merged)) == (0, [1, 2, 3, 4, 5, 6])


def test_an_empty_session_is_known_whole() -> None:
    turn, read = opened(last_seq=0, exchange_seq=0, after=0)
    assert merge(None, turn, read, limit=0) == CachedWindow(0, 0, 0, [], NOW)


# ── opening many ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Step:
    """A turn of some process: the history it asks for, its messages, how it ends, and whether ours ran it."""

    limit: int
    roles: tuple[str, ...]
    status: Status
    ours: bool
    keep: int


STEPS = st.builds(
    Step,
    limit=st.integers(min_value=0, max_value=6),
    roles=st.lists(st.sampled_from(["user", "assistant", "tool"]), min_size=1, max_size=4).map(tuple),
    status=st.sampled_from([Status.COMPLETE, Status.COMPLETE, Status.FAILED]),
    ours=st.booleans(),
    keep=st.integers(min_value=0, max_value=6),
)


class Replica:
    """One process's view of a session: opens turns as turns/opening.py does, with its cached window."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store
        self._cached: CachedWindow | None = None

    async def open(self, limit: int) -> CachedWindow:
        known = await self._read(self._cached, limit)
        return known if known.covers(limit) else await self._read(None, limit)

    async def _read(self, cached: CachedWindow | None, limit: int) -> CachedWindow:
        seq, epoch = (0, -1) if cached is None else (cached.last_seq, cached.epoch)
        turn = await self._store.open_turn(TurnOpening("user_1", "sess_1", limit, seq, epoch))
        assert isinstance(turn, OpenedTurn)
        read = [Remembered(each.seq, each.role, each.body, each.tokens, each.encoding) for each in turn.messages]
        return merge(cached, turn, read, limit)

    def keep(self, known: CachedWindow, new: Sequence[Remembered], last_seq: int, most: int) -> None:
        self._cached = known.appended(new, last_seq).trimmed(most)


async def new_session() -> InMemoryStore:
    store = InMemoryStore()
    user = User("user_1", "alice")
    await store.add_key(ApiKey("key_1", user, None, frozenset(), b"", created_at=NOW))
    await store.create_session(session())
    return store


async def write(store: InMemoryStore, step: Step) -> int:
    entry = LedgerEntry(
        turn_id=new_turn_id(),
        request_id="req_1",
        user_id="user_1",
        key_id="key_1",
        session_id="sess_1",
        model="m",
        provider="echo",
        provider_model="m",
        stream=False,
        status=step.status,
        created_at=NOW,
    )
    messages = [NewMessage(new_message_id(), role, remembered(0).body, 1, "o200k_base") for role in step.roles]
    first = await store.close_turn(ClosedTurn(entry, messages))
    assert first is not None
    return first


@given(st.lists(STEPS, max_size=12))
async def test_whatever_happens_a_window_misses_nothing_above_its_floor(steps: list[Step]) -> None:
    store = await new_session()
    replica = Replica(store)
    everything: list[Remembered] = []
    for step in steps:
        known = await replica.open(step.limit)
        assert from_first_user(known.messages) == from_first_user(
            [message for message in everything if message.seq > known.floor]
        )
        assert exchanges_within(known.messages, step.limit) == exchanges_within(everything, step.limit)
        first = await write(store, step)
        new = [remembered(seq, role) for seq, role in enumerate(step.roles, first) if step.status is Status.COMPLETE]
        everything += new
        if step.ours:
            replica.keep(known, new, first + len(step.roles) - 1, step.keep)


def from_first_user(messages: Sequence[Remembered]) -> list[Remembered]:
    """What is before it belongs to no exchange: it is never injected, and may be unknown."""
    return list(dropwhile(lambda message: message.role != "user", messages))


def exchanges_within(messages: Sequence[Remembered], limit: int) -> list[list[int]]:
    """The seqs of the exchanges that a window may want: the newest, and as many more as fit the limit."""
    taken: list[list[int]] = []
    for exchange in newest_first(messages):
        if taken and sum(map(len, taken)) + len(exchange.messages) > limit:
            break
        taken.append([message.seq for message in exchange.messages])
    return taken


# ── the cache ────────────────────────────────────────────────────────────────────────────────────────────────────

SIZE = window("user").size


def test_a_window_that_was_put_is_found_until_it_is_dropped() -> None:
    cache, cached = WindowCache(10 * SIZE), window("user")
    assert cache.get("a") is None
    cache.put("a", cached)
    assert cache.get("a") is cached
    cache.drop("a")
    cache.drop("a")
    assert cache.get("a") is None


def test_the_least_recently_used_window_goes_first() -> None:
    cache = WindowCache(2 * SIZE)
    cache.put("a", window("user"))
    cache.put("b", window("user"))
    assert cache.get("a") is not None
    cache.put("c", window("user"))
    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]


def test_putting_a_window_again_counts_it_once() -> None:
    cache = WindowCache(2 * SIZE)
    for _ in range(10):
        cache.put("a", window("user"))
    cache.put("b", window("user"))
    assert [cache.get(key) is not None for key in "ab"] == [True, True]


def test_a_window_larger_than_the_cache_is_not_kept_nor_its_older_self() -> None:
    cache = WindowCache(SIZE)
    cache.put("a", window("user"))
    cache.put("a", window("user", "assistant"))
    assert cache.get("a") is None
    cache.put("b", window("user"))
    assert cache.get("b") is not None


def test_a_cache_of_no_bytes_keeps_nothing() -> None:
    cache = WindowCache(0)
    cache.put("a", window())
    assert cache.get("a") is None


def test_longer_messages_take_more_of_it() -> None:
    short, long = (CachedWindow(0, 0, 1, [remembered(1, size=size)], NOW) for size in (10, 10_000))
    assert long.size - short.size == 9_990


@given(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.none() | st.integers(min_value=0, max_value=2000)),
        min_size=1,
        max_size=40,
    )
)
def test_the_cache_never_holds_more_than_its_bytes(puts: list[tuple[str, int | None]]) -> None:
    cache, sizes = WindowCache(3000), dict[str, int]()
    for key, size in puts:
        if size is None:
            cache.drop(key)
            continue
        cached = CachedWindow(0, 0, 1, [remembered(1, size=size)], NOW)
        sizes[key] = cached.size
        cache.put(key, cached)
        assert cache.get(key) is cached
        assert sum(sizes[each] for each in "abcde" if cache.get(each) is not None) <= 3000
