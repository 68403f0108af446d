"""Periodic tasks continue after failures and stop on close."""

import threading

from serving.observability.periodic_task import PeriodicTask


def test_failing_work_is_retried(caplog):
    calls, twice = [], threading.Event()

    def work():
        calls.append(None)
        if len(calls) == 1:
            raise OSError("no space left on device")
        twice.set()

    polling = PeriodicTask("sync", 0.0, work)
    polling.start()
    assert twice.wait(30)
    polling.close()
    assert "sync failed; retrying in 0 s" in caplog.text and "no space left" in caplog.text


def test_close_signals_and_waits_for_running_work():
    begun, seen = threading.Event(), []

    def work():
        begun.set()
        polling._stop.wait(30)
        seen.append(polling._stop.is_set())

    polling = PeriodicTask("retry", 3600, work)
    polling.start()
    assert begun.wait(30)
    polling.close()
    assert seen == [True]
