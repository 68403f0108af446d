"""Activate and roll back releases; the recommender follows within a second.

    python -m releases canary ID --share S     give a release to a share of the users; 0 ends it
    python -m releases end                     end the experiment: all users get the active release
    python -m releases activate ID             give one release to all users; ends all canaries
    python -m releases rollback                return to the previous release; ends all canaries
    python -m releases sign ID                 sign a stored release with SEGUE_RELEASE_PRIVATE_KEY
    python -m releases list                    show the active release, the shares and the stored releases

Exit code 0: done, or unchanged. 2: invalid arguments, or no such release; nothing is changed. `python -m training.release`
makes a release.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from config.command_line import report_errors
from config.settings import SettingError
from releases import deployment
from releases.deployment import UnknownRelease
from releases.format import MissingInput
from releases.integrity import DamagedRelease
from releases.pointer import DamagedPointer, NothingToRollBack
from releases.traffic_split import InvalidTrafficSplit

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


@report_errors(*ERRORS)
def main() -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m releases", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    for name in ACTIONS:
        action = actions.add_parser(name)
        if name in ("canary", "activate", "sign"):
            action.add_argument("release", metavar="ID", help="`python -m releases list` lists them")
        if name == "canary":
            action.add_argument("--share", type=float, required=True, help="0 ends the canary")
            action.add_argument(
                "--experiment", help="name of the experiment; users are assigned again for another name"
            )
    options = parser.parse_args()
    print(*ACTIONS[options.action](options), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
