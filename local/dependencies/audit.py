"""`python -m local.dependencies.audit PIP_AUDIT LOCK`: known vulnerabilities of the locked packages, from pip-audit.

Exit codes: 0 no known vulnerability, 1 vulnerabilities, 3 the vulnerability service did not answer for every package. pip-audit
itself reports "no known vulnerabilities" for packages that the service does not know, as all are behind a mirror without it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

VULNERABLE, NOT_AUDITED = 1, 3
TIMEOUT_S = 600
OPTIONS = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")


def describe(report: dict[str, Any]) -> tuple[int, str]:
    """Exit code and text of a report of pip-audit."""
    packages = report["dependencies"]
    skipped = [one for one in packages if "skip_reason" in one]
    vulnerabilities = [
        f"{one['name']} {one['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no version yet'}"
        for one in packages
        for found in one.get("vulns", [])
    ]
    lines = [
        *vulnerabilities,
        f"{len(vulnerabilities)} known vulnerabilities in {len(packages) - len(skipped)} audited packages",
    ]
    if skipped:
        reason = skipped[0]["skip_reason"]
        lines.append(f"NOT AUDITED: {len(skipped)} of {len(packages)} packages, for example because: {reason}")
    return VULNERABLE if vulnerabilities else NOT_AUDITED if skipped else 0, "\n".join(lines)


def pinned_requirements(lock: str, torch_version: str) -> str:
    """The pins of a lock file, with the installed torch in place of its range."""
    pins = [line for line in lock.splitlines() if "==" in line and not line.startswith("#")]
    return "\n".join([*pins, f"torch=={torch_version.partition('+')[0]}", ""])


def audit(pip_audit: str, lock: Path) -> tuple[int, str]:
    """Run pip-audit on a lock file; return exit code and text."""
    with tempfile.TemporaryDirectory() as folder:
        requirements, output = Path(folder) / "requirements.txt", Path(folder) / "report.json"
        requirements.write_text(
            pinned_requirements(lock.read_text(encoding="utf-8"), version("torch")), encoding="utf-8"
        )
        command = [pip_audit, *OPTIONS, "--requirement", str(requirements), "--output", str(output)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return (
                NOT_AUDITED,
                f"NOT AUDITED: the vulnerability service did not answer within {TIMEOUT_S} s; try again later",
            )
        if not output.exists():
            last_line = (done.stderr.strip().splitlines() or ["no output"])[-1]
            return NOT_AUDITED, (
                f"NOT AUDITED: pip-audit wrote no report ({last_line[:200]}); if the vulnerability service cannot be reached from "
                "here, run `make audit` on a machine that reaches it"
            )
        return describe(json.loads(output.read_text(encoding="utf-8")))


def main() -> int:
    """Print the vulnerabilities and return the exit code."""
    code, text = audit(sys.argv[1], Path(sys.argv[2]))
    print(text, file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
