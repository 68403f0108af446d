"""### Encode the content that a run has left

The recipes `debug` and `small` encode a limited number of audio files, covers and texts in a run, so that it stays short.
When its release is ready, this DAG encodes the rest, one encoder after the other, at the lowest priority of the processor.
The next run publishes the vectors. Nothing waits for this DAG; it may be stopped at any time, and a rerun continues.
"""

from airflow.sdk import DAG, PartitionedAssetTimetable
from dag_defaults import DAG_ARGUMENTS, RELEASE
from task_catalog import DAG_REMEDY_DOC
from task_factory import create_encoding_task, resolve_run_parameters

with DAG(
    "encode_remaining_content",
    schedule=PartitionedAssetTimetable(assets=RELEASE),
    doc_md=f"{__doc__}{DAG_REMEDY_DOC}",
    **DAG_ARGUMENTS,
):
    create_encoding_task("encode_remaining", resolve_run_parameters(are_events_landed=True), parallel_tasks=1)
