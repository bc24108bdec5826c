"""Calls of every kind, for promises that hold for all of them."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from gateway.domain import GroupBy, KeyChanges, Rotation, SessionChanges, User, UserChanges
from gateway.ledger import Step, TurnFilter, TurnOrder
from gateway.ports import Cleaning, ClosedTurn, Hold, Store, TurnOpening
from tests.contract.store.values import (
    ALICE,
    START,
    at,
    make_appending,
    make_audit,
    make_entry,
    make_key,
    make_session,
    make_text,
)

Reading = Callable[[Store, str, str], Coroutine[Any, Any, Any]]

FINDING_NOTHING: dict[str, tuple[Reading, Any]] = {
    "get_session": (lambda store, user, session: store.get_session(user, session), None),
    "update_session": (
        lambda store, user, session: store.update_session(
            user, session, SessionChanges(frozenset({"name"}), name="x"), at(9)
        ),
        None,
    ),
    "delete_session": (lambda store, user, session: store.delete_session(user, session, at(9)), False),
    "purge_session": (lambda store, user, session: store.purge_session(user, session), False),
    "session_stats": (lambda store, user, session: store.session_stats(user, session), None),
    "list_messages": (lambda store, user, session: store.list_messages(user, session, limit=10, offset=0), None),
    "read_messages": (lambda store, user, session: store.read_messages(user, session, after=0, limit=10), None),
    "add_messages": (
        lambda store, user, session: store.add_messages(
            make_appending(make_session(session, User(user, "")), make_text("x"))
        ),
        None,
    ),
    "queue_turn": (lambda store, user, session: store.queue_turn(user, session, lease=30), None),
    "open_turn with a hold": (
        lambda store, user, session: store.open_turn(TurnOpening(user, session, hold=Hold("hold_x"))),
        None,
    ),
    "open_turn": (lambda store, user, session: store.open_turn(TurnOpening(user, session)), None),
    "open_turn with create": (
        lambda store, user, session: store.open_turn(
            TurnOpening(user, session, create=make_session(session, User(user, "")))
        ),
        None,
    ),
}


FINDING_DELETED = ["purge_session"]
"""Those that find a deleted session all the same."""


def _call(reading: Reading, store: Store) -> Coroutine[Any, Any, Any]:
    return reading(store, ALICE.id, "sess_1")


LATELY = TurnFilter(START, at(1))

ANY_CALL: dict[str, Callable[[Store], Coroutine[Any, Any, Any]]] = {
    "ping": lambda store: store.ping(),
    "has_keys": lambda store: store.has_keys(),
    "add_key": lambda store: store.add_key(make_key()),
    "add_first_keys": lambda store: store.add_first_keys([]),
    "find_key": lambda store: store.find_key("key_1"),
    "list_keys": lambda store: store.list_keys(),
    "update_key": lambda store: store.update_key("key_1", KeyChanges(frozenset({"name"}), name="x")),
    "rotate_key": lambda store: store.rotate_key("key_1", Rotation("key_next", b"", START, at(9))),
    "note_key_uses": lambda store: store.note_key_uses({"key_1": START}),
    "revoke_key": lambda store: store.revoke_key("key_1", START),
    "add_user": lambda store: store.add_user(ALICE),
    "get_user": lambda store: store.get_user(ALICE.id),
    "update_user": lambda store: store.update_user(
        ALICE.id, UserChanges(frozenset({"disabled_at"}), disabled_at=START)
    ),
    "list_users": lambda store: store.list_users(limit=1, offset=0),
    "erase_user": lambda store: store.erase_user(ALICE.id),
    "create_session": lambda store: store.create_session(make_session()),
    "list_sessions": lambda store: store.list_sessions(ALICE.id, limit=1, offset=0),
    "scan_sessions": lambda store: store.scan_sessions(limit=1),
    "search": lambda store: store.search(ALICE.id, "x", limit=1, offset=0),
    "index_messages": lambda store: store.index_messages(limit=1),
    "renew_holds": lambda store: store.renew_holds([("sess_1", Hold("hold_1"))], lease=30),
    "release_hold": lambda store: store.release_hold("sess_1", Hold("hold_1")),
    "clean": lambda store: store.clean(Cleaning(START)),
    "add_audit": lambda store: store.add_audit(make_audit()),
    "list_audit": lambda store: store.list_audit(limit=1, offset=0),
    "close_turn": lambda store: store.close_turn(ClosedTurn(make_entry())),
    "usage": lambda store: store.usage(GroupBy.DAY, since=START, until=at(1), limit=1),
    "list_turns": lambda store: store.list_turns(LATELY, order=TurnOrder.NEWEST, limit=1, offset=0),
    "list_turns of a user": lambda store: store.list_turns(
        replace(LATELY, user_id=ALICE.id), order=TurnOrder.NEWEST, limit=1, offset=0
    ),
    "list_turns, the slowest": lambda store: store.list_turns(LATELY, order=TurnOrder.SLOWEST, limit=1, offset=0),
    "activity": lambda store: store.activity(LATELY, step=Step.DAY),
    **{name: partial(_call, call) for name, (call, _) in FINDING_NOTHING.items()},
}
