"""What is cached of a session is all of it above a floor, whatever was read, appended and trimmed before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import ApiKey, HistoryMessage, LedgerEntry, NewMessage, Session, Status, User
from gateway.history.exchanges import Exchange, Remembered, group
from gateway.ids import new_message_id, new_turn_id
from gateway.ports import ClosedTurn, OpenedTurn, TurnOpening
from gateway.storage.memory import InMemoryStore
from gateway.turns.cache import CachedWindow, WindowCache, merge, read_anew, window_of

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def remembered(seq: int, role: str = "user", size: int = 2) -> Remembered:
    return Remembered(seq, role, b"x" * size, tokens=1, encoding="o200k_base")


def cached_of(messages: Sequence[Remembered], *, floor: int = 0, last_seq: int = 0, epoch: int = 0) -> CachedWindow:
    strays, exchanges = group(messages)
    return window_of(exchanges, epoch, floor, last_seq, NOW, len(strays))


def window(*roles: str, first: int = 1, floor: int = 0, epoch: int = 0) -> CachedWindow:
    messages = [remembered(seq, role) for seq, role in enumerate(roles, first)]
    return cached_of(messages, floor=floor, last_seq=first + len(roles) - 1, epoch=epoch)


def lengths(cached: CachedWindow | None) -> dict[int, int]:
    """The number of messages in each exchange, by the seq of its first."""
    assert cached is not None
    assert sum(exchange.count for exchange in cached.exchanges) == cached.length
    return {exchange.first_seq: exchange.count for exchange in cached.exchanges}


# ── one window ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_window_covers_what_it_holds_or_all_there_is() -> None:
    whole = window("user", "assistant")
    part = window("user", "assistant", first=5, floor=4)
    assert [whole.covers(limit) for limit in (0, 2, 3)] == [True, True, True]
    assert [part.covers(limit) for limit in (0, 2, 3)] == [True, True, False]


def test_messages_of_an_exchange_whose_start_is_unknown_are_covered_and_not_held() -> None:
    part = window("assistant", "user", "assistant", first=5, floor=4)
    assert lengths(part) == {6: 2}
    assert [part.covers(limit) for limit in (3, 4)] == [True, False]
    grown = part.appended([remembered(8)], last_seq=8)
    assert grown is not None
    assert [grown.covers(limit) for limit in (4, 5)] == [True, False]
    assert [grown.trimmed(1).covers(limit) for limit in (1, 2)] == [True, False]


def test_appending_keeps_the_floor() -> None:
    grown = window("user", "assistant", first=5, floor=4).appended([remembered(7)], last_seq=8)
    assert grown is not None
    assert (grown.floor, grown.last_seq, lengths(grown)) == (4, 8, {5: 2, 7: 1})


def test_what_comes_before_the_next_user_goes_on_with_the_newest_exchange() -> None:
    new = [remembered(3, "assistant"), remembered(4), remembered(5, "assistant")]
    assert lengths(window("user", "assistant").appended(new, last_seq=5)) == {1: 3, 4: 2}
    assert lengths(window("assistant", "assistant").appended(new, last_seq=5)) == {4: 2}


def test_what_cannot_go_on_in_one_run_of_bytes_has_to_be_read_anew() -> None:
    assert window("user", "assistant").appended([remembered(3, "tool")], last_seq=3) is None
    assert lengths(window("user", "tool").appended([remembered(3, "tool")], last_seq=3)) == {1: 3}


def test_trimming_keeps_the_exchanges_that_the_newest_messages_belong_to() -> None:
    trimmed = window("user", "assistant", "user", "assistant", "user", "assistant").trimmed(3)
    assert (trimmed.floor, trimmed.last_seq, lengths(trimmed)) == (2, 6, {3: 2, 5: 2})


@pytest.mark.parametrize("limit", [4, 5])
def test_a_window_within_the_limit_is_left_alone(limit: int) -> None:
    full = window("user", "assistant", "user", "assistant")
    assert full.trimmed(limit) is full


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_the_newest_exchange_is_kept_whole_though_it_is_longer_than_the_limit(limit: int) -> None:
    roles = ("user", "assistant", "user", "assistant", "tool", "assistant")
    assert lengths(window(*roles).trimmed(limit)) == {3: 4}


AUDIO = remembered(3, "assistant")._replace(body=b"audio", expires_at=100.0, afterwards=b"text")


def test_audio_is_forgotten_when_its_time_has_come() -> None:
    spoken = window("user").appended([remembered(2), AUDIO], last_seq=3)
    assert spoken is not None
    assert spoken.renewed(99) is spoken
    later = spoken.renewed(100)
    assert [exchange.body for exchange in later.exchanges] == [b"xx", b"xx,text"]
    assert later.renewed(999) is later


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
    assert merged is not None
    assert (merged.floor, merged.last_seq, lengths(merged)) == (0, 4, {1: 2, 3: 1, 4: 1})


def test_a_session_that_has_not_moved_on_is_known_as_it_was() -> None:
    turn, read = opened(last_seq=2, exchange_seq=1, after=2)
    cached = window("user", "assistant")
    assert merge(cached, turn, read, limit=20) is cached


def test_messages_that_are_never_injected_still_move_the_window_on() -> None:
    turn, read = opened(last_seq=5, exchange_seq=1, after=2)
    merged = merge(window("user", "assistant"), turn, read, limit=20)
    assert merged is not None
    assert (merged.last_seq, lengths(merged)) == (5, {1: 2})


def test_another_epoch_makes_the_cached_messages_worthless() -> None:
    turn, read = opened(last_seq=2, exchange_seq=1, after=0, epoch=1, read=[1, 2])
    merged = merge(window("user", "assistant"), turn, read, limit=20)
    assert merged is not None
    assert (merged.epoch, merged.floor, lengths(merged)) == (1, 0, {1: 1, 2: 1})


def test_a_store_that_stopped_at_its_limit_may_have_left_a_gap() -> None:
    turn, read = opened(last_seq=9, exchange_seq=9, after=2, read=[8, 9])
    merged = merge(window("user", "assistant"), turn, read, limit=2)
    assert merged is not None
    assert (merged.floor, lengths(merged)) == (7, {8: 1, 9: 1})


def test_failed_turns_after_the_newest_exchange_do_not_hide_that_the_store_stopped() -> None:
    turn, read = opened(last_seq=30, exchange_seq=5, after=0, read=[5, 6])
    merged = merge(None, turn, read, limit=2)
    assert merged is not None
    assert (merged.floor, lengths(merged)) == (4, {5: 1, 6: 1})
    assert not merged.covers(10)


def test_a_store_that_read_on_in_the_newest_exchange_left_no_gap() -> None:
    turn, _ = opened(last_seq=6, exchange_seq=1, after=2, read=[3, 4, 5, 6])
    merged = merge(window("user", "assistant"), turn, [remembered(seq, "assistant") for seq in range(3, 7)], limit=2)
    assert merged is not None
    assert (merged.floor, lengths(merged)) == (0, {1: 6})


def test_an_empty_session_is_known_whole() -> None:
    turn, read = opened(last_seq=0, exchange_seq=0, after=0)
    assert merge(None, turn, read, limit=0) == window()


# ── opening many ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Step:
    """A turn of some process: the history it asks for, its messages, how it ends, and whether ours ran it."""

    limit: int
    roles: tuple[str, ...]
    status: Status
    ours: bool
    keep: int
    encoding: str


STEPS = st.builds(
    Step,
    limit=st.integers(min_value=0, max_value=6),
    roles=st.lists(st.sampled_from(["user", "assistant", "tool"]), min_size=1, max_size=4).map(tuple),
    status=st.sampled_from([Status.COMPLETE, Status.COMPLETE, Status.FAILED]),
    ours=st.booleans(),
    keep=st.integers(min_value=0, max_value=6),
    encoding=st.sampled_from(["o200k_base", "o200k_base", "cl100k_base"]),
)


class Replica:
    """One process's view of a session: opens turns as turns/opening.py does, with its cached window."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store
        self._cached: CachedWindow | None = None

    async def open(self, limit: int) -> CachedWindow:
        known = merge(self._cached, *await self._read(self._cached, limit), limit)
        return known if known and known.covers(limit) else read_anew(*await self._read(None, limit), limit)

    async def _read(self, cached: CachedWindow | None, limit: int) -> tuple[OpenedTurn, list[Remembered]]:
        seq, epoch = (0, -1) if cached is None else (cached.last_seq, cached.epoch)
        turn = await self._store.open_turn(TurnOpening("user_1", "sess_1", limit, seq, epoch))
        assert isinstance(turn, OpenedTurn)
        return turn, [Remembered(each.seq, each.role, each.body, each.tokens, each.encoding) for each in turn.messages]

    def keep(self, known: CachedWindow, new: Sequence[Remembered], last_seq: int, most: int) -> None:
        grown = known.appended(new, last_seq)
        self._cached = grown and grown.trimmed(most)


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
    messages = [NewMessage(new_message_id(), role, remembered(0).body, 1, step.encoding) for role in step.roles]
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
        strays, exchanges = group([message for message in everything if message.seq > known.floor])
        assert known == made_at_once(known, exchanges)
        assert known.strays <= len(strays)
        assert exchanges_within(known.exchanges, step.limit) == exchanges_within(group(everything)[1], step.limit)
        first = await write(store, step)
        new = [
            remembered(seq, role)._replace(encoding=step.encoding)
            for seq, role in enumerate(step.roles, first)
            if step.status is Status.COMPLETE
        ]
        everything += new
        if step.ours:
            replica.keep(known, new, first + len(step.roles) - 1, step.keep)


