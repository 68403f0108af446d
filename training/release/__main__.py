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
from collections.abc import Callable

from config.settings import SettingError
from training.engine.workspace import MissingInput, Workspace
from training.recipes import RECIPES
from training.release import deployment
from training.release.deployment import UnknownRelease, open_pointer
from training.release.integrity import DamagedRelease
from training.release.pointer import DamagedPointer, NothingToRollBack
from training.release.traffic_split import InvalidTrafficSplit

ACTIONS: dict[str, Callable[[argparse.Namespace], list[str]]] = {
    "canary": lambda options: deployment.canary(options.release, options.share, options.experiment),
    "end": lambda _: deployment.end_experiment(),
    "activate": lambda options: deployment.activate(options.release),
    "rollback": lambda _: deployment.rollback(),
    "sign": lambda options: deployment.sign(options.release),
    "list": lambda _: deployment.describe_releases(),
}
"""Action → its function, which returns lines that describe what it did."""
ERRORS = (
    MissingInput,
    DamagedPointer,
    NothingToRollBack,
    UnknownRelease,
    DamagedRelease,
    InvalidTrafficSplit,
    SettingError,
)


def main() -> int:
    """Run the command; return the exit code."""
    is_action = any(word in ACTIONS for word in sys.argv[1:])
    options = _action_parser().parse_args() if is_action else _parse_release()
    try:
        if not is_action:
            return _release(options)
        print(*ACTIONS[options.action](options), sep="\n")
    except ERRORS as error:
        print(error.args[0], file=sys.stderr)
        return 2
    return 0


def _action_parser() -> argparse.ArgumentParser:
    parser = _parser()
    actions = parser.add_subparsers(dest="action", required=True)
    for name in ACTIONS:
        action = actions.add_parser(name)
        if name in ("canary", "activate", "sign"):
            action.add_argument("release", metavar="ID", help="`python -m training.release list` lists them")
        if name == "canary":
            action.add_argument("--share", type=_share, required=True, help="0 ends the canary")
            action.add_argument(
                "--experiment", help="name of the experiment; users are assigned again for another name"
            )
    return parser


def _parse_release() -> argparse.Namespace:
    parser = _parser()
    parser.add_argument("--share", type=_share, help="fraction of the users who get the release; default: all")
    parser.add_argument("--force", action="store_true", help="release even if the gate refuses; requires --reason")
    parser.add_argument("--reason", help="why the gate is overruled; stored in the manifest")
    options = parser.parse_args()
    if options.force != bool((options.reason or "").strip()):
        parser.error("--force and --reason must be used together: give the reason for overruling the gate")
    if options.share == 0:
        parser.error("--share 0 ends a canary, whose ID it needs; give a new release a share above 0")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=RECIPES, default="small")
    return parser


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{share:g} is not between 0 and 1")
    return share


def _release(options: argparse.Namespace) -> int:
    from training.release.publish import release  # imports the models' libraries, which a rollback does not need

    outcome = release(Workspace.open(options.as_of, options.recipe), options.reason, options.share)
    is_refused = outcome.status == "refused"
    lines = [f"production stays at {open_pointer().active or 'no release'}"] if is_refused else []
    stream = sys.stderr if is_refused else sys.stdout
    print("\n  ".join([f"{outcome.status}: {outcome.release}", *outcome.lines]), *lines, sep="\n", file=stream)
    return 1 if is_refused else 0


if __name__ == "__main__":
    code = main()
    gc.freeze()  # skips the final garbage collection over all imported modules
    sys.exit(code)
