"""`python -m training.prepare`: write the vocabulary and the track content of a workspace.

Runs before models are fitted.
"""

from __future__ import annotations

import argparse
import shutil

from config.command_line import end_process, report_errors
from releases.format import MissingInput
from storage.errors import StorageError
from training.data.training_data import TrainingData
from training.recipes import FITS, add_workspace_arguments, recipe
from training.workspace import Workspace, is_unchanged, mark_done


def prepare(workspace: Workspace) -> bool:
    """Write vocabulary and content of both fits; False if the existing ones have the same inputs."""
    inputs = workspace.inputs()
    if is_unchanged(workspace.folder, inputs):
        return False
    for fit in FITS:
        data = TrainingData(workspace.marts, fit, recipe(workspace.recipe), cache_folder=workspace.cache_folder(fit))
        data.vocabulary.save(workspace.vocabulary_folder(fit))
        for part in ("validation", "test") if fit == "held_out" else ():
            print(f"{part}: {len(data.recall_cases(part)):,} sessions")
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


@report_errors(MissingInput, StorageError, code=1)
def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Prepare vocabulary and content for training")
    add_workspace_arguments(parser)
    arguments = parser.parse_args()
    workspace = Workspace.open(arguments.as_of, arguments.recipe)
    print(f"{'prepared' if prepare(workspace) else 'unchanged'}: {workspace.folder}")
    return 0


if __name__ == "__main__":
    end_process(main())
