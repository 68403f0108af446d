"""Files whose end is truncated or damaged: the service starts, and only what was damaged is missing."""

import json
import random
import time

import pytest
from prometheus_client import CollectorRegistry

from config import settings
from config.tool_environment import tool_environment
from serving import runtime as runtime_module
from serving.events.event_schema import read_event
from serving.events.write_ahead_log import EventLog
from serving.observability.metrics import Metrics
from serving.runtime import Runtime
from tests.support.chaos import checker
from tests.support.progress import Progress, sized
from tests.support.serving.small_release import ListChannel, release, tracks

ROUNDS = sized(500, 4)
TORN_FILES = sized(2_000, 20)
PART = 100
PAGE = 4096


def now_us():
    return time.time_ns() // 1000


def click(event_id, user_id="u"):
    return {"event_id": event_id, "user_id": user_id, "target_type": "track", "target_id": "t1", "action": "click"}


def damage(file, chance):
    """Truncate the end of a file, flip a byte in it, overwrite a page with zeros, or append an incomplete record."""
    content = bytearray(file.read_bytes())
    if not content:
        return "empty"
    kind = chance.choice(("truncated", "flipped", "zeroed", "appended"))
    if kind == "truncated":
        del content[len(content) - chance.randrange(1, min(len(content), 600) + 1) :]
    elif kind == "flipped":
        content[chance.randrange(max(0, len(content) - 2 * PAGE), len(content))] ^= 1 << chance.randrange(8)
    elif kind == "zeroed":
        begin = chance.randrange(0, len(content), PAGE)
        content[begin : begin + PAGE] = bytes(len(content[begin : begin + PAGE]))
    else:
        content += chance.choice((b'{"event_id":"torn', b"\0" * 100, bytes(chance.randrange(256) for _ in range(50))))
    file.write_bytes(content)
    return kind


@pytest.mark.timeout(3600)
def test_damaged_event_logs(tmp_path):
    """Whole lines are kept, and every event that is reported again is stored exactly once."""
    progress = Progress("torn_event_logs", TORN_FILES)
    for part, count in progress.parts(PART):
        chance = random.Random(part)
        for number in range(count):
            home = tmp_path / f"{part}-{number}"
            # Numbers twice, so that no flipped bit turns one id into another: the log could not know that.
            ids = [f"e{one:02d}{one:02d}" for one in range(20)]
            log = EventLog(home / "live", home / "serving", now_us)
            for one in ids:
                log.append([read_event(click(one), now_us())])
            log.low_watermark.save()
            log.close()
            (file,) = home.glob("live/dt=*/events-*.jsonl")
            lines = file.read_bytes().split(b"\n")[:-1]
            kind = damage(file, chance)
            watermark = home / "serving" / "pushed.json"
            watermark.write_text('{"file": "dt=2026-01-01/events-0001-1.jsonl", "offset": 7')
            kept = set(file.read_bytes().split(b"\n")[:-1])
            intact = {json.loads(line)["event_id"] for line in lines if line in kept}
            log = EventLog(home / "live", home / "serving", now_us)
            read = [event["event_id"] for event, _ in log.read_unpushed()]
            assert intact <= set(read), f"{kind}: whole lines are not replayed"
            for one in ids:
                log.append([read_event(click(one), now_us())])
            log.close()
            logged = checker.logged_ids(home)
            assert set(ids) <= set(logged), kind
            assert all(logged.count(one) == 1 for one in intact), kind
        progress.add(count)
    progress.report(f"{TORN_FILES} damaged logs, every whole line kept")


@pytest.mark.timeout(3600)
def test_service_starts_with_damaged_files(tmp_path, monkeypatch):
    """It acknowledges events and answers, whichever of its files is damaged."""
    of = release(tracks(8), [ListChannel("popularity", range(2, 10))])
    monkeypatch.setattr(runtime_module, "warm_up", lambda *_: None)
    monkeypatch.setattr(Runtime, "_load", lambda self, folder: of)
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    for name, value in tool_environment(settings.load_settings()).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "bentoml").mkdir()
    pointer = json.dumps({"release": "r1", "path": "made by hand", "activated_at": "now", "history": []})
    here = settings.Settings(home=tmp_path)
    progress = Progress("torn_service_files", ROUNDS)
    acknowledged = 0
    for part, rounds in progress.parts(PART):
        for number in range(part, part + rounds):
            chance = random.Random(number)
            (tmp_path / "bentoml" / "active.json").write_text(pointer)
            runtime = Runtime(here, Metrics(CollectorRegistry()))
            try:
                for one in range(3):
                    event = click(f"s{number}-{one}", f"u{chance.randrange(5)}")
                    assert runtime.ingest_events([event]).accepted == 1
                    assert len(runtime.recommend(event["user_id"], "daily", 3).items) == 3
                    acknowledged += 1
            finally:
                runtime.close()
            for file in _files(tmp_path):
                if chance.random() < 0.3:
                    damage(file, chance)
        progress.add(rounds, events=acknowledged)
    progress.report(f"{ROUNDS} starts with damaged files")


def _files(home):
    names = ("live/dt=*/*.jsonl", "serving/pushed.json", "serving/daily_lists.sqlite*", "requests/dt=*/*.jsonl")
    return sorted(file for name in names for file in home.glob(name))
