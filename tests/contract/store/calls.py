"""Calls of every kind, for promises that hold for all of them."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from gateway.domain import SessionChanges, User
from gateway.ports import ClosedTurn, Store, TurnOpening
from tests.contract.store.values import (
    ALICE,
    START,
    at,
    make_entry,
    make_key,
    make_session,
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
    "list_messages": (lambda store, user, session: store.list_messages(user, session, limit=10, offset=0), None),
    "open_turn": (lambda store, user, session: store.open_turn(TurnOpening(user, session)), None),
    "open_turn with create": (
        lambda store, user, session: store.open_turn(
            TurnOpening(user, session, create=make_session(session, User(user, "")))
        ),
        None,
    ),
}


def _call(reading: Reading, store: Store) -> Coroutine[Any, Any, Any]:
    return reading(store, ALICE.id, "sess_1")


ANY_CALL: dict[str, Callable[[Store], Coroutine[Any, Any, Any]]] = {
    "ping": lambda store: store.ping(),
    "has_keys": lambda store: store.has_keys(),
    "add_key": lambda store: store.add_key(make_key()),
    "find_key": lambda store: store.find_key("key_1"),
    "list_keys": lambda store: store.list_keys(),
    "revoke_key": lambda store: store.revoke_key("key_1", START),
    "create_session": lambda store: store.create_session(make_session()),
    "list_sessions": lambda store: store.list_sessions(ALICE.id, limit=1, offset=0),
    "close_turn": lambda store: store.close_turn(ClosedTurn(make_entry())),
    "list_ledger": lambda store: store.list_ledger(ALICE.id, limit=1, offset=0),
    **{name: partial(_call, call) for name, (call, _) in FINDING_NOTHING.items()},
}
