"""Logging: one canonical structlog line a request, never a payload or a key.

Lines are JSON unless standard error is a terminal. Libraries that print bound values or message texts are kept quiet.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from gateway.settings import LoggingSettings

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

# databases' debug log prints bound values, litellm's messages and keys, Alembic's much: warnings only, at any level.
_QUIET = ("alembic", "databases", "aiosqlite", "LiteLLM", "httpx", "httpcore", "openai", "asyncio")


def configure_logging(settings: LoggingSettings) -> None:
    """Set up structlog and the standard library's logging, both on standard error."""
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, *(_json(_dump) if as_json else _console())],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        # JSON is bytes already; a BytesLogger writes a line with one call.
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer)
        if as_json
        else structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    rendering = _json(_dump_text) if as_json else _console()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_drop_internals, *rendering])
    )
    logging.basicConfig(handlers=[handler], level=_LEVELS[settings.level], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _json(serializer: Callable[..., str | bytes]) -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=serializer)]


def _console() -> list[structlog.typing.Processor]:
    # Its default formatter shows the locals of every frame: headers with keys, and whole messages.
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _drop_internals(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, method, event)


def _dump(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)


def _dump_text(event: Any, **_: Any) -> str:
    return _dump(event).decode()
