"""The pool over real sockets: which connection a call gets, how many there are, and what becomes of them."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.domain import Timeouts
from gateway.providers.connection import Connection
from gateway.providers.dialing import Dialer, ProtocolT, Route, Server, Unreachable
from gateway.providers.transport import Transport
from tests.stubs.raw_server import Peer, RawServer

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HEAD = b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n"
PATIENT = Timeouts(connect=10, read=10, total=10)
HURRIED = Timeouts(connect=10, read=10, total=0.05)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(max_connections=2)
    yield made
    await made.aclose()


def route_to(server: RawServer) -> Route:
    return Route(Server("http", "127.0.0.1", server.port))


async def call(transport: Transport, server: RawServer, timeouts: Timeouts = PATIENT) -> bytes:
    response = await transport.post(route_to(server), HEAD, b"{}", timeouts)
    return await response.read()


async def answer_all(peer: Peer) -> None:
    while await peer.request():
        await peer.send(OK)


class Held:
    """A behaviour that answers each request when the test lets it."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[Peer] = asyncio.Queue()

    async def __call__(self, peer: Peer) -> None:
        while await peer.request():
            self.waiting.put_nowait(peer)

    async def answer_next(self) -> Peer:
        peer = await self.waiting.get()
        await peer.send(OK)
        return peer


async def test_a_connection_is_used_again(transport: Transport) -> None:
    async with RawServer(answer_all) as server:
        for _ in range(3):
            assert await call(transport, server) == b"ok"
    assert [peer.requests for peer in server.peers] == [[HEAD + b"{}"] * 3]


async def test_the_connection_used_last_goes_first(transport: Transport) -> None:
    held = Held()
    async with RawServer(held) as server:
        calls = [asyncio.create_task(call(transport, server)) for _ in range(2)]
        first, last = await held.waiting.get(), await held.waiting.get()
        await first.send(OK)
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        await last.send(OK)
        await asyncio.gather(*calls)
        for _ in range(3):
            once_more = asyncio.create_task(call(transport, server))
            assert await held.answer_next() is last
            await once_more


async def test_further_calls_wait_in_order(transport: Transport) -> None:
    held = Held()
    ended: list[int] = []

    async def numbered(number: int) -> None:
        await call(transport, server)
        ended.append(number)

    async with RawServer(held) as server:
        calls = [asyncio.create_task(numbered(number)) for number in range(5)]
        for together in (2, 2, 1):  # as long as one is not answered, its connection takes no other
            for peer in [await held.waiting.get() for _ in range(together)]:
                await peer.send(OK)
        await asyncio.gather(*calls)
        assert sorted(ended[:2]) == [0, 1]
        assert sorted(ended[2:4]) == [2, 3]
        assert len(server.peers) == 2


async def test_waiting_for_a_connection_counts_towards_the_total_alone(transport: Transport) -> None:
    held = Held()
    async with RawServer(held) as server:
        calls = [asyncio.create_task(call(transport, server)) for _ in range(2)]
        peers = [await held.waiting.get() for _ in calls]
        impatient = asyncio.create_task(call(transport, server, Timeouts(connect=0.001, read=10, total=0.05)))
        brief_connect = asyncio.create_task(call(transport, server, Timeouts(connect=1, read=0.001, total=10)))
        with pytest.raises(TimeoutError):
            await impatient
        assert not brief_connect.done()
        brief_connect.cancel()
        for peer in peers:
            await peer.send(OK)
        assert await asyncio.gather(*calls) == [b"ok", b"ok"]
        assert len(server.requests) == 2


async def test_a_call_cancelled_while_it_waits_takes_no_place(transport: Transport) -> None:
    held = Held()
    async with RawServer(held) as server:
        calls = [asyncio.create_task(call(transport, server)) for _ in range(4)]
        for _ in range(2):
            await held.waiting.get()
        for waiting in calls[2:]:
            waiting.cancel()
        for peer in server.peers:
            await peer.send(OK)
        await asyncio.gather(*calls[:2])
        calls = [asyncio.create_task(call(transport, server)) for _ in range(2)]
        for _ in calls:
            await held.answer_next()
        assert await asyncio.gather(*calls) == [b"ok", b"ok"]


async def test_the_oldest_idle_connection_makes_room_for_one_to_another_upstream(transport: Transport) -> None:
    held = Held()
    async with RawServer(held) as one, RawServer(answer_all) as other:
        calls = [asyncio.create_task(call(transport, one)) for _ in range(2)]
        oldest, newer = await held.waiting.get(), await held.waiting.get()
        await oldest.send(OK)
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        await newer.send(OK)
        await asyncio.gather(*calls)
        assert await call(transport, other) == b"ok"
        assert await asyncio.wait_for(oldest.gone.wait(), 10)
        assert (newer.gone.is_set(), len(transport._open)) == (False, 2)


