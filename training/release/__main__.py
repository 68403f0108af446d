"""Create, activate and roll back releases; the recommender follows within a second.

    python -m training.release [--share S] [--force --reason R]   release the workspace's final models if the gate passes
    python -m training.release canary ID --share S                give a release to a share of the users; 0 ends it
    python -m training.release end                                end the experiment: all users get the active release
    python -m training.release activate ID                        give one release to all users; ends all canaries
    python -m training.release rollback                           return to the previous release; ends all canaries
    python -m training.release sign ID                            sign a stored release with SEGUE_RELEASE_PRIVATE_KEY
    python -m training.release list                               show the active release, the shares and the stored releases

Exit code 0: done, or unchanged. 1: refused by the gate, production is unchanged. 2: an earlier task has not run, or
invalid arguments; nothing is changed.
"""

from __future__ import annotations

import argparse
import gc
import sys

from config.settings import SettingError
from training.engine.workspace import MissingInput, Workspace
from training.recipes import RECIPES
from training.release import deployment
from training.release.deployment import UnknownRelease, open_pointer
from training.release.integrity import DamagedRelease
from training.release.pointer import DamagedPointer, NothingToRollBack
from training.release.traffic_split import InvalidTrafficSplit

ACTIONS = ("release", "canary", "end", "activate", "rollback", "sign", "list")


def main() -> int:
    """Run the command; return the exit code."""
    parser = _parser()
    arguments = parser.parse_args()
    _check(parser, arguments)
    try:
        if arguments.action == "release":
            return _release(arguments)
        if arguments.action == "canary":
            lines = deployment.canary(arguments.release, arguments.share, arguments.experiment)
        elif arguments.action == "end":
            lines = deployment.end_experiment()
        elif arguments.action == "activate":
            lines = deployment.activate(arguments.release)
        elif arguments.action == "sign":
            lines = deployment.sign(arguments.release)
        else:
            lines = deployment.rollback() if arguments.action == "rollback" else deployment.describe_releases()
    except (
        MissingInput,
        DamagedPointer,
        NothingToRollBack,
        UnknownRelease,
        DamagedRelease,
        InvalidTrafficSplit,
        SettingError,
    ) as error:
        print(error.args[0], file=sys.stderr)
        return 2
    print(*lines, sep="\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="release")
    parser.add_argument("release", nargs="?", metavar="ID", help="release to activate, sign or give a share")
    parser.add_argument("--share", type=float, help="fraction of the users, 0 to 1; 0 ends the canary")
    parser.add_argument("--experiment", help="name of the experiment; users are assigned again for another name")
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=RECIPES, default="small")
    parser.add_argument("--force", action="store_true", help="release even if the gate refuses; requires --reason")
    parser.add_argument("--reason", help="why the gate is overruled; stored in the manifest")
    return parser


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    action, has_id = arguments.action, arguments.release is not None
    if arguments.force != bool((arguments.reason or "").strip()):
        parser.error("--force and --reason must be used together: give the reason for overruling the gate")
    if has_id != (action in ("canary", "activate", "sign")):
        parser.error(
            f"{action} {'takes no' if has_id else 'needs an'} ID; `python -m training.release list` lists them"
        )
    if (action == "canary" and arguments.share is None) or (
        arguments.share is not None and action not in ("canary", "release")
    ):
        parser.error(f"--share is required by canary and allowed for release; not for {action}")
    if arguments.share is not None and not 0 <= arguments.share <= 1:
        parser.error(f"--share {arguments.share:g} is not between 0 and 1")
    if arguments.share == 0 and action == "release":
        parser.error("--share 0 ends a canary, whose ID it needs; give a new release a share above 0")
    if arguments.experiment is not None and action != "canary":
        parser.error(f"--experiment is allowed for canary, not for {action}")


def _release(arguments: argparse.Namespace) -> int:
    from training.release.publish import release  # imports the models' libraries, which a rollback does not need

    workspace = Workspace.open(arguments.as_of, arguments.recipe)
    outcome = release(workspace, arguments.reason, arguments.share)
    stream = sys.stderr if outcome.status == "refused" else sys.stdout
    print(f"{outcome.status}: {outcome.release}", *outcome.lines, sep="\n  ", file=stream)
    if outcome.status == "refused":
        print(f"production stays at {open_pointer().active or 'no release'}", file=stream)
    return 1 if outcome.status == "refused" else 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # skips the final garbage collection over all imported modules
    sys.exit(code)
