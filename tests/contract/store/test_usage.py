"""What every store promises of usage. The figures are computed by hand; costs add up exactly in binary."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain import MAX_USAGE_ROWS, GroupBy, Session, Status, Usage, UsageRow, UsageSums, User
from gateway.errors import InvalidRequest
from gateway.ports import ClosedTurn, Store
from tests.contract.store.values import ALICE, BOB, make_entry, make_key, make_session, make_turn

SINCE, UNTIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


async def spend(store: Store, user: User = ALICE, *, session: Session | None = None, **fields: Any) -> None:
    """A turn of seven tokens in and three out."""
    await store.close_turn(ClosedTurn(make_entry(session, user, **fields)))


async def usage(store: Store, group_by: GroupBy, **fields: Any) -> Sequence[UsageRow]:
    return await store.usage(group_by, **{"since": SINCE, "until": UNTIL, "limit": MAX_USAGE_ROWS, **fields})


def sums(turns: int = 1, **fields: Any) -> UsageSums:
    """Of so many turns of `spend`, none of which has a price."""
    given: dict[str, Any] = {
        "failed_turns": 0,
        "prompt_tokens": 7 * turns,
        "completion_tokens": 3 * turns,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "cost": None,
        "unpriced_turns": turns,
        **fields,
    }
    return UsageSums(turns=turns, **given)


async def test_a_row_is_what_its_turns_come_to(store: Store) -> None:
    await spend(store, usage=Usage(100, 10, 40, 4), cost=0.25)
    await spend(store, usage=Usage(200, 20, 50, 5), cost=0.5)
    await spend(store, usage=Usage(3, 0), status=Status.FAILED, error_status=502)
    await spend(store, usage=Usage(4, 1), status=Status.INCOMPLETE, cost=0.0)
    assert await usage(store, GroupBy.MODEL) == [
        UsageRow(
            "fast",
            None,
            UsageSums(
                turns=4,
                failed_turns=1,
                prompt_tokens=307,
                completion_tokens=31,
                cached_tokens=90,
                reasoning_tokens=9,
                cost=0.75,
                unpriced_turns=1,
            ),
        )
    ]


async def test_what_costs_nothing_is_told_from_what_has_no_price(store: Store) -> None:
    await spend(store, model="free", cost=0.0)
    await spend(store, model="unknown")
    assert await usage(store, GroupBy.MODEL) == [
        UsageRow("free", None, sums(cost=0.0, unpriced_turns=0)),
        UsageRow("unknown", None, sums()),
    ]


@pytest.mark.parametrize("group_by", list(GroupBy))
async def test_where_nothing_was_spent_there_are_no_rows(store: Store, group_by: GroupBy) -> None:
    await spend(store, created_at=UNTIL)
    assert list(await usage(store, group_by)) == []


@pytest.mark.parametrize("user_id", [None, ALICE.id])
async def test_a_range_has_its_beginning_and_not_its_end(store: Store, user_id: str | None) -> None:
    for created_at in (SINCE - MICROSECOND, SINCE, UNTIL - MICROSECOND, UNTIL):
        await spend(store, created_at=created_at)
    found = await usage(store, GroupBy.DAY, user_id=user_id)
    assert found == [UsageRow("2026-03-01", None, sums()), UsageRow("2026-03-31", None, sums())]


@pytest.mark.parametrize(
    ("group_by", "before", "after"),
    [
        (GroupBy.DAY, "2026-03-08", "2026-03-09"),
        (GroupBy.HOUR, "2026-03-08T23:00:00Z", "2026-03-09T00:00:00Z"),
    ],
)
async def test_days_and_hours_change_at_midnight_in_utc(
    store: Store, group_by: GroupBy, before: str, after: str
) -> None:
    midnight = datetime(2026, 3, 9, tzinfo=UTC)
    await spend(store, created_at=midnight, cost=1.0)
    await spend(store, created_at=midnight - MICROSECOND)
    assert [row.group for row in await usage(store, group_by)] == [before, after]


async def test_the_hours_of_days_are_in_their_order_whatever_they_cost(store: Store) -> None:
    for day, hour, cost in ((2, 3, 1.0), (1, 14, 4.0), (1, 9, 2.0), (1, 14, 8.0)):
        await spend(store, created_at=datetime(2026, 3, day, hour, 59, 59, 999_999, tzinfo=UTC), cost=cost)
    found = [(row.group, row.sums.turns, row.sums.cost) for row in await usage(store, GroupBy.HOUR)]
    assert found == [
        ("2026-03-01T09:00:00Z", 1, 2.0),
        ("2026-03-01T14:00:00Z", 2, 12.0),
        ("2026-03-02T03:00:00Z", 1, 1.0),
    ]


async def test_the_dearest_come_first_then_those_of_the_most_tokens(store: Store) -> None:
    await spend(store, model="few tokens", usage=Usage(1, 1))
    await spend(store, model="many tokens", usage=Usage(1, 9))
    await spend(store, model="dear", usage=Usage(1, 1), cost=2.0)
    await spend(store, model="cheap", usage=Usage(9, 9), cost=0.5)
    await spend(store, model="B", usage=Usage(1, 0))
    await spend(store, model="a", usage=Usage(0, 1))
    found = [row.group for row in await usage(store, GroupBy.MODEL)]
    assert found == ["dear", "cheap", "many tokens", "few tokens", "B", "a"]


async def test_users_and_keys_have_their_names(store: Store) -> None:
    await store.add_key(make_key("key_3", ALICE, name="laptop"))
    await spend(store, key_id="key_3", cost=2.0)
    await spend(store, key_id="key_1")
    await spend(store, BOB, key_id="key_2", cost=1.0)
    assert await usage(store, GroupBy.USER) == [
        UsageRow(ALICE.id, "alice", sums(2, cost=2.0, unpriced_turns=1)),
        UsageRow(BOB.id, "bob", sums(cost=1.0, unpriced_turns=0)),
    ]
    assert [(row.group, row.name) for row in await usage(store, GroupBy.KEY)] == [
        ("key_3", "laptop"),
        ("key_2", None),
        ("key_1", None),
    ]


async def test_what_an_erased_user_spent_stays_without_a_name(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    await store.erase_user(ALICE.id)
    assert await usage(store, GroupBy.USER) == [UsageRow(ALICE.id, None, sums())]
    assert await usage(store, GroupBy.KEY) == [UsageRow("key_1", None, sums())]
    assert await usage(store, GroupBy.SESSION) == [UsageRow(None, None, sums())]


async def test_turns_without_a_session_are_one_group(store: Store, session: Session) -> None:
    await store.close_turn(make_turn(session))
    await store.close_turn(make_turn(session))
    await spend(store)
    assert await usage(store, GroupBy.SESSION) == [
        UsageRow(session.id, None, sums(2)),
        UsageRow(None, None, sums()),
    ]


@pytest.mark.parametrize("group_by", list(GroupBy))
async def test_of_one_user_nothing_of_others_is_counted(store: Store, session: Session, group_by: GroupBy) -> None:
    """Not even where both have the same key's, model's or session's id."""
    others = make_session(session.id, BOB)
    await spend(store, session=session)
    await spend(store, BOB, session=others, cost=1.0)
    [row] = await usage(store, group_by, user_id=ALICE.id)
    assert row.sums == sums()
    assert list(await usage(store, group_by, user_id="user_nobody")) == []


async def test_a_user_of_no_possible_id_has_spent_nothing(store: Store) -> None:
    await spend(store)
    assert list(await usage(store, GroupBy.DAY, user_id="user_\0")) == []


async def test_more_rows_than_the_limit_are_refused(store: Store) -> None:
    for model in ("a", "b", "c"):
        await spend(store, model=model)
    assert len(await usage(store, GroupBy.MODEL, limit=3)) == 3
    with pytest.raises(InvalidRequest, match="more than 2 rows") as caught:
        await usage(store, GroupBy.MODEL, limit=2)
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, "from", "too_many_rows")
