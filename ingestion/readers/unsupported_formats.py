"""Files that are known here and cannot be read soundly, and why: who lands one is told, not left to guess.

Knows nothing about how to read them.
"""

from __future__ import annotations

import io

from ingestion.readers.parsing import column_mapping, delimited
from ingestion.sources import READ_ERRORS, Member

PARQUET_MAGIC = b"PAR1"
TABLE_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
KKBOX_PLAYS = {"msno", "song_id", "source_system_tab"}
KKBOX_DAYS = {"msno", "date", "num_25", "num_unq"}
UNSUPPORTED_REASONS = {
    frozenset(KKBOX_PLAYS): (
        "is KKBox's of the WSDM Cup 2018 (music recommendation): its rows have no time, so there are no sequences in it to learn"
    ),
    frozenset(KKBOX_DAYS): (
        "is KKBox's of the WSDM Cup 2018 (churn): it counts the plays of a day and does not say of which songs"
    ),
}


def explain_unsupported(files: list[Member]) -> str | None:
    """What one of the files is and why it cannot be landed; None if none of them is known."""
    for member in files:
        if member.file.endswith(".zip"):
            return f"{member.name} is a zip within a zip; unpack the outer one and land its folder"
        if member.file.endswith((".csv", ".csv.gz")):
            columns = set(delimited.read_header(member, ","))
            for wanted, reason in UNSUPPORTED_REASONS.items():
                if wanted <= columns:
                    return f"{member.name} {reason}; land a log that says who played what, and when"
    if table := next((member.name for member in files if member.file.endswith(TABLE_SUFFIXES)), None):
        return (
            f"nothing says what the columns of {table} mean; write {column_mapping.MAPPING_FILE} beside it, as "
            "ingestion/readers/parsing/column_mapping.py shows, and land the folder of both"
        )
    return None


def find_truncated(files: list[Member]) -> str | None:
    """Which of the files is half a Parquet file: nobody can tell what it holds; None if each is whole."""
    for member in files:
        if member.file.endswith(".parquet") and not _is_whole(member):
            return f"{member.name} is damaged (a Parquet file without its end); get the file again"
    return None


def _is_whole(member: Member) -> bool:
    try:
        with member.opener() as file:
            file.seek(-len(PARQUET_MAGIC), io.SEEK_END)
            return file.read() == PARQUET_MAGIC
    except (*READ_ERRORS, ValueError):
        return False
