"""`quality.validate` on handmade homes: valid tables pass, and each fault violates the expected expectation."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markupsafe import escape

from config.settings import Settings
from quality.validate import main
from storage.mart_tables import CONTENT_SCHEMA
from tests.support.quality_home import AS_OF, EVENTS, ROWS, write_home, write_landing, write_mart


@pytest.fixture
def empty_home(here: Settings) -> Iterator[Path]:
    with mock.patch.dict(os.environ):
        yield here.home


@pytest.fixture
def home(empty_home: Path) -> Path:
    write_home(empty_home)
    return empty_home


def test_valid_tables_pass_and_pages_are_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["--as-of", AS_OF, "--stage", stage]) for stage in ("landed", "marts")] == [0, 0]
    printed = capsys.readouterr().out
    assert printed.count("ok ") == len(ROWS) + 2 and "not enough data" not in printed
    for stage in ("landed", "marts"):
        page = (home / "reports" / "data_docs" / stage / "outcome.html").read_text()
        assert '<strong class="good">0</strong> failed expectations' in page
        for suite in json.loads((home / "reports" / "data_docs" / stage / "outcome.json").read_text())["suites"]:
            assert suite["checks"] and all(
                escape(check["text"]) in page and check["is_passed"] for check in suite["checks"]
            )
        assert not any(remote in page for remote in ("http://", "https://", "<script", "stylesheet"))
    profile = json.loads((home / "reports" / "data_quality.json").read_text())
    tables = {table["name"]: table for table in profile["tables"]}
    assert tables["events"]["row_counts"][-1] > 4000 and "tracks" not in tables, "tracks have no time"


# Mart, text of its rows, its invalid replacement, and the expectation that fails.
FAULTS = [
    ("tracks", "1000 as", "-1 as", "duration_ms is 0 to"),
    ("playlists", "'ugc'", "'friend'", "source is one of"),
    ("artists", "'A' as", "null::varchar as", "name has a value"),
    ("artists", "select", "select unnest([1, 2]) as row,", "duplicate keys is 0: 1"),
    ("sessions", "'train' as part", "1 as one", "part is one of"),
    ("user_profiles", "8 as listens", "10 as listens", "plays_total is not less than listens_total"),
    ("exposures", "1.0 as propensity", "2.0 as propensity", "propensity is"),
    ("online_metrics", "4 as plays", "7 as plays", "exposures is not less than plays"),
    ("time_split", "select", "select unnest(['a', 'b']) as x,", "the table has 1 rows: 2"),
]
FAILED_CHECKS = Counter(mart for mart, *_ in FAULTS) + Counter(["time_split"])  # two rows are equal keys, too


@pytest.fixture(scope="module")
def invalid_marts(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The validation of a home with all faults: what it `printed`, its `page` and the `suites` of its JSON."""
    home = tmp_path_factory.mktemp("invalid")
    write_home(home)
    queries = {mart: ROWS[mart] for mart in FAILED_CHECKS}
    for mart, valid, invalid, _ in FAULTS:
        assert valid in queries[mart]
        queries[mart] = queries[mart].replace(valid, invalid, 1)
    for mart, query in queries.items():
        write_mart(home, mart, query)
    with mock.patch.dict(os.environ), contextlib.redirect_stdout(io.StringIO()) as printed:
        os.environ["SEGUE_HOME"] = str(home)
        assert main(["--as-of", AS_OF, "--stage", "marts"]) == 1
    site = home / "reports" / "data_docs" / "marts"
    suites = {one["suite"]: one for one in json.loads((site / "outcome.json").read_text())["suites"]}
    return SimpleNamespace(printed=printed.getvalue(), page=(site / "outcome.html").read_text(), suites=suites)


@pytest.mark.parametrize(("mart", "expectation"), [(mart, expectation) for mart, _, _, expectation in FAULTS])
def test_invalid_mart_fails_its_expectation(invalid_marts: SimpleNamespace, mart: str, expectation: str) -> None:
    lines = invalid_marts.printed.split(f"FAILED {mart}:")[1].splitlines()[1:]
    failed = [*itertools.takewhile(lambda line: line.startswith("       "), lines)]
    assert any(line.startswith(f"       failed: {expectation}") for line in failed)
    assert f'<details open id="{mart}">' in invalid_marts.page
    checks = [check for check in invalid_marts.suites[mart]["checks"] if not check["is_passed"]]
    assert len(checks) == FAILED_CHECKS[mart] and all(check["observed"] for check in checks)


