"""The application in one piece, in this process: real routes and turns, a store, a provider on loopback."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx

from gateway.app import App, create_app
from gateway.auth.issuing import issue_key
from gateway.domain import LedgerEntry, Via
from gateway.ports import Provider, Store
from gateway.settings import parse_settings
from gateway.storage.memory import InMemoryStore
from gateway.storage.sqlite import SqliteStore
from tests.contract.store.values import ledger_of
from tests.stubs.openai_wire import OpenAIStub

Json = dict[str, Any]


STORES = ("memory", "sqlite")


def new_store(kind: str, directory: Path) -> Store:
    """An empty store of one of the STORES, not yet started."""
    return InMemoryStore() if kind == "memory" else SqliteStore(f"sqlite:///{directory}/gateway.db")


class Person:
    """A user of the application: `http` sends their key along."""

    def __init__(self, http: httpx.AsyncClient, key: str, user_id: str) -> None:
        self.http = http
        self.key = key
        self.user_id = user_id

    async def new_session(self, **fields: Any) -> str:
        response = await self.http.post("/chat/sessions", json=fields)
        assert response.status_code == 201, response.text
        return cast("str", response.json()["session_id"])

    async def session(self, session_id: str) -> Json:
        response = await self.http.get(f"/chat/sessions/{session_id}")
        assert response.status_code == 200, response.text
        return cast("Json", response.json())

    async def messages(self, session_id: str) -> list[Json]:
        response = await self.http.get(f"/chat/sessions/{session_id}/messages")
        assert response.status_code == 200, response.text
        return cast("list[Json]", response.json()["data"])

    async def ask(self, session_id: str | None, text: str = "Hello.", **fields: Any) -> httpx.Response:
        """One chat call with a user's message, whatever comes of it. A field that is None is left out."""
        body = {"model": "fast", "messages": [{"role": "user", "content": text}], "session_id": session_id, **fields}
        given = {name: value for name, value in body.items() if value is not None}
        return await self.http.post("/v1/chat/completions", json=given)

    async def say(self, session_id: str | None, text: str = "Hello.", **fields: Any) -> httpx.Response:
        response = await self.ask(session_id, text, **fields)
        assert response.status_code == 200, response.text
        return response


class Composed:
    """A running application and what it stands on."""

    def __init__(self, app: App, store: Store, stub: OpenAIStub) -> None:
        self.app = app
        self.store = store
        self.stub = stub
        self._clients: list[httpx.AsyncClient] = []

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(self.app)
        client = httpx.AsyncClient(transport=transport, base_url="http://gateway.test", headers=headers)
        self._clients.append(client)
        return client

    async def person(self, name: str = "ada", *, admin: bool = False) -> Person:
        key, text = await issue_key(self.store, user_name=name, pepper=None, admin=admin)
        return Person(self.client(text), text, key.user.id)

    async def ledger(self, person: Person) -> list[LedgerEntry]:
        """The person's rows, oldest first."""
        return (await ledger_of(self.store, person.user_id))[::-1]

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()
        await self.app.aclose()


def settings_for(stub: OpenAIStub) -> Json:
    """`fast` and `slow` are the stub's, `echo` is the gateway's own. What the stub is told to do is done once."""
    upstream = {"model": "openai/gpt-4o-mini", "api_base": stub.base_url, "api_key": "sk-provider-secret"}
    models = [{"name": "fast", **upstream}, {"name": "slow", **upstream}, {"name": "echo", "model": "echo"}]
    return {"models": models, "routing": {"retries": 0}}


@asynccontextmanager
async def compose(
    store: Store,
    settings: Json | None = None,
    *,
    adapters: Mapping[Via, Provider] | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Composed]:
    """Run the application over `store`; `settings` are the content of gateway.yaml."""
    async with OpenAIStub() as stub:
        parsed = parse_settings({**settings_for(stub), **(settings or {})})
        app = create_app(parsed, store=store, providers=adapters, environ=environ or {})
        await app.start()
        composed = Composed(app, store, stub)
        try:
            yield composed
        finally:
            await composed.aclose()


def refusal(response: httpx.Response, status: int) -> Json:
    """The error in a response, which has this status and OpenAI's four fields, no more and no less."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert isinstance(body["error"]["message"], str)
    assert isinstance(body["error"]["type"], str)
    return cast("Json", body["error"])
