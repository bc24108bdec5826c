"""What goes between a client and a PostgreSQL server, counted on the wire by a relay that stands between the two.

It reads PostgreSQL's protocol (version 3, without TLS) as it passes, and changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

_CHUNK = 65536


@dataclass
class Traffic:
    """What has passed, on all connections together."""

    asked: list[str] = field(default_factory=list)
    """Texts of the statements that the client has asked for: BEGIN and its like are statements, too."""
    done: int = 0
    """Statements that the server says it has run."""
    trips: int = 0
    """How often the client spoke after the server had: what it waited for."""


class Relay:
    def __init__(self, server: str) -> None:
        """`server`: the URL of the database to relay to."""
        self._server = server
        self.traffic = Traffic()
        self.url = ""
        """Of the same database, by way of this relay."""

    def take(self) -> Traffic:
        """All since this was last called."""
        taken, self.traffic = self.traffic, Traffic()
        return taken

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        from_server, to_server = await _connect(self._server)
        link = _Connection(self)
        to_client = asyncio.create_task(_pump(from_server, writer, link.server_says))
        await _pump(reader, to_server, link.client_says)
        await to_client


@asynccontextmanager
async def relaying(server: str) -> AsyncIterator[Relay]:
    relay = Relay(server)
    listener = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    async with listener:
        relay.url = _moved(server, listener.sockets[0].getsockname()[1])
        yield relay


class _Connection:
    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._from_client = _Messages(typed=False)
        self._from_server = _Messages(typed=True)
        self._prepared: dict[bytes, str] = {}
        self._server_spoke = True

    def client_says(self, data: bytes) -> None:
        if self._server_spoke:
            self._relay.traffic.trips += 1
        self._server_spoke = False
        for kind, body in self._from_client.read(data):
            if kind == b"Q":  # a simple query
                self._relay.traffic.asked.append(body.rstrip(b"\0").decode())
            elif kind == b"P":  # Parse: the statement's name, its text, …
                name, text, _ = body.split(b"\0", 2)
                self._prepared[name] = text.decode()
            elif kind == b"B":  # Bind: the portal's name, the statement's, …
                self._relay.traffic.asked.append(self._prepared[body.split(b"\0", 2)[1]])

    def server_says(self, data: bytes) -> None:
        self._server_spoke = True
        for kind, _ in self._from_server.read(data):
            if kind in b"Cs":  # CommandComplete; PortalSuspended, of a statement of which one row was asked for
                self._relay.traffic.done += 1


class _Messages:
    """Cuts a stream into messages: a byte for the kind, which a client's first one lacks, and four for the length."""

    def __init__(self, *, typed: bool) -> None:
        self._head = 1 if typed else 0
        self._buffer = b""

    def read(self, data: bytes) -> list[tuple[bytes, bytes]]:
        self._buffer += data
        found = []
        while len(self._buffer) >= self._head + 4:
            length = int.from_bytes(self._buffer[self._head : self._head + 4])
            end = self._head + length
            if len(self._buffer) < end:
                break
            found.append((self._buffer[: self._head], self._buffer[self._head + 4 : end]))
            self._buffer, self._head = self._buffer[end:], 1
        return found


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watch: Callable[[bytes], None]) -> None:
    try:
        while data := await reader.read(_CHUNK):
            watch(data)
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # one side has gone; the other is told
    finally:
        writer.close()


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A directory of sockets may stand among the URL's options, as libpq has it."""
    parts = urlsplit(url)
    host = parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[0]
    port = parts.port or 5432
    if host.startswith("/"):
        return await asyncio.open_unix_connection(Path(host, f".s.PGSQL.{port}"))
    return await asyncio.open_connection(host, port)


def _moved(url: str, port: int) -> str:
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    options = {name: values[0] for name, values in parse_qs(parts.query).items() if name != "host"}
    query = urlencode(options | {"sslmode": "disable"})
    return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}", query=query))
