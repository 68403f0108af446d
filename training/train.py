"""`python -m training.train channel NAME | container NAME | ranker NAME | head NAME | list TABLE | list all`: fit one model
of the workspace.

Containers (playlists, mlogs) are fitted after the channel `realtime`, whose vectors they have, and heads that all rankers
share after the channels, whose candidates they learn from. A model whose inputs (marts, configs, code) are those of the
last time is not fitted again. `--fit final` learns from everything, with what `--fit held_out` chose; a head, which knows
users and tracks by their numbers alone, is taken over as it was measured. What learns in steps is trained by as many ranks
as `SEGUE_TRAINING_RANKS` says, or as torchrun started. Knows nothing about what a model is: the tables CHANNELS,
CONTAINERS, RANKERS and HEADS do.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from config import settings
from training.data.training_data import TrainingData
from training.engine import distributed, tracking
from training.engine.import_closure import code_hash
from training.engine.process_memory import peak_mb
from training.engine.workspace import FITS, INPUTS_FILE, MissingInput, Workspace, is_unchanged, mark_done, write_json
from training.ranking.task_weights import LISTWISE_HEAD, NoTrainingExamples
from training.recipes import RECIPES, recipe

RESOLVED_CONFIG_FILE, MEASURES_FILE = "settled.json", "measures.json"
FitFunction = Callable[[TrainingData, Any, Path], Any]
MODEL_TABLES = ("channels", "containers", "rankers", "heads")
ALL = "all"
MODEL_KINDS = ("channel", "container", "ranker", "head")


def train(workspace: Workspace, kind: str, name: str, fit: str) -> bool:
    """Fit one model into the workspace; False when it was there already, made from the same inputs.

    Of several ranks the first alone does what is not learned in steps.

    Raises:
        LeftToFirst: this is not the first rank.
        ValueError: no such model.
        NothingToLearn: the log holds nothing for a head to learn from.
        MissingInput: `final` is asked for before `held_out` was fitted, containers before `realtime`, or heads before any
            channel.
    """
    config, fit_model = resolve_model(kind, name, workspace, fit)
    place = partial(workspace.model_folder, kind)
    folder = place(fit, name)
    if fit == "final":
        config = _load_resolved_config(place("held_out", name), config, name)
    needed = _upstream_input_hashes(workspace, kind, name, fit)
    inputs = workspace.inputs(
        fit=fit, config=config, name=name, code=code_hash(*producer_modules(kind, name)), **needed
    )
    if distributed.broadcast_from_rank0(lambda: is_unchanged(folder, inputs)):
        distributed.require_rank0()
        return False
    if not supports_distributed_training(config):
        distributed.require_rank0()
    began = time.monotonic()
    data = TrainingData(workspace.marts, fit, recipe(workspace.recipe), cache_folder=workspace.cache_folder(fit))
    # Checkpoints of other inputs must not be taken up: their folder has the inputs' name.
    try:
        model = fit_model(data, config, folder / "checkpoints" / inputs["hash"][:12])
    except NoTrainingExamples:
        (folder / INPUTS_FILE).unlink(missing_ok=True)  # what was fitted before is of another log
        raise
    distributed.require_rank0()
    model.save(folder)
    measures = dict(model.measures() if callable(model.measures) else model.measures)
    measures |= {"total_seconds": round(time.monotonic() - began, 1), "peak_mb": peak_mb()}
    measures["ranks"] = distributed.rank_and_world_size()[1]
    write_json(folder / RESOLVED_CONFIG_FILE, asdict(model.resolved_config))
    write_json(folder / MEASURES_FILE, measures)
    mark_done(folder, inputs)
    tracking.log_fit(f"{kind}-{name}-{fit}", asdict(model.resolved_config), measures)
    _print_summary(name, fit, measures)
    return True


def supports_distributed_training(config: Any) -> bool:
    """Whether ranks can share the fit of a model with such a config."""
    return hasattr(config, "steps")


def is_unselected_ranker(workspace: Workspace, ranker: str) -> bool:
    """Whether evaluation chose another ranker: only the one that is served needs what `final` learns from."""
    choice = workspace.folder / "evaluation" / "choice.json"
    return choice.exists() and json.loads(choice.read_text())["ranker"] not in (ranker, None)


def model_names(kind: str, recipe_name: str | None = None) -> list[str]:
    """The names in a table, one of TABLES; those that a recipe trains, where one is given."""
    if kind == "heads":
        return [LISTWISE_HEAD]
    if kind in ("channels", "containers"):
        from training.recall import CHANNELS, COLLECTIONS

        return list(CHANNELS if kind == "channels" else COLLECTIONS)
    from training.ranking import RANKERS

    left_out = recipe(recipe_name).excluded_rankers if recipe_name else ()
    return [name for name in RANKERS if name not in left_out]


def producer_modules(kind: str, name: str) -> tuple[str, ...]:
    """The modules that fit a model: what they import is the code that it depends on."""
    if kind == "head":
        return ("training.slate.listwise_training", "training.ranking.listwise_head")
    if kind == "ranker":
        from training.ranking import RANKERS

        return (RANKERS[name].__module__, "training.ranking.fit")
    from training.recall import CHANNELS, COLLECTIONS

    return ((CHANNELS | COLLECTIONS)[name].__module__,)


def resolve_model(kind: str, name: str, workspace: Workspace, fit: str) -> tuple[Any, FitFunction]:
    """Config and fit of a model. Imported here: a list of channels should not wait for the rankers."""
    recipe_name = workspace.recipe
    if name not in model_names(f"{kind}s"):
        raise ValueError(f"{kind} {name!r} is unknown; choose one of {', '.join(model_names(f'{kind}s'))}")
    if kind == "channel":
        from training.recall import CHANNELS

        return CHANNELS[name].config(recipe_name), CHANNELS[name].fit
    if kind == "container":
        from training.recall import COLLECTIONS
        from training.recall.realtime.channel import Realtime

        def fit_containers(data: TrainingData, config: Any, folder: Path) -> Any:
            del folder  # it takes seconds: there is nothing to go on from
            realtime = Realtime.load(workspace.model_folder("channel", fit, Realtime.name), data.vocabulary)
            return COLLECTIONS[name].fit(data, config, realtime)

        return COLLECTIONS[name].config(recipe_name), fit_containers
    if kind == "head":
        from training.ranking.listwise_head import LambdaMARTConfig, LambdaMARTHead

        def fit_head(data: TrainingData, config: Any, folder: Path) -> Any:
            del folder  # trees are grown at once: there is nothing to go on from
            if fit == "final":
                return LambdaMARTHead.load(workspace.model_folder("head", "held_out", name))
            # To take a head over should not wait for what fits one.
            from training.recall import load_channels
            from training.slate.listwise_training import fit_listwise_head

            folders = {
                name: workspace.channel_folder(fit, name)
                for name in workspace.list_fitted("channel", fit, model_names("channels"))
            }
            return fit_listwise_head(data, config, load_channels(folders, data.vocabulary))

        return LambdaMARTConfig.from_recipe(recipe_name), fit_head
    from training.ranking import RANKERS
    from training.ranking.fit import fit_ranker

    def fit_one(data: TrainingData, config: Any, folder: Path) -> Any:
        return fit_ranker(name, data, config, folder)

    return RANKERS[name].config(recipe_name), fit_one


def _upstream_input_hashes(workspace: Workspace, kind: str, name: str, fit: str) -> dict[str, Any]:
    """What was fitted before and goes into a model, by the hash of what that was made from."""
    if kind == "container":
        return {"realtime": _realtime_input_hash(workspace, fit)}
    if kind == "head" and fit == "final":
        return {"held_out": workspace.input_hash(kind, "held_out", name)}
    if kind == "head":
        return {"channels": _channel_input_hashes(workspace, fit)}
    return {}


def _channel_input_hashes(workspace: Workspace, fit: str) -> dict[str, str]:
    fitted = workspace.list_fitted("channel", fit, model_names("channels"))
    if not fitted:
        raise MissingInput(
            f"heads learn from the channels' candidates, and no channel was fitted in {workspace.fit_folder(fit)}; "
            "train one first"
        )
    return {name: workspace.input_hash("channel", fit, name) for name in fitted}


def _realtime_input_hash(workspace: Workspace, fit: str) -> str:
    """The hash of what the channel was made from whose vectors the containers get."""
    if not workspace.list_fitted("channel", fit, ["realtime"]):
        raise MissingInput(
            "containers have the vectors of channel realtime, and "
            f"{workspace.channel_folder(fit, 'realtime')} has none; train it first"
        )
    return workspace.input_hash("channel", fit, "realtime")


def _load_resolved_config(held_out: Path, config: Any, name: str) -> Any:
    path = held_out / RESOLVED_CONFIG_FILE
    if not path.exists():
        raise MissingInput(f"{name} has no held_out fit in {held_out}; run it with --fit held_out first, it chooses")
    stored = json.loads(path.read_text())
    # JSON has no tuples, the config has.
    return type(config)(**{key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()})


def _print_summary(name: str, fit: str, measures: dict[str, Any]) -> None:
    print(f"{name} ({fit}): {measures['total_seconds']} s, {measures['peak_mb']:,} MB", end="")
    print(f", {measures['steps']} steps" if measures.get("steps") else "")
    table = measures.get("validation")
    for key, value in table.items() if isinstance(table, dict) else ():
        print(f"  {key:<28} {value:.4f}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Train one model of the workspace")
    parser.add_argument("what", choices=[*MODEL_KINDS, "list"])
    parser.add_argument("name", help=f"the model; for list: {', '.join(MODEL_TABLES)}, or {ALL}")
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="small")
    parser.add_argument("--fit", choices=FITS, default="held_out")
    arguments = parser.parse_args()
    if arguments.what == "list":
        if arguments.name not in (*MODEL_TABLES, ALL):
            parser.error(f"there is no table {arguments.name!r}; choose one of {', '.join(MODEL_TABLES)}, or {ALL}")
        tables = {
            table: model_names(table, arguments.recipe) for table in MODEL_TABLES if arguments.name in (table, ALL)
        }
        print(json.dumps(tables if arguments.name == ALL else tables[arguments.name]))
        return
    workspace = Workspace.open(arguments.as_of, arguments.recipe)
    asked, wanted = (arguments.what, arguments.name, arguments.fit), settings.load_settings().training_ranks
    why_not = _skip_reason(workspace, *asked)
    is_shared = (
        wanted > 1 and not why_not and supports_distributed_training(resolve_model(*asked[:2], workspace, asked[2])[0])
    )
    if is_shared and not distributed.is_torchrun_worker():
        distributed.launch_torchrun(wanted)
    with distributed.process_group():
        if why_not:
            distributed.require_rank0()
            print(why_not)
            return
        try:
            if not train(workspace, *asked):
                print(f"unchanged: {arguments.name} ({arguments.fit})")
        except NoTrainingExamples as error:
            print(f"not fitted: {arguments.name}; {error}")


def _skip_reason(workspace: Workspace, kind: str, name: str, fit: str) -> str:
    """Why a model that is asked for is not fitted; "" where nothing is against it."""
    if fit == "final" and kind == "ranker" and is_unselected_ranker(workspace, name):
        return f"not refitted: evaluation chose another ranker than {name}"
    if kind == "container" and not workspace.list_fitted("channel", fit, ["realtime"]):
        return f"not fitted: {name} have the vectors of channel realtime, which was not trained"
    if kind == "head" and fit == "final" and not workspace.list_fitted("head", "held_out", [name]):
        return f"not refitted: {name} had nothing to learn from the train part"
    return ""


if __name__ == "__main__":
    try:
        main()
    except MissingInput as error:
        sys.exit(f"error: {error}")
    gc.freeze()  # else Python looks through all that was imported, before it ends, for what could be freed
