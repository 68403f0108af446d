"""Puts releases into service, and takes them out again; the recommender follows within a second.

    python -m training.release [--share S] [--force --reason R]   the workspace's final models, if the gate lets them pass
    python -m training.release canary ID --share S                a release beside the one in service, for a share; 0 ends it
    python -m training.release activate ID                        one release for everybody, shares end
    python -m training.release rollback                           the release before for everybody, shares end
    python -m training.release list                               what is in service and what could be

Exit code 0: done, or unchanged. 1: refused by the gate, production goes on. 2: an earlier task has not run, or the
call is wrong; nothing has changed.
"""

from __future__ import annotations

import argparse
import gc
import sys

from training.engine.workspace import MissingInput, Workspace
from training.recipes import RECIPES
from training.release import deployment
from training.release.deployment import UnknownRelease, open_pointer
from training.release.pointer import NothingToRollBack
from training.release.traffic_split import InvalidTrafficSplit

ACTIONS = ("release", "canary", "activate", "rollback", "list")


def main() -> int:
    """The command; returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args()
    _check(parser, arguments)
    try:
        if arguments.action == "release":
            return _release(arguments)
        if arguments.action == "canary":
            lines = deployment.canary(arguments.release, arguments.share, arguments.experiment)
        elif arguments.action == "activate":
            lines = deployment.activate(arguments.release)
        else:
            lines = deployment.rollback() if arguments.action == "rollback" else deployment.describe_releases()
    except (MissingInput, NothingToRollBack, UnknownRelease, InvalidTrafficSplit) as error:
        print(error.args[0], file=sys.stderr)
        return 2
    print(*lines, sep="\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="release")
    parser.add_argument("release", nargs="?", metavar="ID", help="which release to activate, or to give a share")
    parser.add_argument("--share", type=float, help="of the users, 0 to 1; 0 ends it")
    parser.add_argument("--experiment", help="what the shares are called; users are drawn anew for another name")
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="small")
    parser.add_argument("--force", action="store_true", help="release although the gate refuses; needs --reason")
    parser.add_argument("--reason", help="why the gate is overruled; it is kept in the manifest")
    return parser


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    action, named = arguments.action, arguments.release is not None
    if arguments.force != bool((arguments.reason or "").strip()):
        parser.error("--force and --reason belong together: say why the gate is overruled")
    if named != (action in ("canary", "activate")):
        parser.error(f"{action} {'takes no' if named else 'needs an'} ID; `python -m training.release list` shows them")
    if (action == "canary" and arguments.share is None) or (
        arguments.share is not None and action not in ("canary", "release")
    ):
        parser.error(f"--share belongs to canary, which needs it, and to release; not to {action}")
    if arguments.share is not None and not 0 <= arguments.share <= 1:
        parser.error(f"--share {arguments.share:g} is not between 0 and 1")
    if arguments.experiment is not None and action != "canary":
        parser.error(f"--experiment belongs to canary, not to {action}")


def _release(arguments: argparse.Namespace) -> int:
    from training.release.publish import release  # the models' libraries; a rollback should not wait for them

    workspace = Workspace.open(arguments.as_of, arguments.recipe)
    outcome = release(workspace, arguments.reason, arguments.share)
    stream = sys.stderr if outcome.status == "refused" else sys.stdout
    print(f"{outcome.status}: {outcome.release}", *outcome.lines, sep="\n  ", file=stream)
    if outcome.status == "refused":
        print(f"production goes on with {open_pointer().active or 'no release'}", file=stream)
    return 1 if outcome.status == "refused" else 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # else Python looks through all that was imported, before it ends, for what could be freed
    sys.exit(code)
