"""`python -m tests.support.daily_builds HOME STEPS`: apply landing steps to a home, with a `dbt build` after each.

One process for all builds, because starting dbt takes longer than building small marts. `STEPS` is a folder with one JSON
file per step: `{"variables", "add": [[source, path below landing]], "remove": [path below landing], "add_during_build"}`.
The files of `add_during_build` are landed after the build of the step has read the exposures.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, cast

from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.events.base_types import EventMsg

from storage.mart_changes import apply_changes

ARGUMENTS = (
    *("build", "--project-dir", "dbt", "--quiet"),
    *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
)


def add(home: Path, files: list[tuple[str, str]]) -> None:
    """Add landed files."""
    for source, name in files:
        target = home / "landing" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def apply(home: Path, step: dict[str, Any]) -> None:
    """Add and remove landed files before a build."""
    add(home, step["add"])
    for name in step["remove"]:
        (home / "landing" / name).unlink()


def build(home: Path, manifest: Manifest, step: dict[str, Any]) -> None:
    """Run `dbt build` with the variables of the step.

    Raises:
        SystemExit: It failed.
    """

    def add_late_files(event: EventMsg) -> None:
        if event.info.name == "NodeFinished" and event.data.node_info.node_name == "exposures":
            add(home, step["add_during_build"])

    variables = step["variables"]
    runner = dbtRunner(manifest, callbacks=[add_late_files])
    result = runner.invoke([*ARGUMENTS, "--vars", json.dumps(variables)])
    if not result.success:
        nodes: Any = result.result or []
        failed = [f"{node.node.name}: {node.message}" for node in nodes if node.status == "error"]
        raise SystemExit(f"dbt build {variables}: {result.exception or failed}")


def main() -> None:
    """Apply all steps, or with `--once` all steps and then one build."""
    home, steps = Path(sys.argv[1]), sorted(Path(sys.argv[2]).glob("*.json"))
    # Parsed once: variables only change the compiled models.
    parsed = dbtRunner().invoke(["parse", "--project-dir", "dbt", "--quiet"]).result
    is_once = sys.argv[3:] == ["--once"]
    for number, file in enumerate(steps, 1):
        step = json.loads(file.read_text())
        apply(home, step)
        if not is_once or number == len(steps):
            build(home, cast(Manifest, parsed), step)
        else:
            add(home, step["add_during_build"])
        if not is_once and number % 3 == 0:  # a reader of whole marts between two builds
            apply_changes(home / "marts")


if __name__ == "__main__":
    main()
