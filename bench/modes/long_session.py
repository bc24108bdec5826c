"""A turn in a session of 100,000 messages against one in a session of 20, one at a time.

The short ones are several, taken in turn, because each of them grows while it is measured. They are not hundreds: going
round through so many has a cost of its own, in caches of every kind, which would flatter the long one.
"""

import asyncio
from collections.abc import Sequence

from bench.chat import QUESTION, check_reply
from bench.load import chat_contender, measure
from bench.modes.chat import EXCHANGES
from bench.rig import Rig
from bench.targets import USER
from bench.upstream import REPLY
from gateway.storage import open_store

LONG_SESSION = "long-session"
_SHORT_ONES = 16
SHORT, LONG = f"{_SHORT_ONES} sessions of 20 messages, in turn", "a session of 100,000 messages"

_EXCHANGES_OF_LONG = 50_000
_EXCHANGES_AT_ONCE = 1000
_STORE_SECONDS = 60.0


def run(rig: Rig) -> None:
    target = rig.gateway_target()
    rig.say(f"{LONG_SESSION}: writing {2 * _EXCHANGES_OF_LONG:,} messages")
    short, long = asyncio.run(_write_sessions(f"sqlite:///{target.directory}/data/gateway.db"))
    with rig.start(target) as ours:
        for session_id in (short[0], long):
            check_reply(target, session_id=session_id)
        contenders = [
            chat_contender(rig, SHORT, ours, connections=1, sessions=short),
            chat_contender(rig, LONG, ours, connections=1, sessions=[long]),
        ]
        measure(rig, LONG_SESSION, contenders)


async def _write_sessions(url: str) -> tuple[Sequence[str], str]:
    """Straight into the database: what a gateway would store of such conversations."""
    async with open_store(url, timeout=_STORE_SECONDS, alone=True) as store:

        async def write(exchanges: int) -> str:
            session = await store.create_session(USER)
            while exchanges > 0:
                await store.add_messages(session, _exchange() * min(exchanges, _EXCHANGES_AT_ONCE))
                exchanges -= _EXCHANGES_AT_ONCE
            return session.id

        return [await write(EXCHANGES) for _ in range(_SHORT_ONES)], await write(_EXCHANGES_OF_LONG)


def _exchange() -> list[dict[str, str]]:
    return [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": REPLY}]
