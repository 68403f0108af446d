"""Commands in the documentation, and the test that executes each.

`tests/e2e/test_pipeline.py` runs the commands in `QUICK` literally on its own services. Slow commands and services are executed
by the test that `ELSEWHERE` names.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from config import settings
from tests.support.pipeline_commands import run_to_end

PAGES = (
    "README.md",
    "docs/tutorial.md",
    "docs/feast.md",
    "docs/deployment.md",
    "docs/api.md",
    "docs/data.md",
    "docs/music_server.md",
    "serving/README.md",
)
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:make [a-z]|python -m |curl |bentoml )\S.*")
BINARIES = f"{Path(sys.executable).parent}/"

QUICK = (
    """curl -s localhost:3000/recommend -H 'content-type: application/json' -d '{"user_id": "u1", "scene": "private_fm"}'""",
    """curl -s localhost:3000/recommend -H 'content-type: application/json' -d '{"user_id": "u1", "scene": "private_fm", "debug": true}'""",
    """curl -s localhost:3000/similar -H 'content-type: application/json' -d '{"track_id": "t1", "limit": 5}'""",
    """curl -s localhost:3000/recommend -H 'content-type: application/json' -d '{"seeds": ["t1", "t2"], "title": "Quiet night", "limit": 5}'""",  # noqa: E501
    """curl -s localhost:3000/path -H 'content-type: application/json' -d '{"from": "t1", "to": "t2", "length": 5}'""",
    """curl -s localhost:3000/events -H 'content-type: application/json' -d '{"events": [{"user_id": "u1", "action": "like", "target_type": "track", "target_id": "t1"}]}'""",  # noqa: E501
    "python -m local.environment python -m releases list",
    "make serve",
)

ELSEWHERE = {
    "SEGUE_WORKERS=2 python -m serving": "integration/serving/test_recommender_with_workers.py",
    "python -m privacy.erase USER": "integration/privacy/test_erase_user.py",
    "python -m privacy.erase USER --anyway": "integration/privacy/test_erase_user.py",
    "python -m privacy.erase USER --lift": "integration/privacy/test_erase_user.py",
    "python -m privacy.erase --suppressed": "integration/local/test_backup.py",
    "python -m local.migrate": "unit/local/test_migrate.py",
    "make backup": "integration/local/test_backup.py",
    "make backup TO=/backups/monday": "integration/local/test_backup.py",
    "make prune": "unit/local/test_retention.py",
    "make prune DRY_RUN=1": "unit/local/test_retention.py",
    "make restore FROM=/backups/monday SUPPRESSION=/old/suppression_list.json": "integration/local/test_backup.py",
    "SEGUE_RELEASE_PRIVATE_KEY=release.pem python -m local.environment python -m releases sign ID": "integration/training/release/test_release.py",  # noqa: E501
    "python -m local.publish_marts": "integration/storage/test_tables.py",
    "python -m ingestion.land MUSIC": "unit/ingestion/test_landing_zone.py",
    "python -m ingestion.land --server": "integration/serving/test_music_server.py",
    "python -m ingestion.land --user anna scrobbles.csv": "unit/ingestion/readers/test_mapped_csv.py",
    "python -m serving.batch.playlists": "integration/serving/test_music_server.py",
    "make run": "e2e/test_pipeline.py",
    "make run RECIPE=debug": "e2e/test_pipeline.py",
    "make stop": "e2e/test_pipeline.py",
    "make clean": "contract/serving/test_newcomer_mistakes.py",
    "make test": "e2e/test_pipeline.py",
    "SEGUE_AIRFLOW_PORT=8081 make run": "e2e/test_pipeline.py",
    "make run AS_OF=2026-06-30": "e2e/test_pipeline.py",
    "make run LOGS=PATH": "e2e/test_acceptance.py",
    "make run LOGS=my_data.zip": "e2e/test_acceptance.py",
    "SEGUE_HOME=var/mine make run LOGS=my_data.zip": "e2e/test_acceptance.py",
    "make bench ONLY=land_memory_play_log": "unit/research/test_landing.py",
    "python -m local.environment python -m sequences.online.materialize --as-of 2026-06-30 --force": (
        "integration/sequences/online/test_materialize.py"
    ),
    "python -m local.environment python -m releases canary ID --share 0.1": "integration/training/release/test_release.py",
    'python -m local.environment python -m releases canary ID --share 0.1 --experiment "more discoveries"': "integration/training/release/test_release.py",  # noqa: E501
    "python -m local.environment python -m releases end": "integration/training/release/test_release.py",
    "python -m local.environment python -m releases activate ID": "integration/training/release/test_release.py",
    "python -m local.environment python -m releases rollback": "integration/training/release/test_release.py",
    'SEGUE_HOME=var/mine python -m local.environment python -m training.release --force --reason "my own listening"': "integration/training/release/test_release.py",  # noqa: E501
    "SEGUE_HOME=var/mine make serve": "e2e/test_pipeline.py",
    "python -m serving": "contract/serving/test_service.py",
    "python -m serving.batch --scene daily --out FOLDER": "unit/serving/batch/test_batch.py",
    "BENTOML_HOME=$SEGUE_HOME/bentoml bentoml build": "integration/serving/test_bento_build.py",
    "python -m local.environment feast -c feature_repo apply": "integration/feature_repo/test_feast_commands.py",
    "python -m local.environment feast -c feature_repo materialize-incremental $(python -m ingestion.as_of)T00:00:00": "integration/feature_repo/test_feast_commands.py",  # noqa: E501
    "python -m local.environment feast -c feature_repo get-online-features --entities user_id=u1 --features recent_events:track_id": "integration/feature_repo/test_feast_commands.py",  # noqa: E501
    """python -m local.environment feast -c feature_repo get-historical-features --dataframe '[{"user_id": "u1", "event_timestamp": "'$(python -m ingestion.as_of)'T00:00:00"}]' --features recent_events:track_id --features user_profile:plays_total""": "integration/feature_repo/test_feast_commands.py",  # noqa: E501
    "python -m local.environment feast -c feature_repo serve --port 6566": "integration/feature_repo/test_feast_commands.py",
    """curl -s localhost:6566/get-online-features -H 'content-type: application/json' -d '{"features": ["recent_events:track_id", "recent_events:played_ratio"], "entities": {"user_id": ["u1"]}}'""": "integration/feature_repo/test_feast_commands.py",  # noqa: E501
    "python -m local.environment feast -c feature_repo ui --host 127.0.0.1 --port 8888": "integration/feature_repo/test_feast_commands.py",
    "python -m local.environment feast -c feature_repo serve_registry --port 6570": "integration/feature_repo/test_feast_commands.py",
    "python -m local.environment python docs/feast_example.py": "integration/feature_repo/test_feast_commands.py",
    "bentoml serve segue:latest": "integration/serving/test_bento_build.py",
    """curl -sf -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d "$run" $airflow/api/v2/dags/ingest_listening_logs/dagRuns""": "e2e/test_compose.py",  # noqa: E501
    """curl -sf -H "Authorization: Bearer $token" "$airflow/api/v2/dags/~/dagRuns?order_by=-start_date&limit=4\"""": "e2e/test_compose.py",
}  # fmt: skip


