"""URLs, TLS and proxies."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.domain import Timeouts
from gateway.providers.dialing import Dialer, Route, Server, Target, Unreachable, target_of
from gateway.providers.transport import Transport
from tests.stubs.certificate import client_context, server_context
from tests.stubs.raw_server import Peer, RawServer

TIMEOUTS = Timeouts(connect=10, read=10, total=10)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def answer_all(peer: Peer) -> None:
    while await peer.request():
        await peer.send(OK)


@asynccontextmanager
async def opened(tls: ssl.SSLContext | None = None) -> AsyncIterator[Transport]:
    transport = Transport(max_connections=2, dialer=Dialer(tls))
    try:
        yield transport
    finally:
        await transport.aclose()


async def call(transport: Transport, target: Target) -> bytes:
    head = f"POST {target.path} HTTP/1.1\r\nhost: {target.authority}\r\n\r\n".encode()
    response = await transport.post(target.route, head, b"", TIMEOUTS)
    return await response.read()


@pytest.mark.parametrize(
    ("url", "server", "path", "authority"),
    [
        ("http://a.test/v1/x", ("http", "a.test", 80), "/v1/x", "a.test"),
        ("https://a.test/v1/x", ("https", "a.test", 443), "/v1/x", "a.test"),
        ("http://user:pw@a.test:81/x?y=1", ("http", "a.test", 81), "/x?y=1", "a.test:81"),
        ("http://[::1]:81/x", ("http", "::1", 81), "/x", "[::1]:81"),
        ("http://bücher.test/ä b%20c", ("http", "bücher.test", 80), "/%C3%A4%20b%20c", "xn--bcher-kva.test"),
        ("http://a.test//x", ("http", "a.test", 80), "//x", "a.test"),
    ],
)
def test_targets(url: str, server: tuple[str, str, int], path: str, authority: str) -> None:
    assert target_of(url) == (Route(Server(*server)), path, authority)


@pytest.mark.parametrize(
    "url", ["", "/v1", "ftp://a.test/", "http:///v1", "http://a.test:x/", "http://a..test/", "http://[::1/"]
)
def test_urls_that_name_no_server(url: str) -> None:
    with pytest.raises(Unreachable):
        target_of(url)


def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:p%40ss@proxy.test:3128")
    monkeypatch.setenv("https_proxy", "https://proxy.test")
    monkeypatch.setenv("no_proxy", "inside.test")
    plain = target_of("http://a.test:8080/v1")
    secure = target_of("https://a.test/v1")
    assert tuple(plain.route) == (("http", "a.test", 8080), ("http", "proxy.test", 3128), "Basic bWU6cEBzcw==")
    assert (plain.path, plain.authority, plain.route.is_tunnel) == ("http://a.test:8080/v1", "a.test:8080", False)
    assert tuple(secure.route) == (("https", "a.test", 443), ("https", "proxy.test", 443), None)
    assert (secure.path, secure.authority, secure.route.is_tunnel) == ("/v1", "a.test", True)
    assert target_of("http://inside.test/v1").route.proxy is None


@pytest.mark.parametrize("proxy", ["socks5://proxy.test:1080", "http://:3128"])
def test_proxies_of_another_kind(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(Unreachable):
        target_of("http://a.test/v1")


async def test_tls(tmp_path: Path) -> None:
    async with RawServer(answer_all, server_context(tmp_path)) as server, opened(client_context()) as transport:
        for _ in range(2):
            assert await call(transport, target_of(f"https://localhost:{server.port}/x")) == b"ok"
        assert len(server.peers) == 1


async def test_a_certificate_of_another_name(tmp_path: Path) -> None:
    async with RawServer(answer_all, server_context(tmp_path)) as server, opened(client_context()) as transport:
        with pytest.raises(Unreachable):
            await call(transport, target_of(f"https://127.0.0.1:{server.port}/x"))
        assert not server.requests


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    async with RawServer(answer_all, server_context(tmp_path)) as server, opened() as transport:
        with pytest.raises(Unreachable):
            await call(transport, target_of(f"https://localhost:{server.port}/x"))


async def test_no_tls_where_it_is_asked_for() -> None:
    async def complain(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with RawServer(complain) as server, opened(client_context()) as transport:
        with pytest.raises(Unreachable):
            await call(transport, target_of(f"https://localhost:{server.port}/x"))


async def test_a_plain_call_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(answer_all) as proxy, opened() as transport:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await call(transport, target_of("http://upstream.test:81/x")) == b"ok"
        assert proxy.requests == [b"POST http://upstream.test:81/x HTTP/1.1\r\nhost: upstream.test:81\r\n\r\n"]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_secure_call_through_a_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str) -> None:
    async def tunnel(peer: Peer) -> None:
        await peer.request()
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pipe(peer.reader, writer), pipe(reader, peer.writer))

    tls = server_context(tmp_path)
    async with (
        RawServer(answer_all, tls) as upstream,
        RawServer(tunnel, tls if scheme == "https" else None) as proxy,
        opened(client_context()) as transport,
    ):
        monkeypatch.setenv("https_proxy", f"{scheme}://me:pw@localhost:{proxy.port}")
        for _ in range(2):
            assert await call(transport, target_of(f"https://localhost:{upstream.port}/x")) == b"ok"
        assert proxy.requests == [
            f"CONNECT localhost:{upstream.port} HTTP/1.1\r\nhost: localhost:{upstream.port}\r\n"
            "proxy-authorization: Basic bWU6cHc=\r\n\r\n".encode()
        ]
        assert [len(peer.requests) for peer in upstream.peers] == [2]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"", b"x" * 70_000])
async def test_a_proxy_that_opens_no_way(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.request()
        if answer:
            await peer.send(answer)
            await peer.request()

    async with RawServer(refuse) as proxy, opened(client_context()) as transport:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(Unreachable):
            await call(transport, target_of("https://upstream.test/x"))


async def test_a_second_address_is_tried() -> None:
    """`localhost` is ::1 first where there is IPv6; the server listens on 127.0.0.1 alone."""
    async with RawServer(answer_all) as server, opened() as transport:
        assert await call(transport, target_of(f"http://localhost:{server.port}/x")) == b"ok"


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
