"""`python -m served_behavior --as-of DAY --recipe NAME`: run the behavioral tests on the models that are to be released.

Writes the section `behavior` of the workspace's evaluation and renders the report again; the release gate reads it. Does
nothing if these models were tested already.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config import settings
from config.command_line import end_process, report_errors
from config.settings import SettingError
from config.tool_environment import tool_environment
from releases.format import MissingInput
from serving.__main__ import KERNEL_THREADS
from storage.errors import StorageError
from training.recipes import add_workspace_arguments

USERS = 40
"""Users of one test. All users of a small world would take minutes."""


def measure(as_of: str | None, recipe_name: str, users: int) -> Mapping[str, Any] | None:
    """The section `behavior`; None if it is there already, of as many users.

    Raises:
        MissingInput: The models have not been evaluated, or have no final fit.
    """
    import polars as pl

    from releases import bundle
    from sequences.feast_store import open_store
    from sequences.feature_services import ServiceContract
    from served_behavior.listeners import Listeners
    from served_behavior.measure import BehaviorTests, fairness
    from serving.pipeline.stages.hydrate import SERVICE
    from serving.releases.served_release import served_release
    from training.release.gate import Verdict, read_behavior, write_behavior
    from training.release.manifest import build, release_id, release_inputs
    from training.release.write import write
    from training.workspace import Workspace

    workspace = Workspace.open(as_of, recipe_name)
    inputs = release_inputs(workspace)
    identity = release_id(inputs)
    if (read_behavior(workspace, identity) or {}).get("users") == users:
        return None
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="segue-behavior-") as folder:
        draft = build(workspace, inputs, Verdict(True, (), {}), None, None)
        write(workspace, draft, Path(folder))
        release = served_release(Path(folder), ServiceContract.of(open_store(), SERVICE))
    listeners = Listeners.read(workspace.marts, users)
    found = BehaviorTests(release, workspace.marts, listeners).run()
    slate = pl.read_parquet(workspace.folder / "evaluation" / bundle.SLATE).filter(pl.col("name") == "served")
    content = {
        "release": identity,
        "users": users,
        **found,
        "fairness": fairness(slate, listeners.groups(workspace.marts)),
        "seconds": round(time.monotonic() - began, 1),
    }
    write_behavior(workspace, content)
    return content


@report_errors(MissingInput, StorageError, SettingError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; 2 if an earlier task has not run."""
    parser = argparse.ArgumentParser(prog="python -m served_behavior", description=__doc__)
    add_workspace_arguments(parser)
    parser.add_argument("--users", type=int, default=USERS, help="users of one test")
    options = parser.parse_args(arguments)
    if options.users < 1:
        parser.error(f"--users {options.users} is not positive")
    for name, value in {**KERNEL_THREADS, **tool_environment(settings.load_settings())}.items():
        os.environ.setdefault(name, value)
    content = measure(options.as_of, options.recipe, options.users)
    if content is None:
        print("unchanged: the behavior of these models was measured already")
        return 0
    for name, test in content["tests"].items():
        print(f"  {name:44} {test['value']:8.4f}  {test['cases']} cases of {test['users']} users")
    print(f"{content['seconds']} s")
    return 0


if __name__ == "__main__":
    end_process(main())
