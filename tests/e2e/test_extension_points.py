"""Each documented extension (docs/contributing.md) reaches the evaluation report and the service without further changes.

A copy of the tree gets a recall channel, a ranker, a user feature, a track feature, a scene, a log format, an
expectation and a text; the pipeline runs in it once, with recipe `debug`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from config import settings

pytestmark = [pytest.mark.timeout(1200)]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache", "*.egg-info", "target", "logs")

CHANNEL = '''"""Recall channel of the extension test: the tracks of the user's history, by item code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.channel import RecallChannel, pad_rows
from recommender.recall.reason import Reason
from recommender.user.user_batch import UserBatch
from storage.files import write_json


@dataclass(frozen=True)
class CodeOrderConfig:
    """Configuration of the channel `code_order`."""

    max_tracks: int  # most candidates of a request


class CodeOrder(RecallChannel[CodeOrderConfig]):
    """The user's tracks in the order of their item codes."""

    name: ClassVar[str] = "code_order"
    config_class = CodeOrderConfig
    feature_service: ClassVar[str] = "favorites"

    def __init__(self, config: CodeOrderConfig) -> None:
        self.resolved_config = config

    def recall(self, users: UserBatch, k: int) -> np.ndarray:
        return pad_rows(users.history_items_BH[:, : self.resolved_config.max_tracks], k)

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        return [Reason("in_code_order", {"position": position}) for position, _ in enumerate(items, 1)]

    def save(self, folder: Path) -> None:
        write_json(folder / "code_order.json", asdict(self.resolved_config))

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        return cls(CodeOrderConfig(**json.loads((folder / "code_order.json").read_text())))
'''

CHANNEL_FIT = '''"""Fit of the channel `code_order`, which learns nothing."""

from __future__ import annotations

from pathlib import Path

from recommender.recall.code_order import CodeOrder, CodeOrderConfig
from training.data.training_data import TrainingData


def fit(data: TrainingData, config: CodeOrderConfig, folder: Path) -> CodeOrder:
    """See `fit_channel`."""
    return CodeOrder(config)
'''

RANKER = '''"""Ranker of the extension test: the interest is the sum of the history instead of its mean."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from recommender.ranking.ranker import UserState
from recommender.ranking.target_attention import SumPooling


class PlainSum(SumPooling):
    """The sum of the valid events."""

    name: ClassVar[str] = "plain_sum"

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        return (state.events_BLD * state.mask_BL[..., None]).sum(1, keepdim=True).expand_as(item_BCD) / 50
'''

READER = '''"""Log format of the extension test: `*.pipe` files with a header `user|track|second|ms` and one play per line."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ingestion.readers.parsing import delimited
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member

COLUMNS = ["user", "track", "second", "ms"]


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if member.file.endswith(".pipe")]


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    for member in files:
        for rows, _ in delimited.stream_blocks(member, "|", COLUMNS, context.report_progress):
            ended_us = pl.col("second").cast(pl.Int64) * 1_000_000
            yield Rows(
                "listening_events",
                rows.select(
                    event_id=pl.format("pipe-{}-{}", "user", "second"),
                    user_id="user",
                    sequence_number=pl.col("source_line"),
                    target_type=pl.lit("track"),
                    target_id="track",
                    occurred_at=ended_us // 600_000_000 * 600_000_000,
                    ended_at=ended_us,
                    action=pl.lit("play"),
                    played_ms=pl.col("ms").cast(pl.Int64),
                    source_file=pl.lit(member.name),
                    source_line="source_line",
                ),
            )


