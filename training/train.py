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

import settings
from training import ranks, tracking
from training.data import TrainingData
from training.heads import LISTENED, NothingToLearn
from training.import_closure import code_hash
from training.peak_memory import peak_mb
from training.recipes import RECIPES, recipe
from training.workspace import (
    FITS,
    INPUTS,
    MissingInput,
    Workspace,
    is_unchanged,
    mark_done,
    write_json,
)

SETTLED, MEASURES = "settled.json", "measures.json"
Fit = Callable[[TrainingData, Any, Path], Any]
TABLES = ("channels", "containers", "rankers", "heads")
ALL = "all"
KINDS = ("channel", "container", "ranker", "head")


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
    config, fit_model = model_of(kind, name, workspace, fit)
    place = partial(workspace.model, kind)
    folder = place(fit, name)
    if fit == "final":
        config = _settled(place("held_out", name), config, name)
    needed = _needed(workspace, kind, name, fit)
    inputs = workspace.inputs(fit=fit, config=config, name=name, code=code_hash(*producers(kind, name)), **needed)
    if ranks.first_says(lambda: is_unchanged(folder, inputs)):
        ranks.leave_to_first()
        return False
    if not learns_in_steps(config):
        ranks.leave_to_first()
    began = time.monotonic()
    data = TrainingData(workspace.marts, fit, recipe(workspace.recipe), kept=workspace.kept(fit))
    # Checkpoints of other inputs must not be taken up: their folder has the inputs' name.
    try:
        model = fit_model(data, config, folder / "checkpoints" / inputs["hash"][:12])
    except NothingToLearn:
        (folder / INPUTS).unlink(missing_ok=True)  # what was fitted before is of another log
        raise
    ranks.leave_to_first()
    model.save(folder)
    measures = dict(model.measures() if callable(model.measures) else model.measures)
    measures |= {"total_seconds": round(time.monotonic() - began, 1), "peak_mb": peak_mb()}
    measures["ranks"] = ranks.rank_of_ranks()[1]
    write_json(folder / SETTLED, asdict(model.settled))
    write_json(folder / MEASURES, measures)
    mark_done(folder, inputs)
    tracking.log_fit(f"{kind}-{name}-{fit}", asdict(model.settled), measures)
    _print_summary(name, fit, measures)
    return True


def learns_in_steps(config: Any) -> bool:
    """Whether ranks can share the fit of a model with such a config."""
    return hasattr(config, "steps")


def is_passed_over(workspace: Workspace, ranker: str) -> bool:
    """Whether evaluation chose another ranker: only the one that is served needs what `final` learns from."""
    choice = workspace.folder / "evaluation" / "choice.json"
    return choice.exists() and json.loads(choice.read_text())["ranker"] not in (ranker, None)


def names(kind: str, recipe_name: str | None = None) -> list[str]:
    """The names in a table, one of TABLES; those that a recipe trains, where one is given."""
    if kind == "heads":
        return [LISTENED]
    if kind in ("channels", "containers"):
        from training.recall import CHANNELS, CONTAINERS

        return list(CHANNELS if kind == "channels" else CONTAINERS)
    from training.ranking import RANKERS

    left_out = recipe(recipe_name).left_out if recipe_name else ()
    return [name for name in RANKERS if name not in left_out]


def producers(kind: str, name: str) -> tuple[str, ...]:
    """The modules that fit a model: what they import is the code that it depends on."""
    if kind == "head":
        return ("training.fit_listened", "training.ranking.listened")
    if kind == "ranker":
        from training.ranking import RANKERS

        return (RANKERS[name].__module__, "training.ranking.fit")
    from training.recall import CHANNELS, CONTAINERS

    return ((CHANNELS | CONTAINERS)[name].__module__,)


