"""How a connection to an upstream is opened: its addresses, the environment's proxy before it, TLS."""

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohappyeyeballs import AddrInfoType, start_connection

_PORTS = {"http": 80, "https": 443}
_ADDRESS_SECONDS = 60.0
_EYEBALLS_SECONDS = 0.25
"""How long an address has before the next one is tried beside it (RFC 8305, section 5)."""
_MAX_ANSWER = 64 * 1024

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class Unreachable(ConnectionError):
    """No connection could be opened. Not for one that took too long: that is a TimeoutError."""


class Server(NamedTuple):
    scheme: str
    host: str
    port: int


class Route(NamedTuple):
    """The upstream's server, and the proxy in front of it. A connection serves every call of its route."""

    server: Server
    proxy: Server | None = None
    authorization: str | None = None
    """The proxy's credential, as its header's value."""

    @property
    def is_tunnel(self) -> bool:
        return self.proxy is not None and self.server.scheme == "https"


class Target(NamedTuple):
    """A URL to call: its route, and the lines of a request's head that follow from it."""

    route: Route
    path: str
    """The request's target: with a proxy that is to read the request, the whole URL."""
    authority: str


def target_of(url: str) -> Target:
    """Raises Unreachable for a URL, its own or its proxy's, that names no server. The URL's credential is left out."""
    try:
        parts = urlsplit(url)
        server = _server(parts)
        netloc = parts.netloc.rpartition("@")[2]
        authority = netloc.encode("idna").decode()
        path = quote(parts.path + (f"?{parts.query}" if parts.query else ""), safe="/%:;,=&?+$!@~'()*[]")
        if proxy_bypass(netloc) or not (found := getproxies().get(parts.scheme)):
            return Target(Route(server), path, authority)
        proxy = urlsplit(found)
        route = Route(server, _server(proxy), basic(proxy))
    except ValueError as exc:
        raise Unreachable("no URL of a server") from exc
    return Target(route, path if route.is_tunnel else f"{parts.scheme}://{authority}{path}", authority)


class Upstream(NamedTuple):
    """Where calls of one kind go, and the lines of their head that are the same for every call."""

    route: Route
    head: bytes


def upstream_of(url: str, headers: Mapping[str, str]) -> Upstream:
    """For POSTs to the URL; raises Unreachable as `target_of` does, and for a line that cannot be sent."""
    target = target_of(url)
    lines = [f"host: {target.authority}", *(f"{name}: {value}" for name, value in headers.items())]
    if target.route.authorization is not None and not target.route.is_tunnel:
        lines.append(f"proxy-authorization: {target.route.authorization}")
    if any(not line.isprintable() for line in lines):
        raise Unreachable("a key or a URL that no header can carry")
    return Upstream(target.route, "\r\n".join([f"POST {target.path} HTTP/1.1", *lines, ""]).encode())


def basic(url: SplitResult) -> str | None:
    """The credential in a URL, as an authorization header's value (RFC 7617)."""
    if url.username is None:
        return None
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


class Dialer:
    """`tls` is for servers that the system's certificate authorities do not vouch for."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._given = tls
        self._addresses: dict[Server, tuple[float, Sequence[AddrInfoType]]] = {}

    async def dial(self, route: Route, factory: Callable[[], ProtocolT]) -> ProtocolT:
        """Raises Unreachable. Whoever gives up waiting cancels it, which leaves nothing open."""
        try:
            if route.proxy is not None and route.is_tunnel:
                return await self._dial_through(route.proxy, route, factory())
            return await self._connect(route.proxy or route.server, factory)
        except OSError as exc:
            raise Unreachable from exc

    async def _connect(self, server: Server, factory: Callable[[], ProtocolT]) -> ProtocolT:
        loop = asyncio.get_running_loop()
        sock = await start_connection(await self._resolve(server), happy_eyeballs_delay=_EYEBALLS_SECONDS, interleave=1)
        try:
            tls = (self._tls, server.host) if server.scheme == "https" else (None, None)
            _, protocol = await loop.create_connection(factory, sock=sock, ssl=tls[0], server_hostname=tls[1])
        except BaseException:
            sock.close()
            raise
        return protocol

    async def _dial_through(self, proxy: Server, route: Route, protocol: ProtocolT) -> ProtocolT:
        loop = asyncio.get_running_loop()
        tunnel = await self._connect(proxy, _Tunnel)
        try:
            await tunnel.ask(route)
            transport = await loop.start_tls(tunnel.transport, protocol, self._tls, server_hostname=route.server.host)
        except BaseException:
            tunnel.transport.abort()
            raise
        protocol.connection_made(cast("asyncio.Transport", transport))
        return protocol

    async def _resolve(self, server: Server) -> Sequence[AddrInfoType]:
        loop = asyncio.get_running_loop()
        until, found = self._addresses.get(server, (0.0, ()))
        if until <= loop.time():
            found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
            self._addresses[server] = (loop.time() + _ADDRESS_SECONDS, found)
        return found

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = self._given or ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a way through to a server, and reads its answer no further than the head."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._head = b""
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def ask(self, route: Route) -> None:
        host = f"[{route.server.host}]" if ":" in route.server.host else route.server.host
        lines = [f"CONNECT {host}:{route.server.port} HTTP/1.1", f"host: {host}:{route.server.port}"]
        if route.authorization is not None:
            lines.append(f"proxy-authorization: {route.authorization}")
        self.transport.write("\r\n".join([*lines, "", ""]).encode())
        if not re.match(rb"HTTP/1\.[01] 2\d\d\b", await self._answer):
            raise ConnectionRefusedError("the proxy opened no way to the server")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP or TLS one: it reads and writes

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > _MAX_ANSWER:
            self._resolve()

    def connection_lost(self, _: Exception | None) -> None:
        self._resolve()

    def _resolve(self) -> None:
        if not self._answer.done():
            self._answer.set_result(self._head)


def _server(url: SplitResult) -> Server:
    if url.scheme not in _PORTS or not url.hostname:
        raise ValueError("neither http nor https, or no host")
    return Server(url.scheme, url.hostname, url.port or _PORTS[url.scheme])
