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
