"""Public logs that are known here and cannot be read soundly, and why: who lands one is told, not left to guess.

Knows nothing about how to read them.
"""

from __future__ import annotations

from ingestion.readers import delimited
from ingestion.sources import Member

KKBOX_PLAYS = {"msno", "song_id", "source_system_tab"}
KKBOX_DAYS = {"msno", "date", "num_25", "num_unq"}
WHY = {
    frozenset(KKBOX_PLAYS): (
        "is KKBox's of the WSDM Cup 2018 (music recommendation): its rows have no time, so there are no sequences in it to learn"
    ),
    frozenset(KKBOX_DAYS): (
        "is KKBox's of the WSDM Cup 2018 (churn): it counts the plays of a day and does not say of which songs"
    ),
}


def why(files: list[Member]) -> str | None:
    """What one of the files is and why it cannot be landed; None if none of them is known."""
    for member in files:
        if member.file.endswith((".csv", ".csv.gz")):
            columns = set(delimited.header(member, ","))
            for wanted, reason in WHY.items():
                if wanted <= columns:
                    return f"{member.name} {reason}; land a log that says who played what, and when"
    return None
