"""Erasure of users from the request log (features of sampled requests) and from the skew report made of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from config import settings
from privacy import json_lines
from sequences.skew.request_log import REQUEST_LOG_PREFIX


def erase_users(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    """Erase the users' logged requests; returns the number of lines per user.

    All examples of the skew report are removed, because they do not name their users.
    """
    erased: Counter[str] = Counter()
    report = here.reports / "skew.json"
    if report.exists():
        draft = report.with_suffix(".partial")
        draft.write_text(json.dumps(json.loads(report.read_text()) | {"examples": []}, indent=2) + "\n")
        draft.replace(report)
    for path in sorted(here.request_log.glob(f"dt=*/{REQUEST_LOG_PREFIX}-*.jsonl")):
        erased += json_lines.erase(path, user_ids)
    return erased
