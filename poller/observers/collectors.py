"""What is computed at each scrape: this file is the gauges per shard, and what is left out of the text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from poller.observers.ages import ShardAges

_TEXTS = {
    "iterator_age": "Age of the oldest record that is not done; if none waits, time since the last answer of the "
    "stream plus how far behind it was; before that, time since the lease was taken (R-MET-3)",
    "behind": "How far behind the stream said the read was, plus the time since",
    "checkpoint_age": "How long records have waited without a checkpoint moving on; 0 if none waits",
}


class Shards(Collector):
    """The ages of the shards that this worker holds; one that is gone simply is not told any more.

    Of each age the largest and the sum in a mapping are always told, that of each shard up to ``series_max`` shards.
    ``mappings`` gives those of which leases should be held: one that holds none is told as 0.
    """

    def __init__(self, ages: ShardAges, mappings: Callable[[], Iterable[str]], series_max: float) -> None:
        self._ages = ages
        self._mappings = mappings
        self._series_max = series_max

    def collect(self) -> Iterable[Metric]:
        ages = list(self._ages.all())
        for name, text in _TEXTS.items():
            known = [([each.mapping, each.shard], age) for each in ages if (age := getattr(each, name)) is not None]
            if len(ages) <= self._series_max:
                yield _gauge(f"{name}_seconds", text, ["mapping", "shard"], known)
            of_mappings: dict[str, list[float]] = {}
            for (mapping, _), age in known:
                of_mappings.setdefault(mapping, []).append(age)
            for kind, told, over in (("max", "largest", max), ("sum", "sum of each", sum)):
                text = f"The {told} poller_{name}_seconds of the mapping's shards"
                values = [([mapping], over(each)) for mapping, each in of_mappings.items()]
                yield _gauge(f"{name}_{kind}_seconds", text, ["mapping"], values)
        held = self._ages.held()
        leases = [([mapping], float(held.get(mapping, 0))) for mapping in self._mappings()]
        yield _gauge("leases_held", "Shards that this worker reads", ["mapping"], leases)


def _gauge(name: str, text: str, labels: list[str], values: Iterable[tuple[list[str], float]]) -> Metric:
    family = GaugeMetricFamily(f"poller_{name}", text, labels=labels)
    for each, value in values:
        family.add_metric(each, value)
    return family


class WithoutCreated(Collector):
    """Leaves out the ``_created`` series, which would double the counters for nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
