"""Who runs where: what is measured on cores of its own, the load and the upstream on others."""

import os
from dataclasses import dataclass

from bench import BenchFailed


@dataclass(frozen=True, slots=True)
class Cores:
    measured: tuple[int, ...]
    load: tuple[int, ...]

    @property
    def shared(self) -> bool:
        return bool(set(self.measured) & set(self.load))

    def for_workers(self, workers: int) -> "Cores":
        """One core a worker where as many are left for the load; else everybody shares all of them."""
        every = tuple(sorted({*self.measured, *self.load}))
        if len(every) >= 2 * workers:
            return Cores(every[:workers], every[workers:])
        return Cores(every, self.load)


def divide(available: set[int]) -> Cores:
    """The first core for what is measured, the others for the load. Raises BenchFailed if there is only one."""
    first, *others = sorted(available)
    if not others:
        raise BenchFailed(
            "This machine offers one core only. What is measured and what loads it would take turns on it, and the "
            "figures would mean nothing: two cores are needed."
        )
    return Cores((first,), tuple(others))


def keep_to(cores: tuple[int, ...]) -> None:
    """Run this process, and whatever it starts without saying otherwise, on these cores."""
    os.sched_setaffinity(0, cores)