async def test_the_oldest_is_looked_for_among_all_upstreams(transport: Transport) -> None:
    async with RawServer(answer_all) as one, RawServer(answer_all) as other, RawServer(answer_all) as third:
        for server in (one, other, third):
            await call(transport, server)
        assert await asyncio.wait_for(one.peers[0].gone.wait(), 10)
        assert not other.peers[0].gone.is_set()


async def test_a_connection_that_is_being_closed_is_not_used(transport: Transport) -> None:
    async with RawServer(answer_all) as server:
        await call(transport, server)
        (connection,) = transport._open
        connection.abort()
        assert await call(transport, server) == b"ok"
        assert len(server.peers) == 2


async def test_a_connection_that_is_closed_as_soon_as_it_is_open() -> None:
    class Closing(Dialer):
        async def dial(self, route: Route, factory: Callable[[], ProtocolT]) -> ProtocolT:
            protocol = await super().dial(route, factory)
            assert isinstance(protocol, Connection)
            protocol.abort()
            await protocol.lost
            return protocol

    transport = Transport(max_connections=1, dialer=Closing())
    async with RawServer(answer_all) as server:
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                await call(transport, server)
    assert not transport._open


async def test_connections_that_fail_give_their_places_back(transport: Transport) -> None:
    async with RawServer(answer_all) as server:
        pass
    for _ in range(3):
        with pytest.raises(Unreachable):
            await call(transport, server)


async def test_an_upstream_that_closes_an_idle_connection(transport: Transport) -> None:
    async def answer_once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)

    async with RawServer(answer_once) as server:
        for number in range(1, 4):
            assert await call(transport, server) == b"ok"
            await asyncio.gather(*(connection.lost for connection in transport._open))
            assert (len(server.peers), transport._idle[route_to(server)]) == (number, [])


async def test_a_call_is_never_sent_twice(transport: Transport) -> None:
    async def leave_the_second(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()

    async with RawServer(leave_the_second) as server:
        assert await call(transport, server) == b"ok"
        with pytest.raises(ConnectionError):
            await call(transport, server)
        assert len(server.requests) == 2
        assert await call(transport, server) == b"ok"


async def test_an_upstream_that_accepts_and_closes(transport: Transport) -> None:
    async def leave(peer: Peer) -> None:
        pass

    async with RawServer(leave) as server:
        for _ in range(3):
            with pytest.raises(ConnectionError):
                await call(transport, server)


async def test_an_answer_before_the_request_has_been_read(transport: Transport) -> None:
    body = b"x" * 20_000_000

    async def refuse(peer: Peer) -> None:
        await peer.reader.readexactly(1)
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await peer.reader.read()

    async with RawServer(refuse) as server:
        response = await transport.post(route_to(server), b"POST / HTTP/1.1\r\n\r\n", body, PATIENT)
        assert (response.status, await response.read()) == (413, b"no")
        await asyncio.gather(*(connection.lost for connection in transport._open))


async def test_a_long_request_arrives_whole(transport: Transport) -> None:
    body = b"x" * 5_000_000
    async with RawServer(answer_all) as server:
        head = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
        response = await transport.post(route_to(server), head, body, PATIENT)
        assert await response.read() == b"ok"
    assert server.requests == [head + body]


async def test_no_answer_in_time(transport: Transport) -> None:
    held = Held()
    async with RawServer(held) as server:
        for timeouts in (HURRIED, Timeouts(connect=10, read=0.05, total=10)):
            with pytest.raises(TimeoutError):
                await call(transport, server, timeouts)
            peer = await held.waiting.get()
            assert await asyncio.wait_for(peer.gone.wait(), 10)


async def test_no_connection_in_time() -> None:
    async def say_nothing(peer: Peer) -> None:
        await peer.reader.read()

    transport = Transport(max_connections=1)
    async with RawServer(say_nothing) as server:
        secure = Route(Server("https", "127.0.0.1", server.port))
        for timeouts in (Timeouts(connect=0.05, read=10, total=10), HURRIED):
            with pytest.raises(TimeoutError):
                await transport.post(secure, HEAD, b"{}", timeouts)
    await transport.aclose()


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n\r\nhe"], ids=["silent", "begun"])
async def test_a_caller_that_leaves_closes_its_connection(transport: Transport, begun: bytes) -> None:
    asked = asyncio.Event()

    async def begin(peer: Peer) -> None:
        await peer.request()
        await peer.send(begun)
        asked.set()
        await peer.request()

    async with RawServer(begin) as server:
        leaver = asyncio.create_task(call(transport, server))
        await asked.wait()
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        assert not transport._idle[route_to(server)]
        assert await asyncio.wait_for(server.peers[0].gone.wait(), 10)


async def test_closing_ends_calls_and_connections() -> None:
    transport = Transport(max_connections=3)
    held = Held()
    async with RawServer(held) as server:
        calls = [asyncio.create_task(call(transport, server)) for _ in range(2)]
        await held.answer_next()
        under_way = await held.waiting.get()
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        await transport.aclose()
        assert not transport._open
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} == {bytes, ConnectionAbortedError}
        assert await asyncio.wait_for(under_way.gone.wait(), 10)
