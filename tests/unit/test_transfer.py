"""Export and import: what goes out comes back, whole or not at all, in the memory of a page."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from gateway.domain import LedgerEntry, NewMessage, Session, SessionChanges, Status, StoredMessage, User
from gateway.errors import NotFound, StorageUnavailable
from gateway.ports import Appending, ClosedTurn, Hold, OpenedTurn, TurnOpening
from gateway.storage import SessionStore
from gateway.storage.exporting import every_user, export_session, export_user
from gateway.storage.importing import Imported, import_sessions
from gateway.storage.memory import InMemoryStore
from tests.unit.histories import call

SETTINGS: dict[str, Any] = {
    "name": "Ünïcode \U0001f600",
    "model": "fast",
    "system_prompt": "Be brief.",
    "max_history_messages": 7,
    "metadata": {"topic": ["x", 1, None]},
    "ttl_seconds": 600,
}
CONVERSATION: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "What\n is it? \u2028"}], "unheard_of": 1},
    {"role": "assistant", "content": None, "tool_calls": [call("c1")]},
    {"role": "tool", "tool_call_id": "c1", "content": "42"},
    {"role": "system", "content": "Said in between."},
    {"role": "assistant", "content": "NUL \0"},
]


@pytest.fixture
def port() -> InMemoryStore:
    return InMemoryStore()


async def joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def export(port: InMemoryStore) -> bytes:
    return b"".join([await joined(export_user(port, user)) async for user in every_user(port)])


async def bring(port: InMemoryStore, *lines: bytes, owner: str | None = None) -> list[Imported]:
    return [outcome async for outcome in import_sessions(port, lines, owner=owner)]


async def conversation(port: InMemoryStore, user: str = "ada", **settings: Any) -> Session:
    store = SessionStore(port)
    session = await store.create_session(user, **settings)
    await store.add_messages(session, CONVERSATION)
    return session


def line(**fields: Any) -> bytes:
    return orjson.dumps({"session_id": "s", "user": "ada", "messages": [{"role": "user", "content": "x"}], **fields})


async def test_a_line_tells_all_of_a_session(port: InMemoryStore) -> None:
    session = await conversation(port, session_id="chat-1", **SETTINGS)
    exported = await joined(export_session(port, await current(port, session), user="ada"))
    assert exported.count(b"\n") == 1
    assert exported.endswith(b"\n")
    assert orjson.loads(exported) == {
        "session_id": "chat-1",
        "user": "ada",
        "session_name": SETTINGS["name"],
        "model": "fast",
        "max_history_messages": 7,
        "metadata": SETTINGS["metadata"],
        "ttl_seconds": 600,
        "created_at": session.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "archived_at": None,
        "messages": [{"role": "system", "content": "Be brief."}, *CONVERSATION],
    }


async def current(port: InMemoryStore, session: Session) -> Session:
    found = await port.get_session(session.user_id, session.id)
    assert found is not None
    return found


async def test_what_is_exported_and_imported_is_exported_alike(port: InMemoryStore) -> None:
    store = SessionStore(port)
    await conversation(port, **SETTINGS)
    await store.archive_session(await conversation(port))
    await store.delete_session(await conversation(port))
    await store.create_session("bob", system_prompt="Nothing but instructions.")
    await store.create_session("bob")
    first = await export(port)
    assert first.count(b"\n") == 4

    other = InMemoryStore()
    outcomes = await bring(other, *first.splitlines(keepends=True))
    assert [(outcome.messages, outcome.skipped, outcome.mistake) for outcome in outcomes] == [
        (5, False, None),
        (5, False, None),
        (0, False, None),
        (0, False, None),
    ]
    # Users come in the order in which they were made, and these may have been made in one millisecond.
    assert sorted((await export(other)).splitlines()) == sorted(first.splitlines())


async def test_imported_messages_are_counted_and_remembered(port: InMemoryStore) -> None:
    session = await conversation(port)
    other = InMemoryStore()
    await bring(other, await export(port))
    [user] = (await other.list_users(limit=2, offset=0)).items
    there, here = await current(port, session), await other.get_session(user.id, session.id)
    assert here is not None
    assert (here.message_count, here.total_tokens) == (there.message_count, there.total_tokens)
    store = SessionStore(other)
    assert await store.get_recent_context(here, 10_000) == CONVERSATION


async def test_long_sessions_are_exported_and_imported_page_by_page(port: InMemoryStore) -> None:
    session = await SessionStore(port).create_session("ada", system_prompt="Be brief.")
    for start in range(0, 1203, 401):
        drafts = [
            NewMessage(f"msg_{n}", "user", orjson.dumps({"role": "user", "content": str(n)}), 1, "o200k_base")
            for n in range(start, start + 401)
        ]
        await port.add_messages(Appending(session.user_id, session.id, f"t{start}", session.created_at, drafts))
    chunks = [chunk async for chunk in export_session(port, await current(port, session), user="ada")]
    assert len(chunks) == 4
    contents = [message["content"] for message in orjson.loads(b"".join(chunks))["messages"]]
    assert contents == ["Be brief.", *map(str, range(1203))]

    other = InMemoryStore()
    assert [outcome.messages for outcome in await bring(other, b"".join(chunks))] == [1203]
    assert await export(other) == b"".join(chunks)


async def test_failed_turns_are_left_out_and_broken_replies_are_mended(port: InMemoryStore) -> None:
    session = await conversation(port)
    await port.close_turn(turn_of(session, "t1", Status.FAILED, {"role": "user", "content": "never answered"}))
    half = {"role": "assistant", "content": "Half", "tool_calls": [call("c2")]}
    await port.close_turn(turn_of(session, "t2", Status.INCOMPLETE, {"role": "user", "content": "Go on"}, half))
    nothing = {"role": "assistant", "content": None, "tool_calls": [call("c3")]}
    await port.close_turn(turn_of(session, "t3", Status.INCOMPLETE, {"role": "user", "content": "And?"}, nothing))

    exported = await export(port)
    assert orjson.loads(exported)["messages"][len(CONVERSATION) :] == [
        {"role": "user", "content": "Go on"},
        {"role": "assistant", "content": "Half"},
        {"role": "user", "content": "And?"},
    ]
    other = InMemoryStore()
    await bring(other, exported)
    assert await export(other) == exported


def turn_of(session: Session, turn_id: str, status: Status, *messages: dict[str, Any]) -> ClosedTurn:
    now = datetime.now(UTC)
    entry = LedgerEntry(
        turn_id, "r", session.user_id, "k", session.id, "m", "p", "pm", stream=False, status=status, created_at=now
    )
    drafts = [
        NewMessage(f"{turn_id}_{place}", message["role"], orjson.dumps(message), 1, "o200k_base")
        for place, message in enumerate(messages)
    ]
    return ClosedTurn(entry, drafts)


async def test_an_export_has_the_session_as_it_was_listed(port: InMemoryStore) -> None:
    listed = await current(port, await conversation(port))
    await SessionStore(port).add_messages(listed, [{"role": "user", "content": "later"}])
    exported = await joined(export_session(port, listed, user="ada"))
    assert orjson.loads(exported)["messages"] == CONVERSATION


async def test_a_session_that_is_deleted_meanwhile(port: InMemoryStore) -> None:
    gone = await conversation(port, session_id="a")
    await conversation(port, session_id="b")

    class Deleting(InMemoryStore):
        async def scan_sessions(self, *, user_id: str | None = None, after: str = "", limit: int) -> Sequence[Session]:
            return await port.scan_sessions(user_id=user_id, after=after, limit=limit)

        async def read_messages(
            self, user_id: str, session_id: str, *, after: int, limit: int
        ) -> Sequence[StoredMessage] | None:
            if session_id == "a":
                await port.delete_session(user_id, session_id, gone.created_at)
            return await port.read_messages(user_id, session_id, after=after, limit=limit)

    exported = await joined(export_user(Deleting(), User(gone.user_id, "ada")))
    assert [orjson.loads(one)["session_id"] for one in exported.splitlines()] == ["b"]
    with pytest.raises(NotFound):
        await joined(export_session(port, gone, user="ada"))


async def test_a_session_that_is_deleted_in_the_middle_of_its_line_does_not_look_whole() -> None:
    class Deleting(InMemoryStore):
        async def read_messages(
            self, user_id: str, session_id: str, *, after: int, limit: int
        ) -> Sequence[StoredMessage] | None:
            if after:
                await self.delete_session(user_id, session_id, datetime.now(UTC))
            return await super().read_messages(user_id, session_id, after=after, limit=limit)

    port = Deleting()
    await bring(port, line(messages=[{"role": "user", "content": "x"}] * 501))
    with pytest.raises(NotFound):
        await export(port)


# ── import ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bare_line_gets_what_a_new_session_has(port: InMemoryStore) -> None:
    await bring(port, line())
    [session] = await port.scan_sessions(limit=2)
    new = await SessionStore(port).create_session("ada")
    assert replace(
        session, epoch=0, message_count=0, total_tokens=0, last_seq=0, exchange_seq=0, last_message_at=None
    ) == replace(new, id="s", created_at=session.created_at, updated_at=session.updated_at)


async def test_sessions_that_are_there_are_left_as_they_are(port: InMemoryStore) -> None:
    await conversation(port, session_id="s")
    before = await export(port)
    [outcome] = await bring(port, line(session_name="Another"))
    assert outcome.skipped
    assert await export(port) == before


async def test_all_sessions_can_be_given_to_one_user(port: InMemoryStore) -> None:
    await bring(port, line(), line(session_id="t", user="bob"), line(session_id="u", user=None), owner="carol")
    assert [user.name async for user in every_user(port)] == ["carol"]
    assert len(await port.scan_sessions(limit=5)) == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (line(extra=1), "Unknown field 'extra'"),
        (line(session_id="two words"), "session_id"),
        (line(session_id=None), "session_id"),
        (line(user=None), "names no user"),
        (line(user="two words"), "A user's name"),
        (line(session_name="n" * 257), "'name'"),
        (line(max_history_messages=1001), "max_history_messages"),
        (line(metadata=[1]), "metadata"),
        (line(metadata={"nul": "\0"}), "NUL"),
        (line(metadata={"gateway.import": "turn_1"}), "not imported to their end"),
        (line(ttl_seconds=1), "ttl_seconds"),
        (line(created_at="yesterday"), "created_at"),
        (line(created_at=5), "created_at"),
        (line(messages=None), "no list of messages"),
        (line(messages=[{"role": "user", "content": "x"}] * 600 + [{"role": "nobody"}]), "messages[600].role"),
        (line().replace(b'"x"', b'"x","deep":' + b"[" * 300 + b"]" * 300), "messages[0]"),
    ],
)
async def test_a_line_that_is_wrong_leaves_nothing_and_holds_up_nobody(
    port: InMemoryStore, wrong: bytes, said: str
) -> None:
    first, second = await bring(port, wrong, b"\n", line(session_id="good", user="bob"))
    assert first.mistake is not None
    assert said in first.mistake
    assert (first.number, first.messages, second.number, second.mistake) == (1, 0, 3, None)
    assert [session.id for session in await port.scan_sessions(limit=5)] == ["good"]
    assert [user.name async for user in every_user(port)] == ["bob"]


async def test_an_id_that_is_not_free_is_told(port: InMemoryStore) -> None:
    await conversation(port, user="eve", session_id="s")
    [outcome] = await bring(port, line())
    assert outcome.mistake is not None
    assert "taken" in outcome.mistake
    assert [session.message_count for session in await port.scan_sessions(limit=5)] == [len(CONVERSATION)]


class Failing(InMemoryStore):
    """Its database goes away at the nth batch of messages, or at the last step."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    async def add_messages(self, appending: Appending) -> int | None:
        self.batches -= 1
        if self.batches < 0:
            raise StorageUnavailable
        return await super().add_messages(appending)

    async def update_session(
        self, user_id: str, session_id: str, changes: SessionChanges, at: datetime, **options: Any
    ) -> Session | None:
        if self.batches == 0:
            raise StorageUnavailable
        return await super().update_session(user_id, session_id, changes, at, **options)


