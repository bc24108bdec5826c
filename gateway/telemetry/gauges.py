"""What is so at this moment: figures that their owners tell when they are asked, by names that are known here.

With several workers, each figure is the sum of what they last told, save those that all of them see alike. A worker
that is idle tells nothing any more: so it is asked again as long as anything that it told was about work under way.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Gauge

from gateway.domain import Deployment

Figures = Mapping[str, float]

WORK = {
    "turns_in_line": "Turns that wait behind another one of their session, in the same process.",
    "database_pool_in_use": "PostgreSQL: connections that are at work.",
    "database_pool_waiting": "PostgreSQL: works that wait for a free connection.",
    "database_write_queue": "SQLite: writes that wait or are being done.",
}
"""0 in a process at rest."""

SIZES = {
    "database_pool_size": "PostgreSQL: connections that may be open.",
    "window_cache_entries": "Windows in memory.",
    "window_cache_bytes": "About how many bytes the windows in memory take.",
}

SHARED = {
    "search_index_backlog": "Sessions with something that the search index does not have yet; 10,000: or more.",
}
"""Of the one database: what was told last counts. Whoever is asked for metrics has just told its own."""


class _Cooling:
    """One deployment's cool-down, told as 1 in each process that leaves it alone."""

    def __init__(self, gauge: Gauge, deployment: Deployment, cools_for: Callable[[Deployment], float]) -> None:
        self._gauge = gauge
        self._deployment = deployment
        self._cools_for = cools_for
        self._is_told = False

    def update(self) -> bool:
        """Whether it cools down. Writes only what has changed: there may be many, and most are well."""
        cools = self._cools_for(self._deployment) > 0
        if cools is not self._is_told:
            self._gauge.set(cools)
            self._is_told = cools
        return cools


class Gauges:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._cooling: list[_Cooling] = []
        self._sources: list[Callable[[], Figures]] = []
        self._gauges: dict[str, Gauge] = {}

    def watch(self, source: Callable[[], Figures]) -> None:
        """Tell these figures from now on. `source` is quick, and always has the same names, of those above."""
        self._sources.append(source)
        for name in source():
            text = WORK.get(name) or SIZES.get(name) or SHARED[name]
            mode: Literal["livemostrecent", "livesum"] = "livemostrecent" if name in SHARED else "livesum"
            self._gauges[name] = Gauge(f"gateway_{name}", text, registry=self._registry, multiprocess_mode=mode)

    def watch_deployments(
        self, deployments: Iterable[tuple[Deployment, tuple[str, ...]]], cools_for: Callable[[Deployment], float]
    ) -> None:
        """Tell from now on which of these, with the values of their labels, are left alone: `cools_for` seconds."""
        gauge = Gauge(
            "gateway_deployment_cooling_down",
            "Processes that leave the deployment alone at this moment.",
            ("model", "provider", "deployment"),
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._cooling = [_Cooling(gauge.labels(*labels), each, cools_for) for each, labels in deployments]

    def update(self) -> bool:
        """Ask every source. Returns whether there was work under way, or a cool-down, whose end is to be told."""
        cooling = [each.update() for each in self._cooling]
        is_busy = any(cooling)
        for source in self._sources:
            for name, figure in source().items():
                self._gauges[name].set(figure)
                is_busy = is_busy or (figure > 0 and name in WORK)
        return is_busy
