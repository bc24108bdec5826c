"""Small routes: what models there are, whether the process lives, whether it can serve, what it has done so far."""

import time

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.context import context_of
from gateway.api.responses import json_response
from gateway.errors import NotFound
from gateway.ports import Store
from gateway.providers.models import Models
from gateway.telemetry.metrics import CONTENT_TYPE, Metrics


class OperationRoutes:
    def __init__(self, store: Store, models: Models, metrics: Metrics) -> None:
        self._store = store
        self._models = models
        self._metrics = metrics
        self._created = int(time.time())

    async def list_models(self, request: Request) -> Response:
        """Those that the key may use."""
        allowed = context_of(request.scope).caller.allowed_models
        names = [name for name in self._models.names() if allowed is None or name in allowed]
        return json_response({"object": "list", "data": [self._model(name) for name in names]})

    async def get_model(self, request: Request) -> Response:
        name: str = request.path_params["model"]
        allowed = context_of(request.scope).caller.allowed_models
        if allowed is not None and name not in allowed:
            raise NotFound(
                f"There is no model {name[:64]!r} for this API key. GET /v1/models lists those that it may use.",
                code="model_not_found",
                param="model",
            )
        return json_response(self._model(name))

    async def metrics(self, request: Request) -> Response:
        del request
        return Response(self._metrics.exposition(), media_type=CONTENT_TYPE)

    async def live(self, request: Request) -> Response:
        """What is running now on this host."""
        del request
        running = self._metrics.in_flight()
        requests = running.requests - 1  # not the one that asks
        return json_response({"object": "live", "in_flight": {"requests": requests}, "workers": running.workers})

    async def alive(self, request: Request) -> Response:
        """200 as long as the process answers at all."""
        del request
        return json_response({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """200 once a turn could be served; 503 while the database does not answer."""
        del request
        await self._store.ping()
        return json_response({"status": "ready"})

    def _model(self, name: str) -> dict[str, object]:
        owner = self._models.resolve(name).provider
        return {"id": name, "object": "model", "created": self._created, "owned_by": owner}
