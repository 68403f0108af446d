"""`python3 -I -S local/dependencies/verify_archives.py REPORT LOCK`: compare the archives that pip installed with locked hashes.

REPORT is written by `pip install --report`, LOCK is `requirements.hashes.lock`. pip's own hash checking rejects every package
without a hash, so it cannot install this project in editable mode, nor torch, whose build depends on the machine. With `-I -S`,
Python executes nothing of the packages that were just installed.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

REMEDY = (
    "the package index, a proxy or pip's cache delivered other files than `make lock` has seen; run `pip cache purge` and "
    "`make setup` again, and if the error remains, compare the index with another one before you trust it"
)


def read_locked_hashes(lock: str) -> dict[str, set[str]]:
    """Package (normalized name) → SHA-256 hashes of its archives, of the text of a lock file."""
    hashes: dict[str, set[str]] = {}
    name = ""
    for line in lock.splitlines():
        if match := re.match(r"([A-Za-z0-9][\w.-]*)==", line):
            name = _normalize(match[1])
        hashes.setdefault(name, set()).update(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
    hashes.pop("", None)
    return hashes


def find_wrong_archives(report: dict[str, Any], locked: dict[str, set[str]]) -> tuple[list[str], list[str]]:
    """Compare the archives of a report of pip with locked hashes.

    Returns:
        Packages whose archive is not a locked one, as `name version (hash)`; and packages that the lock does not contain.
    """
    wrong: list[str] = []
    unlocked: list[str] = []
    for entry in report["install"]:
        if "dir_info" in entry["download_info"]:  # the project itself
            continue
        name, version = entry["metadata"]["name"], entry["metadata"]["version"]
        found = entry["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", "no hash")
        if _normalize(name) not in locked:
            unlocked.append(f"{name} {version}")
        elif found not in locked[_normalize(name)]:
            wrong.append(f"{name} {version} ({found})")
    return wrong, unlocked


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Return 1 if an archive differs from the lock."""
    report, lock = (Path(argument).read_text(encoding="utf-8") for argument in sys.argv[1:3])
    wrong, unlocked = find_wrong_archives(json.loads(report), read_locked_hashes(lock))
    if unlocked:
        print(f"Installed without locked hashes: {', '.join(unlocked)}")
    if wrong:
        print(f"Archives that differ from {sys.argv[2]}: {', '.join(wrong)}; {REMEDY}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