def commands(page: str) -> list[str]:
    """Commands on a page, in code blocks and inline code, without trailing comments."""
    text = (settings.ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, flags=re.DOTALL)
    without_blocks = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    shown = [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", without_blocks)
    lines = [" ".join(re.sub(r"\s{2,}# .*", "", line).split()) for line in shown]
    return [line for line in lines if COMMAND.fullmatch(line)]


def run_command(command: str, environment: Mapping[str, str], port: str, folder: Path = settings.ROOT) -> str:
    """Output of a documented command, run by a shell in `folder` with the port of the service replaced.

    For a make target the commands that `make` prints are run, with the current Python; nothing is installed.
    """
    program, *arguments = shlex.split(command)
    script = (
        _make_commands(arguments, environment)
        if program == "make"
        else command.replace("localhost:3000", f"localhost:{port}")
    )
    return run_to_end(
        ["bash", "-euc", script], {**environment, "PATH": f"{BINARIES}:{environment['PATH']}"}, folder=folder
    )


def _make_commands(arguments: list[str], environment: Mapping[str, str]) -> str:
    command = ["make", "--dry-run", "--no-print-directory", "--assume-old", ".venv/stamp", *arguments]
    # Without the variables of an outer make, which may run this test.
    variables = {name: value for name, value in environment.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return run_to_end(command, variables).replace(".venv/bin/", BINARIES)
