"""A copy of the tree with each documented extension (docs/contributing.md), and a log in the added format.

The copy has one more recall channel, ranker, user feature, track feature, scene, log format, expectation and text. Its recipe
`debug` fits no other ranker.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from config import settings

NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "var", "*.pyc", ".*_cache", "*.egg-info", "target", "logs")
TEXTS = {"en": "number {position} of your tracks", "zh": "你的第 {position} 首歌"}

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

FILES = {
    "recommender/recall/code_order.py": CHANNEL,
    "training/recall/code_order.py": CHANNEL_FIT,
    "recommender/ranking/plain_sum.py": RANKER,
    "ingestion/readers/pipe_plays.py": READER,
}

CHANNELS, RANKERS = "recommender/recall/registry.py", "recommender/ranking/registry.py"
READERS, PROFILES, STATISTICS = (
    "ingestion/readers/__init__.py",
    "dbt/models/marts/user_profiles",
    "dbt/models/marts/track_statistics",
)
BALANCE = "count(*) filter (where behavior = 'full_play') - count(*) filter (where behavior = 'skip') as balance"
COLUMN = '      - name: {}\n        description: "A column of the test"\n        data_type: bigint\n'

INSERTIONS = (
    (
        CHANNELS,
        "from recommender.recall.collection_recall import",
        "from recommender.recall.code_order import CodeOrder\n",
    ),
    (CHANNELS, "Popularity, Realtime, LongShort", "CodeOrder, "),
    (RANKERS, "from recommender.ranking.ranker import Ranker", "from recommender.ranking.plain_sum import PlainSum\n"),
    (RANKERS, "SumPooling, TargetAttention, InterestEvolution", "PlainSum, "),
    (f"{PROFILES}.sql", "count(*) as plays,", "count(distinct plays.session_id) as sessions,\n        "),
    (f"{PROFILES}.sql", '"plays", "listens"', '"sessions", '),
    (f"{PROFILES}.yml", "      - name: plays_total\n", COLUMN.format("sessions_total")),
    (
        "feature_repo/views.py",
        'Field(name="plays_total"',
        'Field(name="sessions_total", dtype=Int64),\n        ',
    ),
    (f"{STATISTICS}.sql", "count(*) filter (where events.action = 'play') as plays,", f"{BALANCE},\n        "),
    (f"{STATISTICS}.sql", '"plays", "listens"', '"balance", '),
    (f"{STATISTICS}.yml", "      - name: plays_total\n", COLUMN.format("balance_total")),
    (
        "recommender/slate/scene_settings.py",
        'Scene(name="playlists"',
        'Scene(name="workout", limit=4, max_limit=20),\n        ',
    ),
    (READERS, "    streaming_history,\n", "    pipe_plays,\n"),
    (READERS, '    "streaming_history": streaming_history.READER', '    "pipe_plays": pipe_plays.READER,\n'),
    (
        "served_behavior/reason_truth.py",
        '"most_played": lambda track, _:',
        '"in_code_order": lambda _, p: p["position"] > 0,\n            ',
    ),
    # Nothing waits for the rest of the content, which would be encoded beside the tests for a minute.
    (
        "dags/encode_remaining_content.py",
        ",\n):\n",
        ' | {"is_paused_upon_creation": True}',
    ),
    ("quality/suites.py", 'between("artists_total", 0, None)', 'between("sessions_total", 1, None),\n            '),
)
"""Path, anchor and the text that is inserted before the only occurrence of the anchor."""


def copy_tree(tree: Path) -> None:
    """Write the copy into the new folder `tree`."""
    shutil.copytree(settings.ROOT, tree, ignore=NOT_COPIED)
    for path, text in FILES.items():
        (tree / path).write_text(text, encoding="utf-8")
    for path, anchor, text in INSERTIONS:
        content = (tree / path).read_text(encoding="utf-8")
        assert content.count(anchor) == 1, f"{path} has {anchor!r} {content.count(anchor)} times"
        (tree / path).write_text(content.replace(anchor, text + anchor), encoding="utf-8")
    recipe = tree / "training" / "recipes" / "debug.yaml"
    others = "[sum_pooling, target_attention, interest_evolution, session_domains]"
    text = recipe.read_text(encoding="utf-8").replace("excluded_rankers: []", f"excluded_rankers: {others}")
    recipe.write_text(f"{text}\nplain_sum: *ranker\n\ncode_order: {{max_tracks: 50}}\n", encoding="utf-8")
    for language, text in TEXTS.items():
        catalog = tree / "serving" / "messages" / "catalogs" / f"{language}.json"
        messages = json.loads(catalog.read_text(encoding="utf-8"))
        messages["reasons"]["in_code_order"] = messages["scenes"]["workout"] = text
        catalog.write_text(json.dumps(messages, ensure_ascii=False, indent=2), encoding="utf-8")


def write_log(file: Path) -> None:
    """Write a log in the added format: the plays of two listeners, the last by their ids, on the five days until yesterday."""
    lines, midnight_s = ["user|track|second|ms"], int(time.time()) // 86_400 * 86_400
    for day in range(1, 6):
        for number in range(12):
            second = midnight_s - 86_400 * day + 36_000 + 240 * number
            lines += [f"z{user}|p{(number + user) % 6}|{second}|200000" for user in range(2)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
