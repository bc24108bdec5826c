"""What every adapter decides alike when it opens a turn, closes one or cuts a page. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.domain import HistoryMessage, Session, Status
from gateway.ports import ClosedTurn, Page, TurnOpening

T = TypeVar("T")


def read_after(opening: TurnOpening, session: Session) -> int:
    """The `seq` up to which the caller's cached messages still hold: all of them, or none.

    None if the epoch has changed, or if the session is shorter than what was cached: it is another one of that id then.
    """
    holds = opening.known_epoch == session.epoch and opening.known_seq <= session.last_seq
    return opening.known_seq if holds else 0


def most_messages(opening: TurnOpening, session: Session) -> int:
    """An upper bound of how many messages `newest_messages` can keep, known before any of them is read."""
    exchange = session.last_seq - session.exchange_seq + 1 if session.exchange_seq else 0
    return max(_limit(opening, session), exchange)


def newest_messages(
    opening: TurnOpening, session: Session, newest_first: Sequence[HistoryMessage]
) -> Sequence[HistoryMessage]:
    """At most max(limit, length of the newest exchange) of the messages, in the order of `seq`.

    The exchange is counted in messages that are there, not in seqs: failed ones between them do not widen it.
    """
    keep = limit = _limit(opening, session)
    if len(newest_first) > limit and session.exchange_seq:
        keep = max(limit, sum(message.seq >= session.exchange_seq for message in newest_first))
    return newest_first[:keep][::-1]


def _limit(opening: TurnOpening, session: Session) -> int:
    return session.max_history_messages if opening.limit is None else opening.limit


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much a turn makes the counters of its session grow."""

    messages: int
    failed: int
    tokens: int
    exchange: int
    """Which of the new messages, counted from 1, starts the session's newest exchange; 0 if none does."""


def growth(turn: ClosedTurn) -> Growth:
    failed = turn.entry.status is Status.FAILED
    users = [place for place, message in enumerate(turn.messages, start=1) if message.role == "user"]
    return Growth(
        messages=len(turn.messages),
        failed=len(turn.messages) if failed else 0,
        tokens=sum(message.tokens for message in turn.messages),
        exchange=users[-1] if users and not failed else 0,
    )


def page(items: Sequence[T], limit: int) -> Page[T]:
    """A page of `limit` items, cut from the limit + 1 that were asked for to learn whether there are more."""
    return Page(items[:limit], has_more=len(items) > limit)
