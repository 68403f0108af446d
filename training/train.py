"""`python -m training.train`: fit one model of the workspace.

Usage: `channel NAME | collection NAME | ranker NAME | head NAME | list all`.

The tables CHANNELS, COLLECTIONS and RANKERS define the models. Collections (playlists, mlogs) are fitted after the
channel `realtime`, whose vectors they use; the listwise head after the channels, whose candidates it learns from. A
model is not fitted again while its inputs (marts, configs, code) are unchanged.

`--fit held_out` learns from the `train` part and tunes hyperparameters on validation. `--fit final` learns from all data
with those hyperparameters, and copies the listwise head, the learned orders of channels, the rankers and the network of
long_short from `held_out`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from config.command_line import end_process, report_errors
from config.dataclass_io import config_from_dict, with_seed
from recommender.ranking.registry import RANKERS
from recommender.ranking.task_weights import LISTWISE_HEAD, NoTrainingExamples
from recommender.recall.channel import RecallChannel
from recommender.recall.registry import CHANNELS, COLLECTIONS
from releases.format import MissingInput
from storage.errors import StorageError
from storage.files import read_json, write_json
from training.data.training_data import TrainingData
from training.mlflow_tracking import HEADLINES, flatten, log_metrics, track_run
from training.process import peak_bytes
from training.recipes import FITS, add_workspace_arguments, config_of, read_section, recipe
from training.workspace import (
    INPUTS_FILE,
    MEASURES_FILE,
    MODELS,
    RESOLVED_CONFIG_FILE,
    Workspace,
    is_unchanged,
    mark_done,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Channel = TypeVar("Channel", bound=RecallChannel)

FitFunction = Callable[[TrainingData, Any, Path], Any]
"""Fit a model on the data with a config; the folder is for checkpoints.

