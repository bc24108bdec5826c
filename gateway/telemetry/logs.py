"""Logging: one canonical structlog line a request, never a payload or a key.

Lines are JSON unless standard error is a terminal. Libraries that print bound values or message texts are kept quiet.
A line's keywords are copied four times on their way through structlog. Who has many gives them as one, `fields`, a
mapping: the line is the same.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from gateway.settings import LoggingSettings
from gateway.telemetry.lines import Lines

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

# databases' debug log prints bound values, litellm's messages and keys, Alembic's much: warnings only, at any level.
_QUIET = ("alembic", "databases", "aiosqlite", "LiteLLM", "httpx", "httpcore", "openai", "asyncio")


def configure_logging(settings: LoggingSettings) -> None:
    """Set up structlog and the standard library's logging, both on standard error."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]), cache_logger_on_first_use=True
    )
    if settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty()):
        handler = _json_handler()
    else:
        handler = _console_handler()
    logging.basicConfig(handlers=[handler], level=_LEVELS[settings.level], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _json_handler() -> logging.Handler:
    """JSON for structlog, and from the handler that is returned."""
    lines = Lines(sys.stderr.buffer)
    structlog.configure(processors=[_json], logger_factory=lambda *_: lines)
    handler = logging.StreamHandler(lines)
    handler.lock = lines.lock
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[_drop_internals, _foreign_json]))
    return handler


def _console_handler() -> logging.Handler:
    """Text for people for structlog, and from the handler that is returned."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Its default formatter shows the locals of every frame: headers with keys, and whole messages.
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[_spread, *shared, renderer], logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_drop_internals, renderer])
    )
    return handler


def _drop_internals(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, method, event)


def _spread(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    del logger, method
    fields = event.pop("fields", None)
    return event if fields is None else {**fields, **event}


def _json(logger: Any, method: str, event: structlog.typing.EventDict) -> bytes:
    """A line without its end. One processor in place of structlog's four: every request comes through here."""
    event = _spread(logger, method, event)
    event["level"] = method
    event["timestamp"] = datetime.now(UTC)
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, method, event)
    return orjson.dumps(event, default=str, option=orjson.OPT_UTC_Z)


def _foreign_json(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
    return _json(logger, method, event).decode()
