"""What is computed at each scrape: this file is the gauges per shard, and what is left out of the text."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from poller.observers.ages import ShardAges


class Shards(Collector):
    """The ages of the shards that this worker holds; one that is gone simply is not told any more."""

    def __init__(self, ages: ShardAges, mappings: Iterable[str]) -> None:
        self._ages = ages
        self._mappings = mappings

    def collect(self) -> Iterable[Metric]:
        labels = ["mapping", "shard"]
        iterator = GaugeMetricFamily(
            "poller_iterator_age_seconds",
            "Age of the oldest record that is not done; if none waits, time since the last answer of the stream "
            "plus how far behind it was; before that, time since the lease was taken (R-MET-3)",
            labels=labels,
        )
        behind = GaugeMetricFamily(
            "poller_behind_seconds", "How far behind the stream said the read was, plus the time since", labels=labels
        )
        checkpoint = GaugeMetricFamily(
            "poller_checkpoint_age_seconds",
            "How long records have waited without a checkpoint moving on; 0 if none waits",
            labels=labels,
        )
        for each in self._ages.all():
            values = [each.mapping, each.shard]
            iterator.add_metric(values, each.iterator_age)
            checkpoint.add_metric(values, each.checkpoint_age)
            if each.behind is not None:
                behind.add_metric(values, each.behind)
        leases = GaugeMetricFamily("poller_leases_held", "Shards that this worker reads", labels=["mapping"])
        held = self._ages.held()
        for mapping in list(self._mappings):
            leases.add_metric([mapping], held.get(mapping, 0))
        return [iterator, behind, checkpoint, leases]


class WithoutCreated(Collector):
    """Leaves out the ``_created`` series, which would double the counters for nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