@pytest.mark.parametrize("batches", [0, 1, 3])
async def test_an_import_that_broke_off_is_put_right_by_another(batches: int) -> None:
    """Three batches of messages: it breaks off at the first, in the middle, and at the last step."""
    messages = [{"role": "user", "content": str(n)} for n in range(1203)]
    whole = line(session_name="Whole", messages=messages, metadata={"a": 1}, archived_at="2026-01-31T12:00:00Z")
    port = Failing(batches)
    with pytest.raises(StorageUnavailable):
        await bring(port, whole)
    [broken] = await port.scan_sessions(limit=2)
    assert (broken.name, list(broken.metadata)) == (None, ["gateway.import"])

    port.batches = 100
    assert [outcome.messages for outcome in await bring(port, whole)] == [1203]
    [session] = await port.scan_sessions(limit=2)
    assert (session.name, session.metadata, session.message_count) == ("Whole", {"a": 1}, 1203)
    assert session.archived_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert [outcome.skipped for outcome in await bring(port, whole)] == [True]


LONG = line(session_name="Whole", messages=[{"role": "user", "content": str(n)} for n in range(1203)])


async def broken_off() -> tuple[Failing, Session]:
    """A store with a session of which one batch is in; it works again."""
    port = Failing(1)
    with pytest.raises(StorageUnavailable):
        await bring(port, LONG)
    port.batches = 100
    [broken] = await port.scan_sessions(limit=2)
    return port, broken


