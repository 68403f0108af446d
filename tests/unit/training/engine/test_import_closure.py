"""Cache keys change exactly with the modules that a result depends on."""

import shutil
from collections.abc import Collection
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from config import settings
from training.engine.import_closure import code_hash, import_closure
from training.engine.workspace import DATA_MODULE
from training.train import producer_modules

PRODUCERS = {
    "evaluation": ("training.evaluate",),
    "preparation": ("training.prepare",),
    "cached arrays": (DATA_MODULE,),
    **{
        f"{kind} {name}": producer_modules(kind, name)
        for kind, names in {
            "channel": ("popularity", "favourites", "realtime", "multi_interest", "long_short", "knowledge_graph"),
            "collection": ("playlists", "mlogs"),
            "ranker": ("sum_pooling", "target_attention", "interest_evolution", "session_domains"),
            "head": ("listened",),
        }.items()
        for name in names
    },
}
PACKAGES = (
    *(
        "config",
        "web",
        "media",
        "storage",
        "event_store",
        "ingestion",
        "quality",
        "sequences",
        "training",
        "serving",
        "privacy",
        "console",
    ),
    *("local", "feature_repo"),
)
MODULES = sorted(
    str(path.relative_to(settings.ROOT))
    for path in (
        *settings.ROOT.glob("*.py"),
        *(file for package in PACKAGES for file in (settings.ROOT / package).rglob("*.py")),
    )
)
DATA_FILES = (
    "training/search/phrases.yaml",
    "training/search/grammar.yaml",
    "training/evaluation/search/queries.json",
    "training/evaluation/report/templates/report.css",
    "training/evaluation/report/templates/chapters/search.html",
)
DEFINITIONS = [f"feature_repo.{path.stem}" for path in (settings.ROOT / "feature_repo").glob("*.py")]
IN_A_CLOSURE = sorted(
    str(path.relative_to(settings.ROOT))
    for path in import_closure(*chain.from_iterable(PRODUCERS.values()), *DEFINITIONS).values()
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the source tree."""
    copy = tmp_path_factory.mktemp("tree")
    for module in (*MODULES, *DATA_FILES):
        (copy / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(settings.ROOT / module, copy / module)
    return copy


@pytest.fixture(scope="module")
def unchanged(tree) -> dict[str, str]:
    return {name: code_hash(*modules, root=tree) for name, modules in PRODUCERS.items()}


@pytest.fixture(scope="module")
def closures(tree) -> dict[str, set[str]]:
    """The files in the closure of each producer; all depend on the feature definitions."""
    return {
        name: {str(path.relative_to(tree)) for path in import_closure(*modules, *DEFINITIONS, root=tree).values()}
        for name, modules in PRODUCERS.items()
    }


def changed_keys(tree: Path, unchanged: dict[str, str], modules: Collection[str]) -> set[str]:
    """The producers whose key changes when `modules` change.

    A file is read once, and not once for each producer that depends on it.
    """
    sources = {tree / module: (tree / module).read_bytes() for module in modules}
    try:
        for path, source in sources.items():
            path.write_bytes(source + b"\n# changed\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "read_bytes", cache(Path.read_bytes))
            return {name for name, modules in PRODUCERS.items() if code_hash(*modules, root=tree) != unchanged[name]}
    finally:
        for path, source in sources.items():
            path.write_bytes(source)


@pytest.mark.parametrize("module", IN_A_CLOSURE)
def test_changed_modules_change_exactly_the_keys_that_depend_on_them(module, tree, unchanged, closures):
    assert changed_keys(tree, unchanged, [module]) == {name for name, files in closures.items() if module in files}


def test_modules_outside_all_closures_change_no_key(tree, unchanged, closures):
    outside = set(MODULES) - set().union(*closures.values())
    assert any(module.startswith("serving/") for module in outside)
    assert outside == set(MODULES) - set(IN_A_CLOSURE)
    assert changed_keys(tree, unchanged, outside) == set()


@pytest.mark.parametrize("file", DATA_FILES)
def test_evaluation_depends_on_the_data_files_of_its_modules(file, tree, unchanged):
    assert "evaluation" in changed_keys(tree, unchanged, [file])
