"""Periodic tasks continue after failures and stop on close."""

from itertools import chain, repeat
from unittest import mock

from serving.observability.periodic_task import PeriodicTask
from tests.support.waiting import wait_until


def test_failing_work_is_retried():
    work = mock.Mock(side_effect=chain([OSError("no space left on device")], repeat(None)))
    polling = PeriodicTask("sync", 0.0, work)
    polling.start()
    wait_until(lambda: work.call_count > 1, "another call")
    polling.close()