def test_rows_of_earlier_weeks_are_not_validated_again(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise the cost of a day would grow with the history; old rows were validated when they were new."""
    invalid = ROWS["plays"].replace("0 as play_number", "-1 as play_number").replace("'e' as", "'f' as")
    arguments = ["--as-of", AS_OF, "--stage", "marts"]
    write_mart(home, "plays", f"{ROWS['plays']} union all {invalid.replace('2026-06-0', '2026-04-0')}")
    assert main(arguments) == 0
    write_mart(home, "plays", f"{ROWS['plays']} union all {invalid}")
    assert main(arguments) == 1
    assert "play_number is at least 0" in capsys.readouterr().out


def test_first_events_of_as_of_are_not_a_day(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run after midnight also lands what has happened since."""
    first = (
        f"timestamp '{AS_OF} 00:00:01' as ended_at, timestamp '{AS_OF}' as occurred_at, 'new' || event_id as event_id"
    )
    columns = "event_id, user_id, ended_at, occurred_at, sequence_number, action, target_type, target_id, played_ms"
    columns += ", position, propensity"
    rows = f"select * replace ({first}) from ({EVENTS}) limit 5"
    write_landing(home, f"select {columns} from ({EVENTS}) union all select {columns} from ({rows})")
    assert main(["--as-of", AS_OF, "--stage", "landed"]) == 0, capsys.readouterr().out
    assert main(["--as-of", "2026-06-01", "--stage", "landed"]) == 2


@pytest.mark.parametrize(
    ("stage", "as_of", "metric"),
    [
        ("landed", "2026-06-14", "hours before as of"),
        ("marts", "2026-06-14", "hours before as of if daily"),
        ("marts", "2026-06-08", "hours before as of"),
    ],
)
def test_events_must_be_recent_and_before_as_of(
    home: Path, capsys: pytest.CaptureFixture[str], stage: str, as_of: str, metric: str
) -> None:
    assert main(["--as-of", as_of, "--stage", stage]) == 1
    assert f"failed: {metric} is at " in capsys.readouterr().out


LAST_DAY = "ended_at >= timestamp '2026-06-09'"


@pytest.mark.parametrize(
    ("rows", "code", "printed"),
    [
        (f"select * from ({EVENTS}) where not {LAST_DAY} or event_id[-1:] = '1'", 1, "volume ratio is 0.2 to 5: "),
        (
            f"select * replace (if({LAST_DAY}, 'click', action) as action) from ({EVENTS})",
            1,
            "action drift is 0 to 0.2: ",
        ),
        (
            f"select * replace (if({LAST_DAY}, 900000, played_ms) as played_ms) from ({EVENTS})",
            1,
            "length drift is 0 to 0.25: ",
        ),
        (f"select * from ({EVENTS}) where event_number % 10 = 0", 0, "not enough data"),
    ],
    ids=["few events", "actions", "lengths", "too few to compare"],
)
def test_the_newest_day_is_compared_with_the_week_before(
    home: Path, capsys: pytest.CaptureFixture[str], rows: str, code: int, printed: str
) -> None:
    write_mart(home, "events", rows)
    assert main(["--as-of", AS_OF, "--stage", "marts"]) == code
    assert printed in capsys.readouterr().out


@pytest.mark.parametrize(("bots", "code"), [(10, 0), (12, 1)])
def test_many_excluded_users_fail(home: Path, capsys: pytest.CaptureFixture[str], bots: int, code: int) -> None:
    write_mart(home, "events", EVENTS.replace("i % 50", "i % 200"))
    excluded = ROWS["excluded_user_days"].replace("where false", "")
    write_mart(
        home, "excluded_user_days", f"select * replace ('b' || i as user_id) from ({excluded}), range({bots}) as t(i)"
    )
    assert main(["--as-of", AS_OF, "--stage", "marts"]) == code
    assert ("excluded user share is 0 to 0.05: " in capsys.readouterr().out) == bool(code)


def test_historical_load_is_one_batch_of_any_age(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_landing(home, EVENTS, monthly=True)
    assert [main(["--as-of", "2026-12-01", "--stage", stage]) for stage in ("landed", "marts")] == [0, 0]
    assert "a historical load is one batch" in capsys.readouterr().out


def test_missing_table_is_reported_with_the_remedy(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "marts" / "likes.parquet").unlink()
    assert main(["--as-of", AS_OF, "--stage", "marts"]) == 2
    assert "likes.parquet does not exist; run `dbt build" in capsys.readouterr().err
    assert "likes.parquet does not exist" in (home / "reports" / "data_docs" / "marts" / "outcome.html").read_text()


def write_content(home: Path, *others: tuple[str, object]) -> None:
    """Write the vectors of tracks: a valid one, and for each of `others` one with another value in a column."""
    row = {"track_id": "t", "encoder": "audio", "encoder_version": "v", "content_hash": "0" * 64}
    row |= {"embedding": [0.5] * 200, "tag_probabilities": [0.5] * 50}
    rows = [row, *(row | {"track_id": f"t{number}", column: value} for number, (column, value) in enumerate(others))]
    (home / "marts").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, CONTENT_SCHEMA), home / "marts" / "track_content_audio.parquet")


def test_encoded_content_is_validated(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--as-of", AS_OF, "--stage", "content"]) == 2
    write_content(empty_home, ("track_id", "s"))
    pq.write_table(CONTENT_SCHEMA.empty_table(), empty_home / "marts" / "track_content_image.parquet")
    assert main(["--as-of", AS_OF, "--stage", "content"]) == 0
    assert capsys.readouterr().out.startswith("ok     track_content_audio:")


def test_every_invalid_vector_fails(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_content(
        empty_home,
        ("embedding", [0.5] * 199),
        ("embedding", [*[0.5] * 199, float("nan")]),
        ("embedding", [*[0.5] * 199, None]),
        ("tag_probabilities", [1.5] * 50),
        ("tag_probabilities", None),
        ("music_probability", 1.5),
        ("content_hash", "x"),
        ("encoder", "smell"),
        ("encoder_version", "w"),
        ("track_id", "t"),
    )
    assert main(["--as-of", AS_OF, "--stage", "content"]) == 1
    assert re.findall(r"failed: (\w+(?: \w+)?) .*: (\d)", capsys.readouterr().out) == [
        ("duplicate keys", "1"),
        ("encoder is", "1"),
        ("content_hash matches", "1"),
        ("encoder versions", "2"),
        ("wrong embeddings", "3"),
        ("wrong probabilities", "2"),
        ("music_probability is", "1"),
    ]