def model_of(kind: str, name: str, workspace: Workspace, fit: str) -> tuple[Any, Fit]:
    """Config and fit of a model. Imported here: a list of channels should not wait for the rankers."""
    recipe_name = workspace.recipe
    if name not in names(f"{kind}s"):
        raise ValueError(f"{kind} {name!r} is unknown; choose one of {', '.join(names(f'{kind}s'))}")
    if kind == "channel":
        from training.recall import CHANNELS

        return CHANNELS[name].config(recipe_name), CHANNELS[name].fit
    if kind == "container":
        from training.recall import CONTAINERS
        from training.recall.realtime import Realtime

        def fit_containers(data: TrainingData, config: Any, folder: Path) -> Any:
            del folder  # it takes seconds: there is nothing to go on from
            realtime = Realtime.load(workspace.model("channel", fit, Realtime.name), data.vocabulary)
            return CONTAINERS[name].fit(data, config, realtime)

        return CONTAINERS[name].config(recipe_name), fit_containers
    if kind == "head":
        from training.ranking.listened import Listened, ListenedConfig

        def fit_head(data: TrainingData, config: Any, folder: Path) -> Any:
            del folder  # trees are grown at once: there is nothing to go on from
            if fit == "final":
                return Listened.load(workspace.model("head", "held_out", name))
            # To take a head over should not wait for what fits one.
            from training.fit_listened import fit_listened
            from training.recall import load_channels

            folders = {
                name: workspace.channel(fit, name) for name in workspace.fitted("channel", fit, names("channels"))
            }
            return fit_listened(data, config, load_channels(folders, data.vocabulary))

        return ListenedConfig.of(recipe_name), fit_head
    from training.ranking import RANKERS
    from training.ranking.fit import fit_ranker

    def fit_one(data: TrainingData, config: Any, folder: Path) -> Any:
        return fit_ranker(name, data, config, folder)

    return RANKERS[name].config(recipe_name), fit_one


def _needed(workspace: Workspace, kind: str, name: str, fit: str) -> dict[str, Any]:
    """What was fitted before and goes into a model, by the hash of what that was made from."""
    if kind == "container":
        return {"realtime": _realtime_of(workspace, fit)}
    if kind == "head" and fit == "final":
        return {"held_out": workspace.made_from(kind, "held_out", name)}
    if kind == "head":
        return {"channels": _channels_of(workspace, fit)}
    return {}


def _channels_of(workspace: Workspace, fit: str) -> dict[str, str]:
    fitted = workspace.fitted("channel", fit, names("channels"))
    if not fitted:
        raise MissingInput(
            f"heads learn from the channels' candidates, and no channel was fitted in {workspace.fit_folder(fit)}; "
            "train one first"
        )
    return {name: workspace.made_from("channel", fit, name) for name in fitted}


def _realtime_of(workspace: Workspace, fit: str) -> str:
    """The hash of what the channel was made from whose vectors the containers get."""
    if not workspace.fitted("channel", fit, ["realtime"]):
        raise MissingInput(
            "containers have the vectors of channel realtime, and "
            f"{workspace.channel(fit, 'realtime')} has none; train it first"
        )
    return workspace.made_from("channel", fit, "realtime")


def _settled(held_out: Path, config: Any, name: str) -> Any:
    path = held_out / SETTLED
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
    parser.add_argument("what", choices=[*KINDS, "list"])
    parser.add_argument("name", help=f"the model; for list: {', '.join(TABLES)}, or {ALL}")
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="small")
    parser.add_argument("--fit", choices=FITS, default="held_out")
    arguments = parser.parse_args()
    if arguments.what == "list":
        if arguments.name not in (*TABLES, ALL):
            parser.error(f"there is no table {arguments.name!r}; choose one of {', '.join(TABLES)}, or {ALL}")
        tables = {table: names(table, arguments.recipe) for table in TABLES if arguments.name in (table, ALL)}
        print(json.dumps(tables if arguments.name == ALL else tables[arguments.name]))
        return
    workspace = Workspace.open(arguments.as_of, arguments.recipe)
    asked, wanted = (arguments.what, arguments.name, arguments.fit), settings.load().training_ranks
    why_not = _why_not(workspace, *asked)
    is_shared = wanted > 1 and not why_not and learns_in_steps(model_of(*asked[:2], workspace, asked[2])[0])
    if is_shared and not ranks.is_started():
        ranks.start(wanted)
    with ranks.together():
        if why_not:
            ranks.leave_to_first()
            print(why_not)
            return
        try:
            if not train(workspace, *asked):
                print(f"unchanged: {arguments.name} ({arguments.fit})")
        except NothingToLearn as error:
            print(f"not fitted: {arguments.name}; {error}")


def _why_not(workspace: Workspace, kind: str, name: str, fit: str) -> str:
    """Why a model that is asked for is not fitted; "" where nothing is against it."""
    if fit == "final" and kind == "ranker" and is_passed_over(workspace, name):
        return f"not refitted: evaluation chose another ranker than {name}"
    if kind == "container" and not workspace.fitted("channel", fit, ["realtime"]):
        return f"not fitted: {name} have the vectors of channel realtime, which was not trained"
    if kind == "head" and fit == "final" and not workspace.fitted("head", "held_out", [name]):
        return f"not refitted: {name} had nothing to learn from the train part"
    return ""


if __name__ == "__main__":
    try:
        main()
    except MissingInput as error:
        sys.exit(f"error: {error}")
    gc.freeze()  # else Python looks through all that was imported, before it ends, for what could be freed