READER = Reader(select_files=_select_files, read=_read, period="day", split="global_time")
'''

ASK = """
import json, sys, time
from functools import partial
from prometheus_client import CollectorRegistry
from config import settings
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.runtime import Runtime

runtime = Runtime(settings.load_settings(), Metrics(CollectorRegistry()))
try:
    until = time.monotonic() + 120
    while not runtime.is_ready and time.monotonic() < until:
        time.sleep(0.2)
    answer = runtime.respond("workout", partial(read_request, sys.argv[1], "workout", None))
    items = [vars(item) for item in answer.items]
    print(json.dumps({"items": items, "trace": vars(answer.trace), "status": runtime.status()}, default=str))
finally:
    runtime.close()
"""


class Extended:
    """A copy of the tree with the extensions, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.home = folder / "tree", folder / "home"
        shutil.copytree(settings.ROOT, self.tree, ignore=NOT_COPIED)
        self.environment = {**os.environ, "SEGUE_HOME": str(self.home), "PYTHONPATH": str(self.tree)}

    def write(self, path: str, text: str) -> None:
        (self.tree / path).write_text(text, encoding="utf-8")

    def insert(self, path: str, anchor: str, text: str) -> None:
        """Insert `text` before the only occurrence of `anchor`."""
        file = self.tree / path
        content = file.read_text(encoding="utf-8")
        assert content.count(anchor) == 1, f"{path} has {anchor!r} {content.count(anchor)} times"
        file.write_text(content.replace(anchor, text + anchor), encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.tree,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        self.check(process)
        return process.stdout

    def check(self, process: subprocess.CompletedProcess[str]) -> None:
        logs = "".join(file.read_text()[-3000:] for file in (self.home / "logs").rglob("*.log") if process.returncode)
        assert process.returncode == 0, f"{process.stdout[-3000:]}\n{process.stderr[-3000:]}\n{logs[-6000:]}"

    def run_pipeline(self, channels: str) -> None:
        """Run the pipeline; its release is forced, because a few channels are worse than the best baseline."""
        process = self.start("-m", "local.pipeline", "--recipe", "debug", "--channels", channels)
        refused = re.search(r"as_of (\S+), .*release gate and model store … FAILED", process.stdout, re.DOTALL)
        if process.returncode == 0 or refused is None:
            self.check(process)
            return
        release = (sys.executable, "-m", "training.release", "--as-of", refused[1], "--recipe", "debug")
        self.run("-m", "local.environment", *release, "--force", "--reason", "channels of the test only")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Extended]:
    copy = Extended(tmp_path_factory.mktemp("extended"))
    add_channel(copy)
    add_ranker(copy)
    add_features(copy)
    add_scene(copy)
    add_log_format(copy)
    add_expectation(copy)
    copy.run("-m", "ingestion.land", str(write_log(copy.home / "plays.pipe")))
    copy.run_pipeline("popularity code_order")
    yield copy


def write_log(path: Path, users: int = 24, days: int = 12, tracks: int = 60) -> Path:
    """A log in the added format, whose listeners repeat their tracks; it has no media, which the encoders would read."""
    random, lines = Random(3), ["user|track|second|ms"]
    for user in range(users):
        own = random.sample(range(tracks), 20)
        for day in range(days):
            second = 1_782_000_000 + 86_400 * day + random.randrange(40_000)
            for _ in range(random.randint(2, 6)):
                second += random.randint(210, 900)
                track = random.choice(own) if random.random() < 0.7 else random.randrange(tracks)
                lines.append(f"u{user}|t{track}|{second}|{random.choice([9_000, 90_000, 200_000, 200_000])}")
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def add_channel(copy: Extended) -> None:
    copy.write("recommender/recall/code_order.py", CHANNEL)
    copy.write("training/recall/code_order.py", CHANNEL_FIT)
    recipe = copy.tree / "training" / "recipes" / "debug.yaml"
    recipe.write_text(recipe.read_text() + "\ncode_order: {max_tracks: 50}\n")
    registry = "recommender/recall/registry.py"
    copy.insert(
        registry,
        "from recommender.recall.collection_recall import",
        "from recommender.recall.code_order import CodeOrder\n",
    )
    copy.insert(registry, "Popularity, Realtime, LongShort", "CodeOrder, ")
    for language, text in (("en", "number {position} of your tracks"), ("zh", "你的第 {position} 首歌")):
        file = copy.tree / "serving" / "messages" / "catalogs" / f"{language}.json"
        messages = json.loads(file.read_text(encoding="utf-8"))
        messages["reasons"]["in_code_order"] = text
        messages["scenes"]["workout"] = text
        file.write_text(json.dumps(messages, ensure_ascii=False, indent=2), encoding="utf-8")


def add_ranker(copy: Extended) -> None:
    copy.write("recommender/ranking/plain_sum.py", RANKER)
    registry = "recommender/ranking/fitted_ranker.py"
    copy.insert(
        registry,
        "from recommender.ranking.ranker import Ranker",
        "from recommender.ranking.plain_sum import PlainSum\n",
    )
    copy.insert(registry, "SumPooling, TargetAttention, InterestEvolution", "PlainSum, ")
    recipe = copy.tree / "training" / "recipes" / "debug.yaml"
    others = "[sum_pooling, target_attention, interest_evolution, session_domains]"
    text = recipe.read_text().replace("excluded_rankers: []", f"excluded_rankers: {others}")
    recipe.write_text(f"{text}\nplain_sum: *ranker\n")


def add_features(copy: Extended) -> None:
    profiles = "dbt/models/marts/user_profiles"
    copy.insert(f"{profiles}.sql", "count(*) as plays,", "count(distinct plays.session_id) as sessions,\n        ")
    copy.insert(f"{profiles}.sql", '"plays", "listens"', '"sessions", ')
    column = '      - name: {}\n        description: "A column of the test"\n        data_type: bigint\n'
    copy.insert(f"{profiles}.yml", "      - name: plays_total\n", column.format("sessions_total"))
    copy.insert(
        "feature_repo/views.py",
        'Field(name="plays_total"',
        'Field(name="sessions_total", dtype=Int64),\n        ',
    )
    statistics = "dbt/models/marts/track_statistics"
    balance = "count(*) filter (where behavior = 'full_play') - count(*) filter (where behavior = 'skip') as balance"
    copy.insert(
        f"{statistics}.sql", "count(*) filter (where events.action = 'play') as plays,", f"{balance},\n        "
    )
    copy.insert(f"{statistics}.sql", '"plays", "listens"', '"balance", ')
    copy.insert(f"{statistics}.yml", "      - name: plays_total\n", column.format("balance_total"))


def add_scene(copy: Extended) -> None:
    copy.insert(
        "recommender/slate/scene_settings.py",
        'Scene(name="playlists"',
        'Scene(name="workout", limit=4, max_limit=20),\n        ',
    )


def add_log_format(copy: Extended) -> None:
    copy.write("ingestion/readers/pipe_plays.py", READER)
    registry = "ingestion/readers/__init__.py"
    copy.insert(registry, "    streaming_history,\n", "    pipe_plays,\n")
    copy.insert(registry, '    "streaming_history": streaming_history.READER', '    "pipe_plays": pipe_plays.READER,\n')


def add_expectation(copy: Extended) -> None:
    copy.insert(
        "quality/suites.py", 'between("artists_total", 0, None)', 'between("sessions_total", 1, None),\n            '
    )


@pytest.fixture(scope="module")
def evaluation(extended: Extended) -> dict:
    return json.loads((extended.home / "reports" / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def manifest(extended: Extended) -> dict:
    (file,) = (extended.home / "bentoml").rglob("manifest.json")
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def answer(extended: Extended) -> dict:
    users = json.loads(
        extended.run(
            "-c",
            "import json, polars as pl; from config.settings import load_settings;"
            "print(json.dumps(pl.read_parquet(load_settings().marts / 'plays.parquet')['user_id'].unique().sort().to_list()))",
        )
    )
    return json.loads(extended.run("-m", "local.environment", "python", "-c", ASK, users[0]).splitlines()[-1])


def test_models_features_and_expectations_are_in_the_report_and_the_release(extended, evaluation, manifest):
    assert "code_order" in evaluation["recall"] and "code_order" in manifest["channels"]
    assert "plain_sum" in evaluation["ranking"] and manifest["ranker"] == "plain_sum"
    (file,) = (extended.home / "bentoml").rglob("ranker.json")
    ranker = file.read_text()
    assert "user_profile__sessions_total" in ranker and "balance_total" in ranker
    assert "pipe_plays" in {row["format"] for row in manifest["lineage"]["logs"]}
    assert "sessions_total" in (extended.home / "reports" / "data_docs" / "marts" / "outcome.json").read_text()


def test_the_channel_and_the_scene_answer_requests(answer):
    assert answer["trace"]["candidates"]["code_order"] > 0
    assert len(answer["items"]) == 4


@pytest.mark.parametrize(("language", "text"), [("en", "number 1 of your tracks"), ("zh", "你的第 1 首歌")])
def test_the_text_is_shown_in_each_language(extended, language, text):
    program = (
        "from serving.messages import render_reason; from recommender.recall.reason import Reason;"
        f"print(render_reason(Reason('in_code_order', {{'position': 1}}), {language!r}))"
    )
    assert extended.run("-c", program).strip() == text
