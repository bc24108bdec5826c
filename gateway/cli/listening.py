"""An address that several processes listen on, each with a socket of its own, so that the system spreads connections.

Processes that share one socket do not share its work: whoever wakes first takes every connection that waits. Of 64
that were opened at once, one of two workers had four fifths of the work.
"""

import socket
from collections.abc import Sequence
from contextlib import ExitStack


def reserve(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of `host`, of one port. They keep it for those who join; nothing connects to them.

    Raises OSError, also for an address that somebody else listens on; not for one that another gateway has reserved and
    does not listen on yet. To be sure of that would mean to refuse the address for a minute after every restart.
    """
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        for family, *_, address in socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            chosen = sockets[0].getsockname()[1] if sockets else port
            # Another gateway that shares its address would let us join it: only who does not ask to share is refused.
            with _bound(family, (address[0], chosen), shared=False) as probe:
                free = probe.getsockname()
            sockets.append(opened.enter_context(_bound(family, free, shared=True)))
        opened.pop_all()
        return sockets


def join(sockets: Sequence[socket.socket]) -> list[socket.socket]:
    """Sockets of this process's own on the same addresses. Raises OSError."""
    return [_bound(reservation.family, reservation.getsockname(), shared=True) for reservation in sockets]


def _bound(family: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
