"""Many values into one histogram at once: prometheus-client takes them one by one, at two microseconds each.

With several workers every number that it writes is in a file that all can read: so each is written once for all values.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from prometheus_client import Histogram


def observe(histogram: Histogram, values: Sequence[float]) -> None:
    """The same as histogram.observe of each of the values."""
    if not values:
        return
    # There is no public way. A test compares what comes of it with what `observe` does.
    histogram._sum.inc(sum(values))  # noqa: SLF001
    bounds = histogram._upper_bounds  # noqa: SLF001
    for bucket, count in Counter([bisect_left(bounds, value) for value in values]).items():
        histogram._buckets[bucket].inc(count)  # noqa: SLF001
