"""`python -m research.ablation NAME`: measure the run of the home in another way; the report is SEGUE_HOME/reports/ablation_NAME.md."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from config import settings
from releases.format import MissingInput
from research import seeds, session_replay
from training.recipes import RECIPES
from training.workspace import Workspace

ABLATIONS: dict[str, Callable[[Workspace, Path], str]] = {
    seeds.NAME: seeds.report,
    session_replay.NAME: session_replay.report,
}
"""Name → function of the workspace and a folder for its results, which returns the report."""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m research.ablation", description=__doc__)
    parser.add_argument("name", choices=sorted(ABLATIONS))
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="small")
    options = parser.parse_args()
    here = settings.load_settings()
    try:
        page = ABLATIONS[options.name](
            Workspace.open(options.as_of, options.recipe), here.home / "ablations" / options.name
        )
    except MissingInput as error:
        raise SystemExit(f"error: {error}") from error
    path = here.reports / f"ablation_{options.name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page)
    print(f"{page}\nwritten to {path}")


if __name__ == "__main__":
    main()
