"""`python -m training.release [--force --reason R]` puts the workspace's final models into service if the gate lets
them pass; `python -m training.release rollback` puts the release before back.

Exit code 0: released, or unchanged. 1: refused by the gate, production goes on. 2: an earlier task has not run, or the
call is wrong.
"""

from __future__ import annotations

import argparse
import sys

from training.recipes import RECIPES
from training.release.pointer import NothingToRollBack
from training.release.publish import pointer, release
from training.workspace import MissingInput, Workspace


def main() -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.release", description="Release the workspace's models, or roll back"
    )
    parser.add_argument("action", nargs="?", choices=["release", "rollback"], default="release")
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="small")
    parser.add_argument("--force", action="store_true", help="release although the gate refuses; needs --reason")
    parser.add_argument("--reason", help="why the gate is overruled; it is kept in the manifest")
    arguments = parser.parse_args()
    if arguments.force != bool((arguments.reason or "").strip()):
        parser.error("--force and --reason belong together: say why the gate is overruled")
    try:
        if arguments.action == "rollback":
            print(f"rolled back: {pointer().rollback()} is in service")
            return 0
        outcome = release(Workspace.open(arguments.as_of, arguments.recipe), arguments.reason)
    except (MissingInput, NothingToRollBack) as error:
        print(error, file=sys.stderr)
        return 2
    stream = sys.stderr if outcome.status == "refused" else sys.stdout
    print(f"{outcome.status}: {outcome.release}", *outcome.lines, sep="\n  ", file=stream)
    if outcome.status == "refused":
        print(f"production goes on with {pointer().active or 'no release'}", file=stream)
    return 1 if outcome.status == "refused" else 0


if __name__ == "__main__":
    sys.exit(main())
