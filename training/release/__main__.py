"""`python -m training.release`: release the workspace's final models if the gate passes.

Exit code 0: released, or unchanged. 1: refused by the gate, production is unchanged. 2: an earlier task has not run, or
invalid arguments; nothing is changed. `python -m releases` activates, shares and rolls back releases.
"""

from __future__ import annotations

import argparse
import sys

from config.command_line import end_process, report_errors
from releases.__main__ import ERRORS
from releases.deployment import open_pointer
from storage.errors import StorageError
from training.recipes import add_workspace_arguments
from training.workspace import Workspace


@report_errors(*ERRORS, StorageError)
def main() -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_workspace_arguments(parser)
    parser.add_argument("--force", action="store_true", help="release even if the gate refuses; requires --reason")
    parser.add_argument("--reason", help="why the gate is overruled; stored in the manifest")
    options = parser.parse_args()
    if options.force != bool((options.reason or "").strip()):
        parser.error("--force and --reason must be used together: give the reason for overruling the gate")
    from training.release.publish import release  # the models' libraries

    outcome = release(Workspace.open(options.as_of, options.recipe), options.reason)
    is_refused = outcome.status == "refused"
    lines = [f"production stays at {open_pointer().active or 'no release'}"] if is_refused else []
    stream = sys.stderr if is_refused else sys.stdout
    print("\n  ".join([f"{outcome.status}: {outcome.release}", *outcome.lines]), *lines, sep="\n", file=stream)
    return 1 if is_refused else 0


if __name__ == "__main__":
    end_process(main())
