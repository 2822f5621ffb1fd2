"""The samples of several workers as one reply, read by Prometheus' own parser."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serving.workers.samples import merged


def test_each_sample_of_each_worker_is_there_once_with_its_worker_and_families_stay_whole() -> None:
    texts, expected = {}, {}
    for worker in (0, 2):
        registry = CollectorRegistry()
        Gauge("plain", 'a "gauge" with {braces} # and a mark', registry=registry).set(worker + 0.5)
        counter = Counter("labelled", "two\nlines", ("place",), registry=registry)
        for place in ("a b", 'quoted "}" \\ {', "", "line\nbreak"):
            counter.labels(place).inc(worker + 1)
        Histogram("took", "h", registry=registry).observe(0.1)
        if worker == 2:
            Counter("only_here", "of one", registry=registry).inc()
        texts[worker] = generate_latest(registry).decode()
        for family in registry.collect():
            for sample in family.samples:
                expected[sample.name, frozenset({**sample.labels, "worker": str(worker)}.items())] = sample.value
    expected |= {("hearth_worker_up", frozenset({("worker", str(one))})): float(one != 1) for one in range(3)}
    families = list(text_string_to_metric_families(merged(texts, 3)))
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    assert found == expected
    names = [family.name for family in families]
    assert len(names) == len(set(names))
