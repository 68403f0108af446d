"""What to do when a task failed: stands under its documentation in the UI, and last in its log.

Knows words only.
"""

from __future__ import annotations

TRAINING_REMEDY = (
    "the log ends with the reason. Clear this task: it goes on from its last checkpoint. No memory left: the recipe `debug`, or "
    "fewer tasks at a time."
)
VALIDATION_REMEDY = (
    "each failed expectation stands in the log and in the data docs. Land the corrected log and trigger `ingest_listening_logs`; "
    "for a log that ended long ago set `as_of` to the day after its last event."
)
MODEL_LIST_REMEDY = "the log names the file in `training/` that cannot be imported. Mend it, then clear this task."

REMEDIES = {
    "land_logs": "the log names the file and what is wrong with it. Mend it, or `logs`, and trigger this DAG again: nothing lands twice.",
    "land_live_events": "the log names the file below `SEGUE_HOME/live`. No space left: free some. Clear this task: nothing lands twice.",
    "validate_landed": VALIDATION_REMEDY,
    "marts_are_free": "a run of `train_models` or `release_models` has not ended for a day. End it, then clear this task.",
    "build_marts": "the log names the model or the test. Mend it, or land the corrected log, then clear this task; the old marts stay.",
    "publish_marts": "the log has the reason. No space: free some; object storage away: start it. Clear this task: the old marts stay.",
    "document_marts": "nothing waits for it. The log has the reason; clear this task.",
    "validate_marts": VALIDATION_REMEDY,
    "apply_features": "the log names what is wrong in `feature_repo/`, or the online store does not answer: start it. Clear this task.",
    "materialize": "the online store does not answer: start it and clear this task. It holds a later day: `python -m local.environment "
    "python -m sequences.online.materialize --as-of DAY --force`.",
    "compare_features": "nothing waits for it. The report has view, attribute and reason of each difference: mend that code.",
    "prepare": "the log ends with the reason. No marts: trigger `ingest_listening_logs`. Otherwise clear this task.",
    "train_channel": TRAINING_REMEDY,
    "train_container": TRAINING_REMEDY,
    "train_head": TRAINING_REMEDY,
    "train_ranker": TRAINING_REMEDY,
    "evaluate": "the log ends with the reason. A model is missing: clear its training. Otherwise clear this task.",
    "report_experiment": "nothing waits for it. Users are not divided as asked: trust no comparison of these releases, and look with "
    "`set_release` at what is in service.",
    "release": "the log says why, and production goes on. Refused by the gate: the slate is worse than that of the release in service or "
    "of the best memory. Read the evaluation report; train on more or corrected logs, or overrule the gate as the DAG's text says. An "
    "evaluation of other models: trigger `ingest_listening_logs`, what did not change is not done again.",
    "set_release": "nothing was changed. The log names the wrong value; action `list` says which releases there are. Trigger it again.",
    "request": "the log says what could not be read. Nothing is landed: trigger `ingest_listening_logs`. Otherwise clear this task.",
    "asked": "trigger the DAG again with Params that its table allows.",
    "list_models": MODEL_LIST_REMEDY,
    "list_channels": "a name in `channels` is wrong: trigger `ingest_listening_logs` with names that there are. Otherwise clear this task.",
    **{f"list_{kind}s": "clear this task: nothing else is done again." for kind in ("container", "head", "ranker")},
    **{
        f"announce_{noun}_ready": "clear this task: nothing else is done again."
        for noun in ("events", "features", "models", "release")
    },
}
"""Task, its group left out ▸ the remedy."""

DAG_REMEDY_DOC = """
#### When it fails
Open the red task: the last line of its log says what to do, and so does its documentation; *What it made* leads to what it
left. Then clear that task. What is done stays done, the line goes on from there, and the release in service goes on serving.
"""


def format_task_documentation(doc: str, task_id: str) -> str:
    """What stands under a task's documentation: what it does, and what to do when it failed."""
    return f"{doc}\n\n**If it fails:** {REMEDIES[task_id]}"
