"""Several processes at one address, and nobody who was not asked."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.cli.listening import join, reserve


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_free_port_is_one_for_all_who_join(stack: ExitStack) -> None:
    [address] = map(stack.enter_context, reserve("127.0.0.1", 0))
    [one], [other] = ([*map(stack.enter_context, join([address]))] for _ in range(2))
    one.listen()
    other.listen()
    assert one.getsockname() == other.getsockname() == address.getsockname()
    assert address.getsockname()[1] != 0


def test_nobody_connects_before_somebody_has_joined(stack: ExitStack) -> None:
    [address] = map(stack.enter_context, reserve("127.0.0.1", 0))
    probe = stack.enter_context(socket.socket())
    assert probe.connect_ex(address.getsockname()) == errno.ECONNREFUSED


@pytest.mark.parametrize("shared", [True, False])
def test_an_address_of_somebody_else_is_not_shared(stack: ExitStack, shared: bool) -> None:
    """Whether he would share it or not."""
    theirs = stack.enter_context(socket.create_server(("127.0.0.1", 0), reuse_port=shared))
    with pytest.raises(OSError, match="in use") as refused:
        reserve(*theirs.getsockname())
    assert refused.value.errno == errno.EADDRINUSE
