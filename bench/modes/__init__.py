"""What can be measured, by name. A mode starts what it needs, adds to its rig's results, and leaves nothing behind."""

from collections.abc import Callable, Mapping

from bench.modes import chat, flat_cost, litellm, long_session, open_streams, postgresql, start, workers
from bench.rig import Rig

MODES: Mapping[str, Callable[[Rig], None]] = {
    start.START: start.run,
    chat.STATELESS: chat.stateless,
    chat.SESSION: chat.session,
    chat.STREAM: chat.stream,
    litellm.LITELLM: litellm.run,
    long_session.LONG_SESSION: long_session.run,
    flat_cost.FLAT_COST: flat_cost.run,
    open_streams.OPEN_STREAMS: open_streams.run,
    postgresql.POSTGRESQL: postgresql.run,
    workers.WORKERS: workers.run,
}
QUICK = (chat.STATELESS, chat.SESSION, chat.STREAM)