A model has `save(folder)`, `resolved_config` with all hyperparameters that the fit tuned, and `measures`, the metrics of the fit or a
function that computes them.
"""


def train(workspace: Workspace, kind: str, name: str, fit: str) -> bool:
    """Fit one model into the workspace; False if the existing model has the same inputs.

    Raises:
        ValueError: there is no such model.
        NoTrainingExamples: the log has no examples for the head.
        MissingInput: `final` before `held_out` was fitted, collections before `realtime`, or a head before any channel.
    """
    config, fit_model = resolve_model(kind, name, workspace, fit)
    if workspace.seed is not None:
        config = with_seed(config, workspace.seed)
    folder, held_out = workspace.model_folder(kind, fit, name), workspace.model_folder(kind, "held_out", name)
    if fit == "final":
        config = _load_resolved_config(held_out, config, name)
    inputs = workspace.inputs(fit=fit, name=name, config=config, **_upstream(workspace, kind, name, fit))
    if is_unchanged(folder, inputs):
        return False
    with track_run(workspace.folder, f"{kind}-{name}-{fit}", asdict(config)):
        measures = _fit(workspace, fit_model, config, folder, fit, held_out, inputs)
        headlines = flatten(measures, "/")
        log_metrics({name: headlines[name] for name in HEADLINES if headlines.get(name) is not None})
    print(f"{name} ({fit}): {measures['total_seconds']} s, {measures['peak_mb']:,} MB", end="")
    print(f", {measures['steps']} steps" if measures.get("steps") else "")
    table = measures.get("validation")
    for key, value in table.items() if isinstance(table, dict) else ():
        print(f"  {key:<28} {value:.4f}")
    return True


def _fit(
    workspace: Workspace,
    fit_model: FitFunction,
    config: DataclassInstance,
    folder: Path,
    fit: str,
    held_out: Path,
    inputs: dict[str, Any],
) -> dict[str, Any]:
    """Fit a model and write it into `folder`; returns its measures."""
    began = time.monotonic()
    data = TrainingData(
        workspace.marts,
        fit,
        recipe(workspace.recipe),
        cache_folder=workspace.cache_folder(fit),
        held_out_model=held_out if fit == "final" else None,
    )
    checkpoints = folder / "checkpoints"
    (folder / INPUTS_FILE).unlink(missing_ok=True)  # the previous model has other inputs
    # The folder is named by the hash of the inputs, so that checkpoints of other inputs are not resumed.
    model = fit_model(data, config, checkpoints / inputs["hash"][:12])
    model.save(folder)
    measures = dict(model.measures() if callable(model.measures) else model.measures)
    measures |= {"total_seconds": round(time.monotonic() - began, 1), "peak_mb": peak_bytes() >> 20}
    write_json(folder / RESOLVED_CONFIG_FILE, asdict(model.resolved_config))
    write_json(folder / MEASURES_FILE, measures)
    mark_done(folder, inputs)
    shutil.rmtree(checkpoints, ignore_errors=True)  # of this fit, and of fits that were never finished
    return measures


def model_names(kind: str, recipe_name: str | None = None) -> list[str]:
    """Names of the models of a kind; with a recipe, only those that it trains."""
    excluded = recipe(recipe_name).excluded_rankers if recipe_name else ()
    return [name for name in MODELS[kind] if name not in excluded]


def resolve_model(kind: str, name: str, workspace: Workspace, fit: str) -> tuple[DataclassInstance, FitFunction]:
    """Config and fit function of a model.

    What fits them is imported here, because no model needs all of it.

    Raises:
        ValueError: there is no such model.
    """
    recipe_name = workspace.recipe
    if name not in (names := model_names(kind)):
        raise ValueError(f"{kind} {name!r} is unknown; choose one of {', '.join(names)}")
    if kind == "channel":
        return config_of(CHANNELS[name], recipe_name), partial(fit_channel, CHANNELS[name])
    if kind == "collection":
        from recommender.recall.realtime import Realtime
        from training.recall.collections import fit_collection

        def fit_named_collection(data: TrainingData, config: Any, folder: Path) -> Any:
            del folder  # takes seconds, no checkpoints
            realtime = Realtime.load(workspace.model_folder("channel", fit, Realtime.name), data.vocabulary)
            return fit_collection(COLLECTIONS[name], data, config, realtime)

        return config_of(COLLECTIONS[name], recipe_name), fit_named_collection
    if kind == "head":
        from recommender.ranking.listwise_head import LambdaMARTConfig, LambdaMARTHead

        def fit_head(data: TrainingData, config: Any, folder: Path) -> Any:
            del folder  # trees are grown in one go, no checkpoints
            if fit == "final":
                return LambdaMARTHead.load(workspace.model_folder("head", "held_out", name))
            # Imported here, since copying a head does not need them.
            from training.data.candidate_lists import load_fitted_channels
            from training.ranking.listwise_training import fit_listwise_head

            return fit_listwise_head(data, config, load_fitted_channels(workspace, fit, data))

        return read_section(recipe_name, LISTWISE_HEAD, LambdaMARTConfig), fit_head
    from training.ranking.fit import fit_ranker

    return config_of(RANKERS[name], recipe_name), partial(fit_ranker, name)


def fit_channel(kind: type[Channel], data: TrainingData, config: Any, folder: Path) -> Channel:
    """Train on the `train` part of `data`; tune on its `validation` part if it has one.

    Args:
        kind: The channel, fitted by the function `fit` of `training.recall.<name>`.
        data: Training data of one fit.
        config: Config of a recipe, or a resolved config.
        folder: Folder for checkpoints. A fit that was killed and is started again with the same arguments resumes
            from there and gives the same result.
    """
    return cast(Channel, import_module(f"training.recall.{kind.name}").fit(data, config, folder))


def _upstream(workspace: Workspace, kind: str, name: str, fit: str) -> dict[str, str]:
    """Hashes of the inputs of the models that this one is made of, by name.

    Raises:
        MissingInput: None of the channels of a collection or a head is fitted.
    """
    upstream = {} if fit == "held_out" else {"held_out": workspace.input_hash(kind, "held_out", name)}
    if kind == "collection":
        names = ["realtime"]
    elif kind == "head" and fit == "held_out":
        names = model_names("channel")
    else:
        return upstream
    fitted = workspace.list_fitted("channel", fit, names)
    if not fitted:
        raise MissingInput(
            f"{name} is made of channels ({', '.join(names)}), and none of them was fitted on the present marts in "
            f"{workspace.fit_folder(fit)}; train one first"
        )
    return upstream | {name: workspace.input_hash("channel", fit, name) for name in fitted}


def _load_resolved_config(held_out: Path, config: DataclassInstance, name: str) -> DataclassInstance:
    """The config that the held-out fit resolved, in the type of `config`."""
    path = held_out / RESOLVED_CONFIG_FILE
    if not path.exists() or not (held_out / INPUTS_FILE).exists():
        raise MissingInput(
            f"{name} has no finished held_out fit in {held_out}; run it with --fit held_out first, which tunes it"
        )
    return config_from_dict(type(config), json.loads(path.read_text()))


@report_errors(MissingInput, StorageError, code=1)
def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Train one model of the workspace")
    parser.add_argument("what", choices=[*MODELS, "list"])
    parser.add_argument("name", help="the model; for list: all")
    add_workspace_arguments(parser)
    parser.add_argument("--fit", choices=FITS, default="held_out")
    arguments = parser.parse_args()
    if arguments.what == "list":
        if arguments.name != "all":
            parser.error(f"cannot list {arguments.name!r}; write `list all`")
        print(json.dumps({f"{kind}s": model_names(kind, arguments.recipe) for kind in MODELS}))
        return 0
    train_if_possible(Workspace.open(arguments.as_of, arguments.recipe), arguments.what, arguments.name, arguments.fit)
    return 0


def train_if_possible(workspace: Workspace, kind: str, name: str, fit: str) -> None:
    """Fit one model, or print why it is not fitted."""
    if skip_reason := _skip_reason(workspace, kind, name, fit):
        print(skip_reason)
        return
    try:
        if not train(workspace, kind, name, fit):
            print(f"unchanged: {name} ({fit})")
    except NoTrainingExamples as error:
        print(f"not fitted: {name}; {error}")


def _skip_reason(workspace: Workspace, kind: str, name: str, fit: str) -> str:
    """Why the model is not fitted; "" if it is."""
    # Only the served ranker needs a `final` fit.
    choice = read_json(workspace.folder / "evaluation" / "choice.json")
    if fit == "final" and kind == "ranker" and choice.get("ranker") not in (name, None):
        return f"not refitted: evaluation selected another ranker than {name}"
    if kind == "collection" and not workspace.list_fitted("channel", fit, ["realtime"]):
        return f"not fitted: {name} use the vectors of channel realtime, which was not trained on the present marts"
    if kind == "head" and fit == "final" and not workspace.list_fitted("head", "held_out", [name]):
        return f"not refitted: {name} has no examples in the train part"
    return ""


if __name__ == "__main__":
    end_process(main())
