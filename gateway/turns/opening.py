"""Steps 3 to 5 of a turn: resolve the model, open the turn in the store, build the window."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from gateway.domain import Caller, Deployment, Session
from gateway.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    model_not_allowed,
    session_archived,
    session_not_found,
)
from gateway.history.exchanges import Remembered, remember
from gateway.history.window import fit
from gateway.ids import new_turn_id
from gateway.ports import Locked, OpenedTurn, ProviderCall, Store, TurnOpening
from gateway.providers.models import Models
from gateway.providers.routing import Router
from gateway.settings import SessionSettings
from gateway.tokens.calibration import Calibration
from gateway.turns.cache import CachedWindow, WindowCache, merge, read_anew
from gateway.turns.claims import Claim
from gateway.turns.estimate import Estimator
from gateway.turns.turn import History, Inbound, Turn
from gateway.wire.chat import ChatRequest


class Opener:
    def __init__(
        self,
        *,
        store: Store,
        models: Models,
        router: Router,
        estimator: Estimator,
        calibration: Calibration,
        cache: WindowCache,
        settings: SessionSettings,
    ) -> None:
        self._store = store
        self._models = models
        self._router = router
        self._estimator = estimator
        self._calibration = calibration
        self._cache = cache
        self._settings = settings

    async def open(self, inbound: Inbound, claim: Claim | None) -> Turn | None:
        """Everything that is needed to call the provider; None if another turn holds the session.

        `claim`: None for a stateless call. Raises GatewayError; no message is stored then.
        """
        request = inbound.request
        model = self._resolve(inbound, request.model) if request.model is not None else None
        if claim is None:
            assert model is not None  # noqa: S101 - parse_chat: a stateless request names its model
            return _turn(inbound, model.name, self._best(request, model), _sent_alone(request))
        opened = await self._open_session(inbound, claim)
        if opened is None:
            return None
        inbound.steps.open = time.perf_counter()
        session, known = opened
        if model is None:
            model = self._resolve(inbound, _session_model(session))
        known = known.renewed(time.time())
        candidates = self._router.candidates(model.name, session.id)
        if not candidates:
            return await self._turn_in(session, known, inbound, model.name, model)
        return await self._turn_at_best(session, known, inbound, model.name, candidates)

    async def redirect(self, turn: Turn, deployment: Deployment) -> Turn:
        """The same turn at another deployment, its window built anew. Raises InvalidRequest if that would refuse it."""
        turn.request.check_params(deployment.allow_params)
        history = turn.history
        if history is None:
            other = _turn(turn.inbound, turn.model, deployment, turn.call.messages)
        else:
            other = await self._turn_in(history.session, history.known, turn.inbound, turn.model, deployment)
        return replace(other, id=turn.id, created_at=turn.created_at)

    def _best(self, request: ChatRequest, model: Deployment) -> Deployment:
        """What is to serve a stateless call."""
        candidates = self._router.candidates(model.name, None)
        if not candidates:
            return model
        return next((each for each in candidates if not request.unlisted - each.allow_params), model)

    async def _turn_at_best(
        self, session: Session, known: CachedWindow, inbound: Inbound, model: str, candidates: Sequence[Deployment]
    ) -> Turn:
        """The turn at the first candidate that takes the request.

        Other models stand in for one that fails, but not for one that refuses. Raises ContextLengthExceeded.
        """
        refusal: ContextLengthExceeded | None = None
        for deployment in candidates:
            is_own = deployment.name == model
            if not is_own and (refusal is not None or inbound.request.unlisted - deployment.allow_params):
                continue
            try:
                return await self._turn_in(session, known, inbound, model, deployment)
            except ContextLengthExceeded as exc:
                refusal = exc if is_own else refusal
        assert refusal is not None  # noqa: S101 - the model's own are among the candidates
        raise refusal

    def _resolve(self, inbound: Inbound, name: str) -> Deployment:
        allowed = inbound.caller.allowed_models
        if allowed is not None and name not in allowed:  # first: whether there is such a model is not for this key
            raise model_not_allowed(name, allowed)
        deployment = self._models.resolve(name)
        inbound.request.check_params(deployment.allow_params)
        return deployment

    # ── the session ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _open_session(self, inbound: Inbound, claim: Claim) -> tuple[Session, CachedWindow] | None:
        request, caller = inbound.request, inbound.caller
        cached = self._cache.get(claim.key)
        opened = await self._ask_store(request, claim, caller, cached)
        if opened is None:
            return None
        limit = _limit(request, opened.session)
        known = merge(cached, opened, _remembered(opened), limit)
        is_same = cached is None or cached.created_at == opened.session.created_at
        if known is None or not (is_same and known.covers(limit)):
            # Read anew: it is another session of that id, or more history is asked for than when these messages were
            # cached, or what came after them cannot be joined to them.
            opened = await self._ask_store(request, claim, caller, None)
            if opened is None:
                return None
            known = read_anew(opened, _remembered(opened), _limit(request, opened.session))
        inbound.steps.cached = opened.after > 0
        return opened.session, known

    async def _ask_store(
        self, request: ChatRequest, claim: Claim, caller: Caller, cached: CachedWindow | None
    ) -> OpenedTurn | None:
        _, session_id = claim.key
        may_create = self._settings.auto_create and request.model is not None  # a new session could not name one
        was_held, claim.is_held = claim.is_held, True
        opened = await self._store.open_turn(
            TurnOpening(
                user_id=caller.user_id,
                session_id=session_id,
                limit=request.max_history_messages,
                known_seq=cached.last_seq if cached is not None else 0,
                known_epoch=cached.epoch if cached is not None else -1,
                create=self._new_session(session_id, caller) if may_create else None,
                hold=claim.hold,
                lease=self._settings.lease,
            )
        )
        claim.is_held = was_held or (isinstance(opened, OpenedTurn) and opened.session.archived_at is None)
        if isinstance(opened, Locked):
            return None
        if opened is None:
            raise session_not_found(session_id)
        if opened.session.archived_at is not None:
            raise session_archived(session_id)
        return opened

    def _new_session(self, session_id: str, caller: Caller) -> Session:
        now = datetime.now(UTC)
        return Session(
            id=session_id,
            user_id=caller.user_id,
            name=None,
            model=None,
            max_history_messages=self._settings.max_history_messages,
            instructions=(),
            metadata={},
            created_at=now,
            updated_at=now,
        )

    # ── the window ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _turn_in(
        self, session: Session, known: CachedWindow, inbound: Inbound, model: str, deployment: Deployment
    ) -> Turn:
        request, encoding = inbound.request, deployment.encoding
        known = await self._counted_alike(known, encoding)
        instructions = [message.body for message in request.instructions] or session.instructions
        new_tokens = await self._estimator.messages(request.messages, encoding)
        fixed = (
            await self._estimator.call(request.params, encoding)
            + await self._estimator.bodies(instructions, encoding)
            + sum(new_tokens)
        )
        window = fit(
            instructions=instructions,
            history=known.exchanges,
            new=[message.body for message in request.messages],
            answers=request.answers,
            max_messages=_limit(request, session),
            budget=self._budget(request, deployment, fixed),
        )
        injectable = session.message_count - session.failed_count
        history = History(
            session=session,
            known=known,
            messages=window.history_messages,
            tokens=window.history_tokens,
            trimmed=max(0, injectable - window.history_messages),
            new_tokens=new_tokens,
        )
        inbound.steps.trimmed_tokens = max(0, session.total_tokens - window.history_tokens)
        return _turn(inbound, model, deployment, window.messages, history, fixed + window.history_tokens)

    def _budget(self, request: ChatRequest, deployment: Deployment, fixed: int) -> int:
        """Tokens that history may take: context window - reply reserve - safety margin - all that must be sent.

        For a model whose encoding is an estimate, the window is measured in our tokens by what the provider has
        reported so far. Raises ContextLengthExceeded if the request does not fit even without history.
        """
        reserve = request.max_reply_tokens or deployment.reply_reserve
        space = deployment.context_window - reserve - self._settings.safety_margin
        ratio = 1.0 if deployment.exact else self._calibration.ratio(deployment.id)
        budget = int(space / ratio) - fixed
        if budget < 0 and not deployment.window_assumed:
            raise ContextLengthExceeded(
                f"This model's maximum context length is {deployment.context_window} tokens. This request alone needs "
                f"about {round(fixed * ratio)} tokens, with {reserve} kept for the reply and a safety margin of "
                f"{self._settings.safety_margin}. Shorten the messages or ask for fewer reply tokens.",
                param="messages",
            )
        return max(0, budget)

    async def _counted_alike(self, known: CachedWindow, encoding: str) -> CachedWindow:
        """What is known, with tokens in this encoding: recounted, and from then on cached so, if the model changed."""
        if known.encoding == encoding or not known.exchanges:
            return known
        stale = [exchange for exchange in known.exchanges if exchange.encoding != encoding]
        messages = [message for exchange in stale for message in exchange.parsed()]
        counts = iter(await self._estimator.recount(messages, encoding))
        return known.exchanged(
            exchange
            if exchange.encoding == encoding
            else exchange.recounted(list(islice(counts, exchange.count)), encoding)
            for exchange in known.exchanges
        )


def _turn(
    inbound: Inbound,
    model: str,
    deployment: Deployment,
    messages: Sequence[bytes],
    history: History | None = None,
    estimate: int | None = None,
) -> Turn:
    return Turn(
        id=new_turn_id(),
        inbound=inbound,
        model=model,
        deployment=deployment,
        call=ProviderCall(deployment, messages, inbound.request.params, inbound.request_id),
        created_at=datetime.now(UTC),
        history=history,
        prompt_estimate=estimate,
    )


def _remembered(opened: OpenedTurn) -> list[Remembered]:
    if not opened.messages:  # the rule: all of them are cached
        return []
    now = time.time()
    return [kept for message in opened.messages if (kept := remember(message, now=now)) is not None]


def _limit(request: ChatRequest, session: Session) -> int:
    asked = request.max_history_messages
    return session.max_history_messages if asked is None else asked


def _session_model(session: Session) -> str:
    if session.model is None:
        raise InvalidRequest(
            "you must provide a model parameter: neither the request nor the session names one",
            code="missing_required_parameter",
            param="model",
        )
    return session.model


def _sent_alone(request: ChatRequest) -> list[bytes]:
    return [message.body for message in (*request.instructions, *request.messages)]
