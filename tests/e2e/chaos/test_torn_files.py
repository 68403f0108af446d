"""Files whose end is truncated or damaged: the service starts, and only what was damaged is missing."""

import json
import random
from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from config import settings
from serving import runtime as runtime_module
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.runtime import Runtime
from tests.support.progress import sized
from tests.support.serving.asgi_client import use_home
from tests.support.serving.small_release import ListChannel, release, tracks

ROUNDS = sized(500, 4)
PAGE = 4096


def click(event_id, user_id="u"):
    return {"event_id": event_id, "user_id": user_id, "target_type": "track", "target_id": "t1", "action": "click"}


def damage(file, chance):
    """Truncate the end of a file, flip a byte in it, overwrite a page with zeros, or append an incomplete record."""
    content = bytearray(file.read_bytes())
    if not content:
        return
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


@pytest.mark.timeout(3600)
def test_service_starts_with_damaged_files(tmp_path, monkeypatch):
    """It acknowledges events and answers, whichever of its other files is damaged."""
    of = release(tracks(8), [ListChannel("popularity", range(2, 10))])
    monkeypatch.setattr(runtime_module, "warm_up", lambda *_: None)
    monkeypatch.setattr(Runtime, "_load", lambda self, folder: of)
    use_home(monkeypatch, tmp_path)
    (tmp_path / "bentoml").mkdir()
    pointer = json.dumps({"release": "r1", "path": "made by hand", "activated_at": "now", "history": []})
    here = settings.Settings(home=tmp_path)
    for number in range(ROUNDS):
        chance = random.Random(number)
        (tmp_path / "bentoml" / "active.json").write_text(pointer)
        runtime = Runtime(here, Metrics(CollectorRegistry()))
        try:
            for one in range(3):
                event = click(f"s{number}-{one}", f"u{chance.randrange(5)}")
                assert runtime.ingest_events([event]).accepted == 1
                assert len(runtime.respond("daily", partial(read_request, event["user_id"], "daily", 3)).items) == 3
        finally:
            runtime.close()
        for file in _files(tmp_path):
            if chance.random() < 0.3:
                damage(file, chance)


def _files(home):
    names = ("serving/serving.db*", "requests/dt=*/*.jsonl")
    return sorted(file for name in names for file in home.glob(name))
