"""Chat completions under load: stateless and streamed, against the peers, and in sessions, which peers do not have."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bench import BenchFailed
from bench.chat import check_reply, create_sessions, fill_sessions
from bench.load import CONNECTIONS, Contender, chat_contender, measure
from bench.rig import EVERY_PEER, Rig
from bench.running import Running
from bench.targets import LITELLM, OURS, Target

STATELESS, SESSION, STREAM = "stateless", "session", "stream"
PLAIN, IN_SESSIONS = f"{OURS}, stateless", f"{OURS}, in sessions"

EXCHANGES = 10
"""In each session before it is measured: 20 messages, which is also how many a turn takes along at most."""

_STREAMS_OF_LITELLM = 2
"""Connections. They keep its core busy; with 64, hardly a stream would come to its end within a round."""


def stateless(rig: Rig) -> None:
    with _ours_and_peers(rig, STATELESS, rig.upstream.whole) as (ours, peers):
        measure(rig, STATELESS, _passing_on(rig, ours, peers))


def session(rig: Rig) -> None:
    """LiteLLM proxy is loaded between, without sessions, because a bar compares the two."""
    with _ours_and_peers(rig, SESSION, rig.upstream.whole, only=(LITELLM,)) as (ours, peers):
        sessions = filled_sessions(rig, ours)
        stored = chat_contender(rig, IN_SESSIONS, ours, sessions=sessions)
        measure(rig, SESSION, [stored, *_passing_on(rig, ours, peers)])


def stream(rig: Rig) -> None:
    with _ours_and_peers(rig, STREAM, rig.upstream.streamed, stream=True) as (ours, peers):
        sessions = filled_sessions(rig, ours, stream=True)
        stored = chat_contender(rig, IN_SESSIONS, ours, stream=True, sessions=sessions)
        measure(rig, STREAM, [stored, *_passing_on(rig, ours, peers, stream=True)])


def filled_sessions(rig: Rig, ours: Running, *, stream: bool = False) -> Sequence[str]:
    """Ids of sessions with 20 messages each."""
    sessions = create_sessions(ours.target, rig.pace.sessions)
    check_reply(ours.target, stream=stream, session_id=sessions[0])
    fill_sessions(ours.target, sessions, exchanges=EXCHANGES, stream=stream)
    return sessions


@contextmanager
def _ours_and_peers(
    rig: Rig, mode: str, upstream: str, *, stream: bool = False, only: Sequence[str] = EVERY_PEER
) -> Iterator[tuple[Running, list[Running]]]:
    """All of them running and found to pass replies on; a peer that does not is left out."""
    with ExitStack() as stack:
        ours = stack.enter_context(rig.gateway(upstream))
        check_reply(ours.target, stream=stream)
        peers = [stack.enter_context(rig.start(target)) for target in rig.peer_targets(mode, upstream, only)]
        yield ours, [peer for peer in peers if _is_fit(rig, mode, peer.target, stream=stream)]


def _is_fit(rig: Rig, mode: str, peer: Target, *, stream: bool) -> bool:
    try:
        check_reply(peer, stream=stream)
    except BenchFailed as exc:
        rig.results.leave_out(mode, peer.name, str(exc))
        return False
    return True


def _passing_on(rig: Rig, ours: Running, peers: Sequence[Running], *, stream: bool = False) -> list[Contender]:
    """Nothing is stored but our ledger."""

    def connections(peer: Running) -> int:
        return _STREAMS_OF_LITELLM if stream and peer.target.name == LITELLM else CONNECTIONS

    return [
        chat_contender(rig, PLAIN, ours, stream=stream),
        *(chat_contender(rig, peer.target.name, peer, connections=connections(peer), stream=stream) for peer in peers),
    ]
