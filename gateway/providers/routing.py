"""Which deployments may serve a model, and in which order they are asked."""

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence

from gateway.domain import Deployment
from gateway.providers.health import Health
from gateway.values import value

_BITS = 48

Draw = Callable[[Deployment], int]
"""A number of 48 bits for a deployment: by chance, or always the same one for a session."""


@value
class Route:
    """The deployments of a model, and then those of each model that may stand in for it."""

    models: tuple[tuple[Deployment, ...], ...]


class Router:
    def __init__(self, routes: Mapping[str, Route], health: Health) -> None:
        """`routes`: of the models that more than one deployment can answer for."""
        self._routes = routes
        self._health = health

    def candidates(self, model: str, session_id: str | None) -> Sequence[Deployment]:
        """The deployments that may serve a call, the best first; none for a model that has but one.

        Those that are well come first, in the order of `preferred`, then those that cool down.
        """
        route = self._routes.get(model)
        if route is None:
            return ()
        return self._health.ranked(preferred(route, draw_by_chance if session_id is None else draw_for(session_id)))


def preferred(route: Route, draw: Draw) -> list[Deployment]:
    """All deployments of a route, in the order in which they are asked while all are well.

    A model's own are put in order by weighted rendezvous hashing: each scores -weight / ln(u), where u is its draw as a
    number between 0 and 1, and the highest score goes first. So each is first as often as its weight says. With the
    draws of a session its order never changes, and without the first it is the same order less that one: a deployment
    that fails moves its own sessions and no others.
    """

    def score(deployment: Deployment) -> float:
        return -deployment.weight / math.log((draw(deployment) + 1) / (2**_BITS + 1))

    return [deployment for models in route.models for deployment in sorted(models, key=score, reverse=True)]


def draw_by_chance(deployment: Deployment) -> int:
    del deployment
    return random.getrandbits(_BITS)


def draw_for(session_id: str) -> Draw:
    """The same in every process, as Python's own hash() is not."""

    def draw(deployment: Deployment) -> int:
        told = f"{session_id}\0{deployment.id}".encode(errors="surrogatepass")
        return int.from_bytes(hashlib.blake2b(told, digest_size=_BITS // 8).digest())

    return draw
