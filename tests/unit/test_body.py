"""How a request's body is read: whole, or only as far as its limit."""

from collections.abc import Sequence

import pytest
from starlette.types import Message, Scope

from gateway.api.body import read_body
from gateway.api.context import context_of, header, new_context
from gateway.domain import Caller
from gateway.errors import AuthenticationFailed, ClientDisconnected, InvalidRequest, PayloadTooLarge

LIMIT = 10


def scope(**headers: str) -> Scope:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http", "headers": raw}


class Sender:
    """The client's side: hands out its messages one by one, and fails a reader who asks for more."""

    def __init__(self, *chunks: bytes, then: Sequence[Message] = ()) -> None:
        count = len(chunks)
        self._messages: list[Message] = [
            {"type": "http.request", "body": chunk, "more_body": number < count or bool(then)}
            for number, chunk in enumerate(chunks, start=1)
        ]
        self._messages += then

    async def receive(self) -> Message:
        return self._messages.pop(0)

    @property
    def unread(self) -> int:
        return len(self._messages)


async def test_a_body_in_one_piece() -> None:
    assert await read_body(scope(), Sender(b"{}").receive, LIMIT) == b"{}"


async def test_a_body_in_pieces_is_joined() -> None:
    sender = Sender(b'{"a"', b"", b": 1", b"}")
    assert await read_body(scope(content_length="8"), sender.receive, LIMIT) == b'{"a": 1}'
    assert sender.unread == 0


async def test_fields_that_a_server_may_leave_out() -> None:
    sender = Sender(then=[{"type": "http.request", "more_body": True}, {"type": "http.request", "body": b"{}"}])
    assert await read_body(scope(), sender.receive, LIMIT) == b"{}"


@pytest.mark.parametrize("chunks", [(b"x" * LIMIT,), (b"x",) * LIMIT])
async def test_a_body_may_be_as_long_as_the_limit(chunks: tuple[bytes, ...]) -> None:
    assert await read_body(scope(content_length="10"), Sender(*chunks).receive, LIMIT) == b"x" * LIMIT


async def test_a_body_that_says_it_is_too_long_is_not_read() -> None:
    sender = Sender(b"x" * 11)
    with pytest.raises(PayloadTooLarge, match=r"10 bytes.*server\.max_body_bytes") as caught:
        await read_body(scope(content_length="11"), sender.receive, LIMIT)
    assert (caught.value.status, caught.value.code) == (413, "request_too_large")
    assert sender.unread == 1


@pytest.mark.parametrize("headers", [{}, {"content_length": "2"}, {"content_length": "many"}])
async def test_a_body_that_turns_out_too_long_is_not_read_on(headers: dict[str, str]) -> None:
    sender = Sender(b"x" * 6, b"x" * 5, b"x")
    with pytest.raises(PayloadTooLarge):
        await read_body(scope(**headers), sender.receive, LIMIT)
    assert sender.unread == 1


@pytest.mark.parametrize("chunks", [(), (b"{",)])
async def test_a_client_that_leaves_meanwhile_is_gone(chunks: tuple[bytes, ...]) -> None:
    sender = Sender(*chunks, then=[{"type": "http.disconnect"}])
    with pytest.raises(ClientDisconnected):
        await read_body(scope(), sender.receive, LIMIT)


@pytest.mark.parametrize("chunks", [(b"",), (b"", b"")])
async def test_an_empty_body_is_refused(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidRequest, match="no body") as caught:
        await read_body(scope(content_length="0"), Sender(*chunks).receive, LIMIT)
    assert caught.value.code == "invalid_json"


# ── the request's context ────────────────────────────────────────────────────────────────────────────────────────


def test_a_header_is_found_by_its_lower_case_name() -> None:
    assert header(scope(x_session_id="s\xe9"), b"x-session-id") == "s\xe9"
    assert header(scope(x_session_id="s"), b"x-session") is None


def test_the_first_of_two_headers_counts() -> None:
    doubled: Scope = {"type": "http", "headers": [(b"a", b"1"), (b"a", b"2")]}
    assert header(doubled, b"a") == "1"


def test_a_well_formed_request_id_is_kept() -> None:
    assert new_context(scope(x_request_id="abc-1.2:3_4")).id == "abc-1.2:3_4"


@pytest.mark.parametrize("given", ["", "a b", "a\n", "x" * 129, "\xe9", "a\r\nset-cookie: b"])
def test_any_other_request_id_is_replaced(given: str) -> None:
    assert new_context(scope(x_request_id=given)).id.startswith("req_")
    assert new_context(scope()).id != new_context(scope()).id


def test_the_context_is_found_in_its_scope() -> None:
    request = scope()
    context = new_context(request)
    assert context_of(request) is context


def test_a_route_without_a_caller_has_none() -> None:
    context = new_context(scope())
    with pytest.raises(AuthenticationFailed):
        _ = context.caller


def test_the_caller_is_known_to_the_log_by_name_and_key() -> None:
    context = new_context(scope())
    caller = Caller("user_1", "alice", "key_1", frozenset())
    context.caller = caller
    assert context.caller is caller
    assert context.facts == {"user": "alice", "key": "key_1"}
