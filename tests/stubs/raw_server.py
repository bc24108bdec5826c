"""A loopback TCP server that knows no HTTP: the test says what each of its connections does, byte for byte.

async def answer(peer: Peer) -> None:
    while await peer.request():
        await peer.send(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")

async with RawServer(answer) as server:
    …                                        # connect to server.port; server.peers has one entry a connection
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self


class Peer:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.requests: list[bytes] = []
        self.gone = asyncio.Event()
        """Set once `request` has found the client gone."""

    async def request(self) -> bytes:
        """The next request, its body included; b"" once the client has closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
            self.requests.append(head + await self.reader.readexactly(int(length.partition(b":")[2])))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
            return b""
        return self.requests[-1]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


class RawServer:
    def __init__(self, behaviour: Callable[[Peer], Awaitable[None]], tls: ssl.SSLContext | None = None) -> None:
        self.peers: list[Peer] = []
        self.port = 0
        self._behaviour = behaviour
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def requests(self) -> list[bytes]:
        return [request for peer in self.peers for request in peer.requests]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        task = asyncio.create_task(self._run(peer))
        self._tasks.add(task)

    async def _run(self, peer: Peer) -> None:
        try:
            await self._behaviour(peer)
        finally:
            peer.writer.transport.abort()
