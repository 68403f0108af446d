"""The table of pipeline tasks: command, description, remedy and result page of each.

Used by the DAGs (`task_factory.py`) and by the lines of progress of `make pipeline` (`local/dag_runs.py`). Imports nothing but
the standard library, so that it can be read without Airflow.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

PIPELINE_DAGS = ("ingest_listening_logs", "build_features", "train_models", "release_models")
"""The DAGs of the pipeline in order; each triggers the next through an asset."""

RECIPES = ("debug", "small", "full")
ENCODERS = ("audio", "image", "text")
"""Encoders that `python -m training.encode_content` runs."""

BATCH_SCENES = ("daily", "private_fm", "playlists", "mlog")
"""Scenes of the recommender, whose lists `python -m serving.batch` writes."""

MODEL_KINDS = ("channel", "collection", "ranker", "head")
"""Kinds of models that `python -m training.train` fits."""

PAGE_NAMES = {
    "dbt/target/static_index.html": "dbt docs",
    "mlflow": "Runs in MLflow",
    "quality": "Quality of the marts",
    "releases": "Releases",
    "reports/data_docs/content/outcome.html": "Validation of content",
    "reports/data_docs/landed/outcome.html": "Validation of landed events",
    "reports/data_docs/marts/outcome.html": "Validation of marts",
    "reports/evaluation.html": "Evaluation report",
    "reports/experiment.html": "Experiment report",
    "reports/skew.json": "Skew report",
}
"""Result page → what it shows."""
RERUN = "Then clear this task."
TRIGGER_INGESTION = "Then trigger `ingest_listening_logs`; unchanged work is not repeated."


@dataclass(frozen=True)
class Task:
    """One task of the pipeline.

    Attributes:
        name: Task id without its task group.
        description: What the task does, as Markdown.
        remedy: What to correct after a failure.
        page: Page with the result, a path of the console (`console/server.py`). Empty if the task has no result to show.
        command: Shell command, run from the repository root. Parameters are environment variables: AS_OF, RECIPE, LOGS,
            NAME (model or encoder) and FIT ("held_out" or "final"). Empty for tasks that are not commands.
        rerun: How to continue in Airflow after the correction.
        short: Description of a few words for the terminal; empty if the name says it.
    """

    name: str
    description: str
    remedy: str
    page: str = ""
    command: str = ""
    rerun: str = RERUN
    short: str = ""

    @property
    def locked_command(self) -> str:
        """Shell command that waits until the same command, or one left by a killed try, has ended, and then runs."""
        lock = f'"{self.name}_$NAME"' if "$NAME" in self.command else self.name
        return f"python -m local.process_lock {lock} {self.command}"


def _validation_task(stage: str, subject: str, short: str) -> Task:
    return Task(
        f"validate_{stage}",
        f"Validates {subject} against their Great Expectations suites and renders the data docs. The log lists failed "
        "expectations.",
        "The log and the data docs list every failed expectation. Land the corrected log; if the log ended long ago, set "
        "`as_of` to the day after its last event.",
        f"reports/data_docs/{stage}/outcome.html",
        f'python -m quality.validate --as-of "$AS_OF" --stage {stage}',
        TRIGGER_INGESTION,
        short,
    )


def _training_task(kind: str) -> Task:
    return Task(
        f"train_{kind}",
        f"Fits one {kind}. A killed fit resumes from its last checkpoint; unchanged inputs are not fitted again.",
        "The log ends with the reason. If memory was exhausted, use the recipe `debug` or run fewer tasks in parallel. A "
        "rerun resumes from the last checkpoint.",
        "mlflow",
        f'python -m training.train {kind} "$NAME" --fit "$FIT" --as-of "$AS_OF" --recipe "$RECIPE"',
        short=kind,
    )


def _list_task(kind: str) -> Task:
    return Task(
        f"list_{kind}s",
        f"Lists the requested {kind}s; the next task is mapped over them.",
        "`channels` contains an unknown name. Use names of the table in `recommender/recall/registry.py`."
        if kind == "channel"
        else "The log ends with the reason; no other work is repeated.",
        rerun="Then trigger `ingest_listening_logs` with the corrected names." if kind == "channel" else RERUN,
    )


def _asset_event_task(noun: str) -> Task:
    return Task(
        f"announce_{noun}_ready",
        f"Emits the asset event `{noun}_ready` for this day and recipe.",
        "The log ends with the reason; no other work is repeated.",
    )


_TASKS = (
    Task(
        "request",
        "Resolves the parameters of this run: its own Params take precedence over the Params of the asset event that triggered "
        "it, then the defaults apply.",
        "The log names the value that could not be read. If nothing is landed, trigger `ingest_listening_logs`.",
    ),
    Task(
        "land_logs",
        "Lands `logs`. Without `logs` and without earlier landings, generates and lands the simulated world.",
        "The log names the file and its error. Correct the file or the parameter `logs`; rows are never landed twice.",
        "reports/data_docs/landed/outcome.html",
        'python -m local.land --logs "$LOGS" --recipe "$RECIPE"',
        "Then trigger this DAG again.",
        "listening logs, or the simulated world",
    ),
    Task(
        "land_live_events",
        "Lands the events and impressions that the recommender recorded, which closes the feedback loop.",
        "The log names the file below `SEGUE_HOME/serving`. If the disk is full, free space; rows are never landed twice.",
        "reports/data_docs/landed/outcome.html",
        "python -m local.land --events",
        short="events that the recommender recorded",
    ),
    Task(
        "land_server_library",
        "Lands the songs of the music server, with its ids. Only if `SEGUE_SUBSONIC_URL` is set.",
        "The log names the server and its error. Start it, or correct the settings `SEGUE_SUBSONIC_...`.",
        "quality",
        "python -m ingestion.land --server",
        short="songs of the music server",
    ),
    _validation_task("landed", "the newest landed events", "expectations on the newest events, data docs"),
    Task(
        "marts_are_free",
        "Waits while models are trained or released from the current marts.",
        "A run of `train_models` or `release_models` has been active for a day. End it.",
    ),
    Task(
        "build_marts",
        "Builds and tests every dbt model and publishes the marts as Parquet.",
        "The log names the failed model or test. Correct it, or land the corrected log; the previous marts stay published.",
        "quality",
        # Unit tests have inputs of their own; tests/integration/dbt runs them.
        "dbt build --project-dir dbt --exclude-resource-type unit_test --vars \"{as_of: '$AS_OF'}\"",
        short="every dbt model, tested and published as marts",
    ),
    Task(
        "publish_marts",
        "Publishes marts that dbt cannot publish itself: built by Spark, or stored on object storage.",
        "The log ends with the reason. If the disk is full, free space; if object storage is down, start it. The previous "
        "marts stay published.",
        "quality",
        "python -m local.publish_marts",
        short="marts built by Spark or stored on object storage",
    ),
    Task(
        "document_marts",
        "Renders the dbt docs: every model, its columns, tests and lineage.",
        "The log ends with the reason. No other task depends on this one.",
        "dbt/target/static_index.html",
        # With other variables than the build, dbt would parse all files again.
        "dbt docs generate --project-dir dbt --static --no-compile --vars \"{as_of: '$AS_OF'}\"",
        short="dbt docs: models, columns, tests, lineage",
    ),
    _validation_task("marts", "the published marts", "expectations on the marts, data docs"),
    Task(
        "list_encoders",
        "Lists the encoders; the next task is mapped over them.",
        "The log ends with the reason; no other work is repeated.",
    ),
    Task(
        "encode_content",
        "Turns audio files, covers and texts of tracks into vectors, the most played first, and publishes them. A killed run "
        "continues where it was; `debug` and `small` encode a limited number, and `encode_remaining_content` the rest.",
        "The log ends with the reason. Files that cannot be encoded do not fail the task; they are listed in "
        "`SEGUE_HOME/content`. If media folders were moved, land them again. A rerun continues where this one ended.",
        "reports/data_docs/content/outcome.html",
        'python -m training.encode_content --encoder "$NAME" --recipe "$RECIPE"',
        short="vectors of audio, covers and texts",
    ),
    Task(
        "encode_remaining",
        "Turns audio files, covers and texts of tracks that the last run has left into vectors, which the next run publishes.",
        "The log ends with the reason. Nothing else depends on this task: the next run continues where it ended.",
        "reports/data_docs/content/outcome.html",
        'nice -n 19 python -m training.encode_content --encoder "$NAME" --cache-only',
    ),
    _validation_task("content", "the vectors of tracks", "expectations on the vectors, data docs"),
    Task(
        "apply_features",
        "Registers entities, feature views and feature services with Feast.",
        "The log names the error in `feature_repo/`, or the online store is down: start it.",
        "",
        "python -m sequences.feast_command -c feature_repo apply",
        short="entities, feature views, feature services",
    ),
    Task(
        "materialize",
        "Writes the newest features and sequences of every user to the online store.",
        "If the online store is down, start it. If it holds a later day, run `python -m local.environment python -m "
        "sequences.online.materialize --as-of DAY --force`.",
        "",
        'python -m sequences.online.materialize --as-of "$AS_OF"',
        short="newest features to the online store",
    ),
    Task(
        "compare_features",
        "Compares the features that the day's requests read online with those that training reads (training/serving skew); "
        "fails if they differ, or if none could be compared.",
        "The report lists view, attribute and reason of each difference. Correct that code. If none could be compared, the log "
        "says what to start or to land. No other task depends on this one.",
        "reports/skew.json",
        'python -m sequences.skew --as-of "$AS_OF"',
    ),
    Task(
        "prepare",
        "Reads the marts, builds the vocabulary, and records the hash of all training inputs.",
        "The log ends with the reason. If the marts are missing, trigger `ingest_listening_logs`.",
        "",
        'python -m training.prepare --as-of "$AS_OF" --recipe "$RECIPE"',
        short="vocabulary, catalog, hash of all inputs",
    ),
    Task(
        "list_models",
        "Reads the tables of trainable models.",
        "The log names the file in `training/` that cannot be imported. Correct it.",
    ),
    *map(_list_task, MODEL_KINDS),
    *map(_training_task, MODEL_KINDS),
    Task(
        "evaluate",
        "Compares every channel, the fused order, the heuristic baselines and the rankers on the test part and writes the "
        "report.",
        "The log ends with the reason. If a model is missing, clear its training task.",
        "reports/evaluation.html",
        'python -m training.evaluate --as-of "$AS_OF" --recipe "$RECIPE"',
        short="channels and rankers against the baselines, on held-out time",
    ),
    Task(
        "report_experiment",
        "Compares the releases of the newest A/B test; fails on a sample-ratio mismatch.",
        "Users are not assigned in the configured proportions: do not trust a comparison of these releases, and check the "
        "active release and the canaries with `set_release`. No other task depends on this one.",
        "reports/experiment.html",
        "python -m experiments",
    ),
    Task(
        "measure_behavior",
        "Measures how the refitted models answer to skips, dislikes, likes and plays, how lists are spaced and whether "
        "reasons are true, and adds the chapter *Behavior* to the evaluation report.",
        "The log ends with the reason. If the evaluation belongs to other models, trigger `ingest_listening_logs`; unchanged "
        "work is not repeated.",
        "reports/evaluation.html",
        'python -m served_behavior --as-of "$AS_OF" --recipe "$RECIPE"',
        short="responses to skips, likes and plays",
    ),
    Task(
        "release",
        "Checks the refitted models against the release gate and stores them as a release; the recommender loads it within "
        "a second.",
        "The log states the reason; the active release keeps serving. If the gate rejected the release, its slate is "
        "worse than the slate of the active release or of the best heuristic baseline: read the evaluation report, then train "
        "on more or corrected logs, or override the gate as described in the documentation of the DAG. If the evaluation "
        "belongs to other models, trigger `ingest_listening_logs`; unchanged work is not repeated.",
        "releases",
        'python -m training.release --as-of "$AS_OF" --recipe "$RECIPE"',
        short="release gate and model store",
    ),
    Task(
        "write_playlists",
        "Writes the daily list and new music of each listener into the music server, as playlists. Only if "
        "`SEGUE_SUBSONIC_URL` is set; also if no release was made, from the active one.",
        "The log names the server and its error. Start it, or correct the settings `SEGUE_SUBSONIC_...`. No other task depends on "
        "this one.",
        "",
        "python -m serving.batch.playlists",
        short="playlists in the music server",
    ),
    Task(
        "read_parameters",
        "Reads the Params for the environment of the command; empty if not given.",
        "A Param is not valid; the table in the documentation of the DAG lists valid values.",
        rerun="Then trigger this DAG again.",
    ),
    Task(
        "set_release",
        "Changes the active release and the canaries, and prints them.",
        "Nothing was changed. The log names the invalid value; action `list` prints the stored releases.",
        "releases",
        'python -m releases "$ACTION" ${RELEASE:+"$RELEASE"} ${SHARE:+--share "$SHARE"}',
        "Then trigger this DAG again.",
    ),
    Task(
        "prune",
        "Removes what is older than its lifetime and needed neither by a served release nor by a rollback.",
        "The log ends with the reason; what was removed stays removed. If MLflow's database is locked, run it again.",
        "",
        "python -m local.retention ${DRY_RUN:+--dry-run}",
        "Then trigger this DAG again.",
    ),
    Task(
        "read_scene",
        "Reads SCENE and DAY for the environment of the command.",
        "The Param is not one of the scenes.",
        rerun="Then trigger this DAG again.",
    ),
    Task(
        "write_lists",
        "Writes the list of the scene for every user, and the embeddings of users and items, as Parquet files.",
        "The log ends with the reason. If no release is active, run the pipeline; if the online store is down, start it. A "
        "rerun continues after the finished parts.",
        "",
        'python -m serving.batch --scene "$SCENE" --out "$SEGUE_HOME/batch/$SCENE/dt=$DAY"',
    ),
    *map(_asset_event_task, ("events", "features", "models", "release")),
)

TASKS = {task.name: task for task in _TASKS}
"""Task name → task."""

DAG_REMEDY_DOC = """
#### When a task fails
Open the failed task: the last line of its log and its documentation say how to correct the failure; *Result* links to its
output. Then clear the task. Finished tasks are not repeated, the pipeline continues from there, and the active release
keeps serving.
"""


def console_url(page: str) -> str:
    """Address of a page of the console, as the user's browser reaches it."""
    host = os.environ.get("SEGUE_HOST") or "127.0.0.1"
    # A container listens on all interfaces; its ports are published on the loopback interface of the user's machine.
    reachable_host = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{reachable_host}:{os.environ.get('SEGUE_CONSOLE_PORT') or 8090}/{page}"


def format_task_documentation(name: str) -> str:
    """Documentation of a task for the Airflow UI: description, result and remedy, as Markdown."""
    task = TASKS[name]
    result = f"\n\n**Result:** [{PAGE_NAMES[task.page]}]({console_url(task.page)})" if task.page else ""
    return f"{task.description}{result}\n\n**If it fails:** {task.remedy} {task.rerun}"
