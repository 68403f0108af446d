"""`python -m training.ablations [NAME]`: fill a study's grid and write its table to `SEGUE_HOME/reports/study_<name>.md`.

A run that was killed goes on: what is finished is read, see `grid.py`.
"""

from __future__ import annotations

import argparse
import shlex

from config import settings
from training.ablations import ABLATIONS
from training.ablations.grid import Ablation, CellResult, Grid
from training.ablations.table import render_markdown
from training.engine.import_closure import code_hash
from training.engine.workspace import MissingInput, Workspace
from training.recipes import RECIPES, recipe


def run(study: Ablation, workspace: Workspace, seeds: int, grid: Grid) -> str:
    """The finished table of a study with `seeds` seeds, from the recipe's on."""
    first = recipe(workspace.recipe).seed
    chosen = list(range(first, first + seeds))
    results: dict[str, list[CellResult]] = {cell.name: [] for cell in study.cells}
    for seed in chosen:
        for cell in study.cells:
            print(f"{study.name}: {cell.name}, seed {seed}", flush=True)
            results[cell.name].append(grid.result(cell, seed, study.scope))
    heading = f"`{_command(study, seeds)}`, recipe `{workspace.recipe}`, {study.scope.part} part"
    return render_markdown(study, results, chosen, heading, code_hash(*study.code))


def _command(study: Ablation, seeds: int) -> str:
    whole = ABLATIONS.get(study.name)
    if whole is None or whole.cells == study.cells:
        return f"make ablation ABLATION={study.name} SEEDS={seeds}"
    cells = shlex.join(cell.name for cell in study.cells)
    return f"python -m training.ablations {study.name} --seeds {seeds} --cells {cells}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Fill a study's grid of fits and write its table")
    parser.add_argument("name", nargs="?", choices=sorted(ABLATIONS), help="default: every study")
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="small")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from the recipe's on")
    parser.add_argument("--cells", nargs="+", metavar="CELL", help="of the study NAME these alone; default: all of it")
    arguments = parser.parse_args()
    studies = [ABLATIONS[name] for name in ([arguments.name] if arguments.name else ABLATIONS)]
    if arguments.cells:
        if not arguments.name:
            parser.error("--cells are those of one study: name it")
        try:
            studies = [studies[0].subset(arguments.cells)]
        except ValueError as error:
            parser.error(str(error))
    here = settings.load_settings()
    try:
        workspace = Workspace.open(arguments.as_of, arguments.recipe)
    except MissingInput as error:
        raise SystemExit(f"{error}\nA study needs a prepared home: `make pipeline LOGS=PATH` makes one.") from error
    grid = Grid(workspace, here.home / "study")
    for study in studies:
        page = run(study, workspace, arguments.seeds, grid)
        path = here.reports / f"study_{study.name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page)
        print(f"{page}\nwritten to {path}")


if __name__ == "__main__":
    main()