def made_at_once(known: CachedWindow, exchanges: tuple[Exchange, ...]) -> CachedWindow:
    """What `known` has to be, made of its exchanges; but it may have lost sight of there being one encoding only."""
    whole = window_of(exchanges, known.epoch, known.floor, known.last_seq, NOW, known.strays)
    return whole if known.encoding is not None else whole._replace(encoding=None)


def exchanges_within(exchanges: Sequence[Exchange], limit: int) -> list[Exchange]:
    """What a window may want: the newest exchange, and as many more as fit the limit."""
    taken: list[Exchange] = []
    for exchange in reversed(exchanges):
        if taken and sum(each.count for each in taken) + exchange.count > limit:
            break
        taken.append(exchange)
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
    short, long = (cached_of([remembered(1, size=size)]) for size in (10, 10_000))
    assert long.size - short.size == 9_990


@given(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.none() | st.integers(min_value=0, max_value=2 * SIZE - 1)),
        min_size=1,
        max_size=40,
    )
)
def test_the_cache_never_holds_more_than_its_bytes(puts: list[tuple[str, int | None]]) -> None:
    cache, sizes = WindowCache(3 * SIZE), dict[str, int]()
    for key, size in puts:
        if size is None:
            cache.drop(key)
            continue
        cached = cached_of([remembered(1, size=size)])
        sizes[key] = cached.size
        cache.put(key, cached)
        assert cache.get(key) is cached
        assert sum(sizes[each] for each in "abcde" if cache.get(each) is not None) <= 3 * SIZE