@pytest.mark.parametrize("added", [{"role": "user", "content": "mine"}, {"role": "system", "content": "Be brief."}])
async def test_what_was_added_to_a_session_that_is_half_imported_is_kept(added: dict[str, Any]) -> None:
    port, broken = await broken_off()
    store = SessionStore(port)
    await store.add_messages(broken, [added])
    [outcome] = await bring(port, LONG)
    assert outcome.mistake is not None
    assert "has been used" in outcome.mistake
    kept = await store.get_recent_context(await current(port, broken), 100_000, max_messages=1000)
    assert added in kept
    assert len(kept) >= 500
    await store.add_messages(broken, CONVERSATION)  # it is not left archived


async def test_what_is_added_while_a_session_is_imported_ends_its_import() -> None:
    class Shared(InMemoryStore):
        async def add_messages(self, appending: Appending) -> int | None:
            first = await super().add_messages(appending)
            if first == 1:
                others = [NewMessage("msg_other", "user", b'{"role":"user","content":"mine"}', 1, "o200k_base")]
                await super().add_messages(replace(appending, turn_id="turn_other", messages=others))
            return first

    port = Shared()
    [outcome] = await bring(port, LONG)
    assert outcome.mistake is not None
    assert "has been used" in outcome.mistake
    [session] = await port.scan_sessions(limit=2)
    assert session.message_count == 501


@pytest.mark.parametrize("is_begun", [False, True], ids=["new", "half imported"])
async def test_of_two_imports_of_a_line_at_once_one_is_told_that_the_session_is_in_use(is_begun: bool) -> None:
    class Twice(Failing):
        second: Sequence[Imported] = ()

        async def add_messages(self, appending: Appending) -> int | None:
            first = await super().add_messages(appending)
            if first == 501:
                self.second = await bring(self, LONG)
            return first

    port = Twice(0 if is_begun else 100)
    if is_begun:
        with pytest.raises(StorageUnavailable):
            await bring(port, LONG)
        port.batches = 100
    assert [outcome.messages for outcome in await bring(port, LONG)] == [1203]
    [told] = port.second
    assert told.mistake is not None
    assert "in use" in told.mistake
    [session] = await port.scan_sessions(limit=2)
    assert (session.name, session.message_count) == ("Whole", 1203)


async def test_a_session_is_held_no_longer_than_its_import(port: InMemoryStore) -> None:
    await bring(port, line())
    [session] = await port.scan_sessions(limit=2)
    opened = await port.open_turn(TurnOpening(session.user_id, session.id, hold=Hold("another")))
    assert isinstance(opened, OpenedTurn)
