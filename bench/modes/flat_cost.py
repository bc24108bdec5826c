"""What grows, and must not: the cost of a turn with the length of its session, memory with the sessions seen."""

from bench.chat import check_reply, create_sessions, fill_sessions
from bench.load import chat_contender, measure
from bench.modes.chat import EXCHANGES
from bench.rig import Rig

FLAT_COST = "flat-cost"
EARLY, LATE = "one session, exchange 10 on", "the same, 20,000 exchanges later"

_EXCHANGES_BETWEEN = 20_000
_FEW, _MANY = 10_000, 50_000
_CACHE_BYTES = 4 * 2**20
"""Small enough that `_FEW` sessions fill it: whatever grows afterwards is not the cache."""


def run(rig: Rig) -> None:
    _grow_one_session(rig)
    _touch_many_sessions(rig)


def _grow_one_session(rig: Rig) -> None:
    with rig.gateway() as ours:
        sessions = create_sessions(ours.target, 1)
        check_reply(ours.target, session_id=sessions[0])
        fill_sessions(ours.target, sessions, exchanges=EXCHANGES)
        measure(rig, FLAT_COST, [chat_contender(rig, EARLY, ours, connections=1, sessions=sessions)])
        rig.say(f"{FLAT_COST}: {_EXCHANGES_BETWEEN:,} exchanges in one session")
        fill_sessions(ours.target, sessions, exchanges=_EXCHANGES_BETWEEN)
        measure(rig, FLAT_COST, [chat_contender(rig, LATE, ours, connections=1, sessions=sessions)])


def _touch_many_sessions(rig: Rig) -> None:
    with rig.gateway(storage={"cache_bytes": _CACHE_BYTES}, sessions={"auto_create": True}) as ours:
        for first, last in ((0, _FEW), (_FEW, _MANY)):
            fill_sessions(ours.target, [f"bench-{number}" for number in range(first, last)], exchanges=1)
            rig.say(f"{FLAT_COST}: {last:,} sessions, {ours.resident_mb:.0f} MB")
            label = f"resident memory after a turn in each of {last:,} sessions, cache_bytes of 4 MB"
            rig.results.add_figure(FLAT_COST, label, ours.resident_mb, "MB")
