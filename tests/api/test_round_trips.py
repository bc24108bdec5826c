"""A whole turn over HTTP asks PostgreSQL twice, to be opened and to be closed: as counted on the wire."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.app import create_app
from gateway.domain import Status
from gateway.settings import parse_settings
from gateway.storage.postgres import PostgresStore
from gateway.storage.postgres.queries import QUERIES
from tests.api.composed import Composed, Person, settings_for
from tests.postgresql import PostgreSQL
from tests.relay import Relay, relaying
from tests.stubs.openai_wire import OpenAIStub, error
from tests.stubs.server import Json

Turn = Callable[[Person, str], Coroutine[Any, Any, Any]]

TURN = ["open_turn", "close_turn"]

TURNS: dict[str, tuple[Turn, list[str]]] = {
    "nothing cached": (lambda ada, _: ada.say("id-1"), TURN),  # made in each test, by another process
    "a cached window": (lambda ada, session: ada.say(session), TURN),
    "pinning": (lambda ada, session: ada.say(session, messages=[said("system"), said("user")]), TURN),
    "streamed": (lambda ada, session: ada.say(session, stream=True), TURN),
    "an id to create": (lambda ada, _: ada.say("id-2"), TURN),
    "failing": (lambda ada, session: ada.ask(session, model="slow"), TURN),
    "stateless": (lambda ada, _: ada.say(None), ["add_ledger_entry"]),
    "an unknown model": (lambda ada, _: ada.ask(None, model="none"), []),
}


def said(role: str) -> dict[str, str]:
    return {"role": role, "content": "Be brief."}


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.emptied_database() as url:
        yield url


@asynccontextmanager
async def composed(url: str) -> AsyncIterator[Composed]:
    """The application without its jobs, which have statements of their own; with one connection, so that whatever is
    to be prepared is so after one turn of each kind."""
    store = PostgresStore(url, timeout=60, pool_size=1)
    async with OpenAIStub() as stub:
        settings = parse_settings({**settings_for(stub), "sessions": {"auto_create": True}})
        app = create_app(settings, store=store, environ={})
        await store.start()
        composed = Composed(app, store, stub)
        try:
            yield composed
        finally:
            await composed.aclose()


async def counted(relay: Relay, turn: Coroutine[Any, Any, Any]) -> tuple[list[str], int]:
    """The statements of a turn, and how often it waited for the server; both without looking up the caller's key,
    which is believed for some seconds and may have to be looked up in any turn."""
    names = {text: name for name, text in QUERIES.items()}
    relay.take()
    await turn
    traffic = relay.take()
    statements = [names.get(text, text) for text in traffic.asked]
    assert traffic.done == len(statements)
    of_turn = [name for name in statements if name != "find_key"]
    return of_turn, traffic.trips - (len(statements) - len(of_turn))


async def test_a_turn_is_two_statements_and_two_round_trips(url: str) -> None:
    async with relaying(url) as relay, composed(relay.url) as gateway, composed(url) as elsewhere:
        ada = await gateway.person()
        session = await ada.new_session()
        await ada.say(session)
        await ada.say(None)
        await Person(elsewhere.client(ada.key), ada.key, ada.user_id).say("id-1")
        found = {}
        for name, (turn, _) in TURNS.items():
            if name == "failing":
                gateway.stub.reply_with(Json(error("no", code="server_error"), status=500))
            found[name] = await counted(relay, turn(ada, session))
        assert Status.FAILED in {entry.status for entry in await gateway.ledger(ada)}
    assert found == {name: (statements, len(statements)) for name, (_, statements) in TURNS.items()}
