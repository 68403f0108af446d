"""Recognizes files that cannot be landed, so that the error message can explain why."""

from __future__ import annotations

import io

from ingestion.readers.parsing import column_mapping, delimited
from ingestion.source_files import READ_ERRORS, Member

PARQUET_MAGIC = b"PAR1"
TABLE_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
KKBOX_PLAYS = {"msno", "song_id", "source_system_tab"}
KKBOX_DAYS = {"msno", "date", "num_25", "num_unq"}
UNSUPPORTED_REASONS = {
    frozenset(KKBOX_PLAYS): (
        "is from KKBox's WSDM Cup 2018 data (music recommendation): its rows have no time, so it contains no sequences"
    ),
    frozenset(KKBOX_DAYS): (
        "is from KKBox's WSDM Cup 2018 data (churn): it counts plays per day and does not name the songs"
    ),
}


def explain_unsupported(files: list[Member]) -> str | None:
    """Why the files cannot be landed, from the first one that is recognized; None if none is."""
    for member in files:
        if member.file.endswith(".zip"):
            return f"{member.name} is a zip within a zip; unpack the outer one and land its folder"
        if member.file.endswith((".csv", ".csv.gz")):
            columns = set(delimited.read_header(member, ","))
            for unsupported_columns, reason in UNSUPPORTED_REASONS.items():
                if unsupported_columns <= columns:
                    return f"{member.name} {reason}; land a log with users, tracks and times"
    if table := next((member.name for member in files if member.file.endswith(TABLE_SUFFIXES)), None):
        return (
            f"the columns of {table} are unknown; write a {column_mapping.MAPPING_FILE} in the same folder (see "
            f"{column_mapping.GUIDE}) and land the folder"
        )
    return None


def find_truncated(files: list[Member]) -> str | None:
    """Error message for the first truncated Parquet file, whose content cannot be determined; None if there is none."""
    for member in files:
        if member.file.endswith(".parquet") and not _is_whole(member):
            return f"{member.name} is damaged (a Parquet file without its footer); get the file again"
    return None


def _is_whole(member: Member) -> bool:
    try:
        with member.opener() as file:
            file.seek(-len(PARQUET_MAGIC), io.SEEK_END)
            return file.read() == PARQUET_MAGIC
    except (*READ_ERRORS, ValueError):
        return False
