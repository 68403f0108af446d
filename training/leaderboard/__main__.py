"""`python -m training.leaderboard`: measure every baseline and model, and write `SEGUE_HOME/reports/leaderboard.html`
and `.md`.

Cells are cached in `SEGUE_HOME/ablations/leaderboard`; a killed run continues with the first unfinished one, and the page
is written again after each data set. Data sets without files are named on the page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from config import settings
from training.ablations.grid import Grid
from training.engine.workspace import MissingInput, Workspace
from training.leaderboard.dataset import Dataset
from training.leaderboard.knowledge_graph import LastFMGraph
from training.leaderboard.logs import LogsRanking, LogsRecall
from training.leaderboard.page import Row, Section, render_html, render_markdown
from training.leaderboard.sequence_files import Beauty, LastFM
from training.recipes import RECIPES

PUBLIC_DATA = settings.ROOT.parent / "shared" / "data"
NAMES = tuple(dataset.name for dataset in (LastFM, Beauty, LastFMGraph, LogsRecall, LogsRanking))


def public_datasets(data: Path) -> list[Dataset]:
    """Data sets with published results, in `sequences/` and `lastfm_knowledge_graph/` of a folder."""
    sequences = data / "sequences"
    graph = LastFMGraph(data / "lastfm_knowledge_graph")
    return [LastFM(sequences / "LastFM.txt"), Beauty(sequences / "Beauty.txt"), graph]


def log_datasets(workspace: Workspace, cells: Path) -> list[Dataset]:
    """Data sets of the landed logs; `cells` is the folder of fitted cells that ablations share."""
    grid = Grid(workspace, cells)
    return [LogsRecall(grid), LogsRanking(grid)]


def measure(dataset: Dataset, seeds: Sequence[int], folder: Path) -> Section:
    """Measure all cells of a data set; those that are not random have the first seed only."""
    section = Section(dataset.title, dataset.protocol, dataset.main_metric, published=dataset.published)
    if missing := dataset.find_missing():
        return replace(section, missing=missing)
    rows: list[Row] = []
    for cell in dataset.cells():
        results = []
        for seed in seeds if cell.is_random else seeds[:1]:
            print(f"{dataset.name}: {cell.name}, seed {seed}", flush=True)
            results.append(dataset.result(cell, seed, folder))
        for name in results[0].tables:
            runs = [dataset.estimates(result.tables[name]) for result in results]
            rows.append(Row(name, cell.is_baseline, runs, float(results[0].measures["seconds"])))
    return replace(section, rows=rows)


def run(datasets: Mapping[str, Dataset | Section], seeds: Sequence[int], heading: str, here: settings.Settings) -> None:
    """Measure the data sets and write the page; a Section stands for a data set that cannot be measured."""
    sections: list[Section] = []
    for dataset in datasets.values():
        if isinstance(dataset, Section):
            sections.append(dataset)
        else:
            sections.append(measure(dataset, seeds, here.home / "ablations" / "leaderboard"))
        here.reports.mkdir(parents=True, exist_ok=True)
        (here.reports / "leaderboard.md").write_text(render_markdown(sections, heading))
        (here.reports / "leaderboard.html").write_text(render_html(sections, heading))


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Measure every baseline and model")
    parser.add_argument("--only", default=" ".join(NAMES), metavar="NAMES", help=f"some of: {' '.join(NAMES)}")
    parser.add_argument("--data", type=Path, default=PUBLIC_DATA, help="folder of the public data")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="small", help="of the landed logs")
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds} is too small; use at least 1")
    if unknown := sorted(set(options.only.split()) - set(NAMES)):
        parser.error(f"--only {unknown[0]}: there is no such data set; choose from {', '.join(NAMES)}")
    here = settings.load_settings()
    datasets: list[Dataset | Section] = list(public_datasets(options.data))
    try:
        datasets += log_datasets(Workspace.open(options.as_of, options.recipe), here.home / "ablations")
    except MissingInput as error:
        datasets += [
            Section(kind.title, kind.protocol, kind.main_metric, missing=str(error))
            for kind in (LogsRecall, LogsRanking)
        ]
    selected = {name: dataset for name, dataset in zip(NAMES, datasets, strict=True) if name in options.only.split()}
    heading = f"make leaderboard, recipe {options.recipe} for the landed logs, {options.seeds} seeds"
    try:
        run(selected, range(options.seeds), heading, here)
    except KeyboardInterrupt:
        print("\nstopped; finished cells are kept", file=sys.stderr)
        return 130
    print(here.reports / "leaderboard.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
