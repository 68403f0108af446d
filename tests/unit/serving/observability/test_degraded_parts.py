"""Degraded parts: reported once in the log, in the metrics until they work again or their time is over."""

from prometheus_client import CollectorRegistry

from serving.observability import degraded_parts as module
from serving.observability.degraded_parts import Degradation
from serving.observability.metrics import Metrics


def test_part_is_degraded_until_it_is_cleared_or_expires(monkeypatch, caplog):
    now = [100.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    registry = CollectorRegistry()
    parts = Degradation(Metrics(registry))
    parts.report("online_store", "does not respond", ConnectionError("refused"))
    now[0] = 110.0
    parts.report("online_store", "does not respond", "late")
    parts.report("daily_lists", "cannot be read", lasting_s=60)
    assert [part.model_dump() for part in parts.parts.values()] == [
        {"part": "online_store", "why": "does not respond", "error": "late", "since_s": 100.0},
        {"part": "daily_lists", "why": "cannot be read", "error": "", "since_s": 110.0},
    ]
    assert len([record for record in caplog.records if "online_store" in record.message]) == 1
    now[0] = 171.0
    assert set(parts.parts) == {"online_store"}
    parts.clear("online_store")
    assert not parts.parts
    for part in ("online_store", "daily_lists"):
        assert registry.get_sample_value("segue_degraded", {"part": part}) == 0
    parts.report("online_store", "does not respond")
    assert registry.get_sample_value("segue_degraded", {"part": "online_store"}) == 1
