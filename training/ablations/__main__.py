"""`python -m training.ablations [NAME]`: run an ablation and write its report to
`SEGUE_HOME/reports/ablation_<name>.md`.

A killed run resumes: finished cells are cached, see `grid.py`.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path

from config import settings
from training.ablations import ABLATIONS, cold_start, continuation, seeds, smooth_path
from training.ablations.grid import Ablation, CellResult, Grid
from training.ablations.table import render_markdown
from training.engine.import_closure import code_hash
from training.engine.workspace import MissingInput, Workspace
from training.evaluation import session_replay
from training.recipes import RECIPES, recipe

REPORTS: dict[str, Callable[[Workspace, Path], str]] = {
    cold_start.NAME: cold_start.report,
    continuation.NAME: continuation.report,
    session_replay.NAME: session_replay.report,
    seeds.NAME: seeds.report,
    smooth_path.NAME: smooth_path.report,
}
"""Measurements that are no grids of models: name → function of the workspace and a folder, which returns the report."""
LONG = (seeds.NAME,)
"""Measurements that fit all models many times; they run by name only."""


def run(ablation: Ablation, workspace: Workspace, seeds: int, grid: Grid) -> str:
    """Run all cells with `seeds` consecutive seeds, starting with that of the recipe; return the report."""
    first = recipe(workspace.recipe).seed
    seed_values = list(range(first, first + seeds))
    results: dict[str, list[CellResult]] = {cell.name: [] for cell in ablation.cells}
    for seed in seed_values:
        for cell in ablation.cells:
            print(f"{ablation.name}: {cell.name}, seed {seed}", flush=True)
            results[cell.name].append(grid.result(cell, seed, ablation.scope))
    heading = f"`{_command(ablation, seeds)}`, recipe `{workspace.recipe}`, {ablation.scope.part} part"
    code = {cell.name: code_hash(*cell.code) for cell in ablation.cells}
    return render_markdown(ablation, results, seed_values, heading, code)


def _command(ablation: Ablation, seeds: int) -> str:
    complete = ABLATIONS.get(ablation.name)
    if complete is None or complete.cells == ablation.cells:
        return f"make ablation ABLATION={ablation.name} SEEDS={seeds}"
    cells = shlex.join(cell.name for cell in ablation.cells)
    return f"python -m training.ablations {ablation.name} --seeds {seeds} --cells {cells}"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Run an ablation and write its report")
    parser.add_argument(
        "name", nargs="?", choices=sorted([*ABLATIONS, *REPORTS]), help=f"default: all but {', '.join(LONG)}"
    )
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="small")
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="number of seeds of cells, starting with that of the recipe (the ablation `seeds` always has three)",
    )
    parser.add_argument("--cells", nargs="+", metavar="CELL", help="cells of ablation NAME to run; default: all")
    arguments = parser.parse_args()
    names = [arguments.name] if arguments.name else [name for name in (*ABLATIONS, *REPORTS) if name not in LONG]
    ablations = [ABLATIONS[name] for name in names if name in ABLATIONS]
    if arguments.cells:
        if arguments.name not in ABLATIONS:
            parser.error("--cells requires the name of an ablation with cells")
        try:
            ablations = [ablations[0].subset(arguments.cells)]
        except ValueError as error:
            parser.error(str(error))
    here = settings.load_settings()
    try:
        workspace = Workspace.open(arguments.as_of, arguments.recipe)
    except MissingInput as error:
        raise SystemExit(
            f"{error}\nAn ablation needs a prepared home; create one with `make pipeline LOGS=PATH`."
        ) from error
    grid = Grid(workspace, here.home / "ablations")
    for ablation in ablations:
        _write(ablation.name, run(ablation, workspace, arguments.seeds, grid), here)
    for name in names:
        if name in REPORTS:
            try:
                page = REPORTS[name](workspace, here.home / "ablations" / name)
            except MissingInput as error:
                raise SystemExit(f"error: {error}") from error
            _write(name, page, here)


def _write(name: str, page: str, here: settings.Settings) -> None:
    path = here.reports / f"ablation_{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page)
    print(f"{page}\nwritten to {path}")


if __name__ == "__main__":
    main()
