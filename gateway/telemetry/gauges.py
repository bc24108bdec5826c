"""What is so at this moment: figures that their owners tell when they are asked, by names that are known here.

With several workers, each figure is the sum of what they last told. A worker that is idle tells nothing any more: so it
is asked again as long as anything that it told was about work under way.
"""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge

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


class Gauges:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._sources: list[Callable[[], Figures]] = []
        self._gauges: dict[str, Gauge] = {}

    def watch(self, source: Callable[[], Figures]) -> None:
        """Tell these figures from now on. `source` is quick, and always has the same names, of WORK or of SIZES."""
        self._sources.append(source)
        for name in source():
            text = WORK.get(name) or SIZES[name]
            self._gauges[name] = Gauge(f"gateway_{name}", text, registry=self._registry, multiprocess_mode="livesum")

    def update(self) -> bool:
        """Ask every source. Returns whether there was work under way."""
        is_busy = False
        for source in self._sources:
            for name, figure in source().items():
                self._gauges[name].set(figure)
                is_busy = is_busy or (figure > 0 and name in WORK)
        return is_busy
