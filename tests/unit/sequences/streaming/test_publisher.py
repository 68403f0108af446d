"""The publisher connects once, before the first event, and a failure to connect concerns no later one."""

import threading

import pytest

from sequences.streaming import redis_streams
from sequences.streaming.publisher import Publisher


class Sender:
    """Replaces the sender: records what it was given, and optionally fails at first."""

    def __init__(self, failures=0):
        self.sent, self.failures, self.has_sent = [], failures, threading.Event()

    async def send(self, messages):
        self.sent.append(list(messages))
        self.has_sent.set()
        if len(self.sent) <= self.failures:
            raise ConnectionError("refused")

    async def close(self):
        pass


@pytest.mark.parametrize("failures", [0, 1])
def test_open_connects_before_the_first_event(monkeypatch, failures):
    sender = Sender(failures)
    monkeypatch.setattr(redis_streams, "StreamSender", lambda url, topic: sender)
    opened = Publisher("redis://127.0.0.1:1", lambda _: None)
    opened.open()
    assert sender.has_sent.wait(60)
    opened.publish({})
    opened.close()
    assert sender.sent == [[], []]
