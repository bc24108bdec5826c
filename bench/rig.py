"""What every mode is given: the machine divided, the upstream running, a place for files, how long to measure."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.cores import Cores
from bench.results import Results
from bench.running import Running, running
from bench.targets import FERROGW, LITELLM, PORTKEY, Missing, Target, ferrogw, gateway, litellm_proxy, portkey
from bench.upstream import Upstream

_PEERS = {FERROGW: ferrogw, LITELLM: litellm_proxy, PORTKEY: portkey}
EVERY_PEER = tuple(_PEERS)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure. Rounds go round among those that are compared, because machines have moods."""

    rounds: int = 3
    seconds: int = 5
    """Of one round."""
    warm_up: int = 2
    """Seconds of load before the first round, that nothing is noted of."""
    sessions: int = 512
    """Through which the load goes in turn. Many more than connections, so that no two requests meet in one."""


@dataclass(frozen=True, slots=True)
class Rig:
    cores: Cores
    upstream: Upstream
    directory: Path
    pace: Pace
    results: Results
    say: Callable[[str], None]
    peers: tuple[str, ...] = EVERY_PEER
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_directory(self) -> Path:
        """A path at which nothing is yet."""
        return self.directory / f"target-{next(self._numbers)}"

    @contextmanager
    def start(self, target: Target) -> Iterator[Running]:
        with running(target, self.cores.measured) as started:
            yield started

    def gateway_target(self, upstream: str | None = None, **settings: object) -> Target:
        return gateway(self.new_directory(), upstream or self.upstream.whole, **settings)

    @contextmanager
    def gateway(self, upstream: str | None = None, **settings: object) -> Iterator[Running]:
        """Ours, running, with these settings over the defaults; before whole replies if no upstream is named."""
        with self.start(self.gateway_target(upstream, **settings)) as started:
            yield started

    def peer_targets(self, mode: str, upstream: str, only: Sequence[str] = EVERY_PEER) -> list[Target]:
        """Those of the peers that can be measured here; of the others the results are told why not."""
        found = [_PEERS[name](self.new_directory(), upstream) for name in self.peers if name in only]
        for peer in found:
            if isinstance(peer, Missing):
                self.results.leave_out(mode, peer.name, peer.why)
        return [peer for peer in found if isinstance(peer, Target)]
