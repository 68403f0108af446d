"""The publisher connects once, before the first event, and a failure to connect concerns no later one."""

import asyncio
import threading

import pytest

from sequences.streaming import kafka, publisher
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
    monkeypatch.setattr(publisher, "make_sender", lambda url, topic: sender)
    opened = Publisher("kafka://127.0.0.1:1", lambda _: None)
    opened.open()
    assert sender.has_sent.wait(60)
    opened.publish({})
    opened.close()
    assert sender.sent == [[], []]


def test_concurrent_sends_connect_once(monkeypatch):
    starts, stays_open = [], []

    async def start(broker, url, topic):
        starts.append(url)
        await asyncio.sleep(0)
        stays_open.append(url)

    monkeypatch.setattr(kafka, "_start", start)

    async def send():
        sender = kafka.TopicSender("kafka://127.0.0.1:1")
        await asyncio.gather(sender.send([]), sender.send([]))

    asyncio.run(send())
    assert len(starts) == len(stays_open) == 1
