"""The composition root: the one place that names concrete adapters, but for stores: storage/opening.py knows those.

`create_app` takes fakes as arguments; nothing in this package is found through a global.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from os import environ as process_environ

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.audit import AuditRoutes
from gateway.api.chat import ChatCompletions
from gateway.api.contents import ContentRoutes
from gateway.api.dashboard import DashboardRoutes, dashboard_endpoints
from gateway.api.keys import KeyRoutes
from gateway.api.ledger import LedgerRoutes
from gateway.api.middleware import METRICS, PUBLIC, Authentication, ErrorResponses, RequestLog
from gateway.api.openapi import openapi_document
from gateway.api.operations import OperationRoutes
from gateway.api.others import OthersRoutes
from gateway.api.routes import Handlers, build_router, endpoints
from gateway.api.sessions import SessionRoutes
from gateway.api.usage import UsageRoutes
from gateway.api.users import UserRoutes
from gateway.auth.authenticator import Authenticator
from gateway.auth.issuing import issue_first_keys
from gateway.auth.limiting.limiter import Limiter
from gateway.auth.limiting.opening import configured_counters
from gateway.domain import Via
from gateway.jobs.indexing import Indexing
from gateway.jobs.key_uses import KeyUses
from gateway.jobs.renewal import Renewal
from gateway.jobs.retention import Retention
from gateway.jobs.runner import Jobs
from gateway.ports import Provider, Store
from gateway.providers.direct import DirectProvider
from gateway.providers.echo import EchoProvider
from gateway.providers.health import Health
from gateway.providers.litellm_adapter import LitellmProvider
from gateway.providers.models import DEFAULT_CONTEXT_WINDOW, Models
from gateway.providers.routing import Router
from gateway.providers.transport import Transport
from gateway.settings import Settings
from gateway.storage.opening import configured_store
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import Traces, open_traces
from gateway.tokens.calibration import Calibration
from gateway.tokens.counter import TokenCounter
from gateway.turns.attempts import Attempts
from gateway.turns.cache import WindowCache
from gateway.turns.claims import Claims
from gateway.turns.closing import Closer
from gateway.turns.estimate import Estimator
from gateway.turns.flights import Flights
from gateway.turns.opening import Opener
from gateway.turns.reserving import Reserver
from gateway.turns.service import TurnService

log = structlog.stdlib.get_logger("gateway")

Announce = Callable[[Mapping[str, str]], None]
"""Shows the keys of a new database, by the name of their user."""


class App:
    """The ASGI application, and the life of what it stands on."""

    def __init__(
        self,
        stack: ASGIApp,
        *,
        store: Store,
        flights: Flights,
        claims: Claims,
        limiter: Limiter,
        jobs: Jobs,
        providers: Mapping[Via, Provider],
        metrics: Metrics,
        traces: Traces | None,
        on_start: Callable[[], Awaitable[None]],
        shutdown_timeout: float,
    ) -> None:
        self._stack = stack
        self._store = store
        self._flights = flights
        self._claims = claims
        self._limiter = limiter
        self._jobs = jobs
        self._providers = providers
        self._metrics = metrics
        self._traces = traces
        self._on_start = on_start
        self._shutdown_timeout = shutdown_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._stack(scope, receive, send)

    async def start(self) -> None:
        await self._store.start()
        await self._on_start()
        self._jobs.start()

    async def drain(self) -> None:
        """Take no new turns; return when the running ones are stored, cut short after `server.shutdown_timeout`."""
        await self._flights.drain(self._shutdown_timeout)

    async def cut_short(self) -> None:
        """Take no new turns, and stop the running ones now; return when what they have is stored."""
        await self._flights.drain(0)

    async def aclose(self) -> None:
        await self.drain()
        await self._claims.aclose()
        await self._jobs.aclose()
        await self._limiter.aclose()
        for provider in self._providers.values():
            await provider.aclose()
        await self._store.aclose()
        self._metrics.add_up()
        if self._traces is not None:
            await self._traces.aclose()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except Exception as exc:  # ASGI's way to say that the server cannot start
            log.debug("start failed", exc_info=exc)
            await self._store.aclose()
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})


def create_app(
    settings: Settings,
    *,
    store: Store | None = None,
    providers: Mapping[Via, Provider] | None = None,
    environ: Mapping[str, str] = process_environ,
    announce: Announce | None = None,
) -> App:
    """Compose the application. With `announce`, a database without keys is given an admin's and a user's."""
    store = store or configured_store(settings.storage)
    counter, flights = TokenCounter(), Flights()
    models = Models(settings, environ)
    transport = Transport(max_connections=settings.providers.max_connections)
    litellm = LitellmProvider(transport)
    providers = providers or _providers(counter, transport, litellm)
    claims = Claims(store, timeout=settings.sessions.lock_timeout, lease=settings.sessions.lease)
    traces = open_traces(settings.telemetry)
    metrics = Metrics(
        models=models.names(),
        user_labels=settings.metrics.user_labels,
        take_turns=None if traces is None else traces.take,
    )
    metrics.watch(store.gauges)
    metrics.watch(claims.gauges)
    limiter = _limiter(settings, store, metrics)
    turns = _turns(settings, store, models, Estimator(counter), flights, claims, limiter, providers, metrics)
    auth = settings.auth
    authenticator = Authenticator(store, pepper=auth.pepper_text, cache_seconds=auth.cache_seconds)
    stack = _stack(settings, store, models, turns, metrics, authenticator)

    async def on_start() -> None:
        await _warm_up(models, counter)
        if models.needs_litellm:
            await litellm.start()  # two to three seconds, which the first call would otherwise wait
        if announce is not None and (keys := await issue_first_keys(store, settings.auth.pepper_text)) is not None:
            announce(keys)

    return App(
        stack,
        store=store,
        flights=flights,
        claims=claims,
        limiter=limiter,
        jobs=_jobs(settings, store, claims, authenticator, limiter),
        providers=providers,
        metrics=metrics,
        traces=traces,
        on_start=on_start,
        shutdown_timeout=settings.server.shutdown_timeout,
    )


def _turns(
    settings: Settings,
    store: Store,
    models: Models,
    estimator: Estimator,
    flights: Flights,
    claims: Claims,
    limiter: Limiter,
    providers: Mapping[Via, Provider],
    metrics: Metrics,
) -> TurnService:
    calibration, cache = Calibration(), WindowCache(settings.storage.cache_bytes)
    metrics.watch(cache.gauges)
    routing = settings.routing
    health = Health(cooldown=routing.cooldown, cooldown_after=routing.cooldown_after)
    metrics.may_cool_down(models.configured(), health.cools_for)
    router = Router(models.routes, health)
    opener = Opener(
        store=store,
        models=models,
        router=router,
        estimator=estimator,
        calibration=calibration,
        cache=cache,
        settings=settings.sessions,
    )
    return TurnService(
        limiter=limiter,
        opener=opener,
        reserver=Reserver(estimator, calibration),
        attempts=Attempts(opener=opener, router=router, health=health, settings=routing, metrics=metrics),
        closer=Closer(store=store, estimator=estimator, calibration=calibration, cache=cache, metrics=metrics),
        claims=claims,
        flights=flights,
        providers=providers,
    )


def _limiter(settings: Settings, store: Store, metrics: Metrics) -> Limiter:
    limits = settings.limits
    return Limiter(
        configured_counters(limits),
        store,
        key=limits.key.limits,
        user=limits.user.limits,
        on_unavailable=limits.on_unavailable,
        on_refusal=metrics.limited,
        split_among=settings.server.workers if limits.storage == "memory:" else 1,
    )


def _jobs(settings: Settings, store: Store, claims: Claims, authenticator: Authenticator, limiter: Limiter) -> Jobs:
    return Jobs(
        [
            Renewal(store, claims.live, lease=settings.sessions.lease),
            Retention(store, settings.retention),
            Indexing(store),
            KeyUses(store, authenticator.take_uses),
            limiter,
        ]
    )


def _stack(
    settings: Settings,
    store: Store,
    models: Models,
    turns: TurnService,
    metrics: Metrics,
    authenticator: Authenticator,
) -> ASGIApp:
    sessions, contents = SessionRoutes(store, models, settings), ContentRoutes(store)
    handlers = Handlers(
        chat=ChatCompletions(
            turns,
            max_body_bytes=settings.server.max_body_bytes,
            cancel_on_disconnect=settings.sessions.on_disconnect == "cancel",
            traced=settings.telemetry.otlp_endpoint is not None,
        ),
        sessions=sessions,
        contents=contents,
        keys=KeyRoutes(store, authenticator, settings),
        users=UserRoutes(store, authenticator, settings),
        usage=UsageRoutes(store),
        ledger=LedgerRoutes(store),
        others=OthersRoutes(store, sessions, contents),
        audit=AuditRoutes(store),
        operations=OperationRoutes(store, models, metrics),
    )
    table = endpoints(handlers)
    public = PUBLIC | {METRICS} if settings.metrics.public else PUBLIC
    has_page = settings.dashboard.enabled
    page = dashboard_endpoints(DashboardRoutes(authenticator)) if has_page else []
    router = build_router([*table, *page], partial(openapi_document, table, public))
    authentication = Authentication(router, authenticator, public=public, takes_cookies=has_page)
    return RequestLog(ErrorResponses(authentication), metrics)


def _providers(counter: TokenCounter, transport: Transport, litellm: LitellmProvider) -> dict[Via, Provider]:
    return {
        Via.DIRECT: DirectProvider(transport),
        Via.LITELLM: litellm,
        Via.ECHO: EchoProvider(lambda text: counter.text(text, "o200k_base")),
    }


async def _warm_up(models: Models, counter: TokenCounter) -> None:
    """Load what the first turn would otherwise wait for: the encodings that the configured models count with."""
    for entry in models.unknown_windows:
        log.warning("context window unknown: set context_window", model=entry, assumed=DEFAULT_CONTEXT_WINDOW)
    for encoding in models.encodings:
        await asyncio.to_thread(counter.text, "", encoding)
