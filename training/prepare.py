"""`python -m training.prepare`: write the vocabulary, the evaluation cases and the track content of a workspace.

Runs before models are fitted.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import sys

import polars as pl

from releases.format import MissingInput
from training.data.recall_cases import CASE_KINDS, RecallCases
from training.data.training_data import TrainingData
from training.recipes import RECIPES, recipe
from training.workspace import Workspace, is_unchanged, mark_done


def prepare(workspace: Workspace) -> bool:
    """Write vocabulary, cases and content of the recipe's fits; False if the existing ones have the same inputs."""
    inputs = workspace.inputs()
    if is_unchanged(workspace.folder, inputs):
        return False
    for fit in recipe(workspace.recipe).fits:
        data = TrainingData(workspace.marts, fit, recipe(workspace.recipe), cache_folder=workspace.cache_folder(fit))
        data.vocabulary.save(workspace.vocabulary_folder(fit))
        for part in ("validation", "test") if fit == "held_out" else ():
            cases = data.recall_cases(part)
            cases_to_frame(cases, data).write_parquet(workspace.fit_folder(fit) / f"{part}_cases.parquet")
            print(f"{part}: {len(cases):,} sessions")
        for other in workspace.cache_folder(fit).parent.glob(f"{fit}-*"):
            if other != workspace.cache_folder(fit):
                shutil.rmtree(other)
        if data.sampled_user_ids is not None:
            print(
                f"{fit}: sampled {len(data.sampled_user_ids):,} users with at most {data.max_plays:,} plays in total "
                "(SEGUE_TRAINING_PLAYS)"
            )
        content = data.content
        print(f"{fit}: {int(content.has_descriptive_content_V.sum()):,} tracks have text or vectors")
        print(f"{fit}: {len(data.plays):,} plays, {int(data.catalog_V.sum()):,} tracks in the catalog")
    mark_done(workspace.folder, inputs)
    return True


def cases_to_frame(cases: RecallCases, data: TrainingData) -> pl.DataFrame:
    """The cases as a table: user_id, play_number, request_at (µs UTC), and a list of track ids per case kind."""
    columns = {"user_id": cases.user_ids.tolist(), "play_number": cases.play_number_C, "request_at": cases.request_at_C}
    lists = {
        kind: [data.vocabulary.decode(cases.items[kind][case]) for case in range(len(cases))] for kind in CASE_KINDS
    }
    return pl.DataFrame(columns | lists, schema_overrides=dict.fromkeys(CASE_KINDS, pl.List(pl.String)))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Prepare vocabulary and cases for training")
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=RECIPES, default="small")
    arguments = parser.parse_args()
    workspace = Workspace.open(arguments.as_of, arguments.recipe)
    print(f"{'prepared' if prepare(workspace) else 'unchanged'}: {workspace.folder}")


if __name__ == "__main__":
    try:
        main()
    except MissingInput as error:
        sys.exit(f"error: {error}")
    gc.freeze()  # skip garbage collection of all imported objects at exit
