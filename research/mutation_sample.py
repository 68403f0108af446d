"""`python -m research.mutation_sample --seed 7`: whether the tests notice small errors in ten areas.

For each area, four places in its code are drawn, and for each place one of the mutations that cosmic-ray knows there. The
tests of the area run on each mutant in a copy of the tree. Type annotations are left out, because nothing evaluates them.
cosmic-ray is not locked: `uv run --no-project --with cosmic-ray==8.7.0 python -m research.mutation_sample --seed 7`.

Results are kept in var/mutants_SEED.json. Another call runs only mutants that were not killed yet. Exit code 1: the tests killed
less than 90 %.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv/bin/python")  # with the locked packages
PER_AREA, REQUIRED = 4, 0.9
NOT_COPIED = (".git", ".venv", "var", "build", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache")
PYTEST = ("-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=0")


class Area(NamedTuple):
    """Modules of one concept, and the arguments of pytest that test them, fast tests first."""

    modules: str
    tests: str


AREAS = {
    "point-in-time reader": Area(
        "sequences/timeline.py sequences/offline/dense_reader.py sequences/offline/list_reader.py "
        "sequences/offline/point_in_time_join.py",
        "tests/unit/sequences/offline tests/contract/sequences",
    ),
    "event store": Area(
        "event_store/store.py event_store/sqlite_database.py event_store/sqlite_stores.py "
        "event_store/redis_database.py event_store/redis_stores.py",
        "tests/unit/event_store tests/unit/serving/pipeline/test_daily_lists.py tests/integration/event_store",
    ),
    "fusion": Area(
        "recommender/slate/fusion.py recommender/slate/candidate_table.py",
        "tests/unit/recommender/slate/test_fusion.py tests/unit/serving/pipeline/test_track_pipeline.py",
    ),
    "slate": Area(
        "recommender/slate/slots.py recommender/slate/mmr_selection.py recommender/slate/ranker_blend.py "
        "recommender/slate/feedback.py recommender/slate/scene_settings.py",
        "tests/unit/recommender/slate/test_slots.py tests/unit/recommender/slate/test_feedback.py "
        "tests/unit/training/evaluation/test_slate_evaluation.py tests/unit/serving/pipeline/test_visible_list.py "
        "tests/unit/serving/pipeline/test_track_pipeline.py tests/unit/recommender/slate/test_mmr_selection.py",
    ),
    "filters": Area(
        "recommender/slate/filters.py recommender/user/exclusions.py recommender/catalog/arrays.py",
        "tests/unit/serving/pipeline/test_filters.py tests/unit/recommender/user tests/unit/recommender/catalog",
    ),
    "gate": Area("training/release/gate.py", "tests/unit/training/release"),
    "behavior classes": Area(
        "sequences/behaviors.py event_store/behaviors.py",
        "tests/unit/sequences tests/unit/serving/events tests/contract/docs/test_contract_page.py",
    ),
    "contract": Area(
        "event_store/event_rules.py ingestion/landed_tables.py ingestion/row_validation.py",
        "tests/unit/ingestion/test_row_validation.py tests/contract/serving/test_event_schema.py "
        "tests/contract/docs/test_contract_page.py tests/unit/ingestion",
    ),
    "favorites channel": Area(
        "recommender/recall/favorites.py recommender/recall/play_archive.py recommender/recall/reason.py",
        "tests/unit/recommender/recall/test_favorites.py tests/unit/recommender/recall/test_play_archive.py "
        "tests/unit/recommender/recall/test_repeat_reason.py tests/unit/recommender/recall/knowledge_graph/test_channel.py "
        "tests/contract/recommender/test_channel_conformance.py "
        "-k 'not conformance or favorites'",
    ),
    "target_attention ranker": Area(
        "recommender/ranking/target_attention.py recommender/ranking/ranker.py recommender/ranking/event_embeddings.py",
        "tests/contract/recommender/test_ranker_conformance.py tests/unit/recommender/ranking "
        "-k 'not conformance or target_attention'",
    ),
}


class Mutant(NamedTuple):
    """One mutation: `occurrence` counts the places of the operator in the module."""

    area: str
    module: str
    operator: str
    occurrence: int


def main(arguments: list[str] | None = None) -> int:
    """Run the tests on the mutants of a seed, and print which survive."""
    parser = argparse.ArgumentParser(prog="python -m research.mutation_sample", description=__doc__)
    parser.add_argument("--seed", type=int, default=7, help="seed of the sample")
    seed = parser.parse_args(arguments).seed
    file, copy = ROOT / "var" / f"mutants_{seed}.json", ROOT / "var" / f"mutants_{seed}"
    results: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for mutant, mutated in draw(seed):
        name = " ".join(map(str, mutant))
        if not results.get(name, {}).get("is_killed"):
            results[name] = run_tests(mutant, mutated, copy)
            file.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{'killed' if results[name]['is_killed'] else 'SURVIVED'}: {name}: {results[name]['proof']}")
        print(results[name]["diff"], flush=True)
    killed = sum(result["is_killed"] for result in results.values())
    print(f"seed {seed}: {killed} of {len(results)} killed")
    return int(killed < REQUIRED * len(results))


def draw(seed: int) -> Iterator[tuple[Mutant, str]]:
    """The mutants of a seed with their modules, PER_AREA for each area; only those that are valid Python."""
    generator = random.Random(seed)
    for name, area in AREAS.items():
        sources = {module: (ROOT / module).read_text() for module in area.modules.split()}
        mutations = {
            (module, place): found
            for module, source in sources.items()
            for place, found in find_mutations(source).items()
        }
        drawn = 0
        while drawn < PER_AREA:
            module, place = generator.choice(sorted(mutations))
            operator, occurrence = generator.choice(mutations.pop((module, place)))
            mutated = mutate_code(sources[module], get_operator(operator)(), occurrence)
            with suppress(SyntaxError):  # cosmic-ray takes the stars of `{**a}` for an operator
                ast.parse(mutated)
                drawn += 1
                yield Mutant(name, module, operator, occurrence), mutated


def find_mutations(source: str) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """(line, column) → operators that change something there, each with its occurrence."""
    nodes, annotations = list(ast_nodes(get_ast(source))), list(find_annotations(source))
    found = defaultdict(list)
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments():
            continue  # for variables that the caller names
        places = (begin for node in nodes for begin, _ in operator().mutation_positions(node))
        for occurrence, place in enumerate(places):
            if not any(begin <= place < end for begin, end in annotations):
                found[place].append((name, occurrence))
    return found


def find_annotations(source: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Begin and end, each (line, column), of all type annotations."""
    for node in ast.walk(ast.parse(source)):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if part is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def run_tests(mutant: Mutant, mutated: str, copy: Path) -> dict[str, Any]:
    """The result of the tests of the area on a mutant.

    Raises:
        RuntimeError: pytest found no tests.
    """
    original, module = (ROOT / mutant.module).read_text(), copy / mutant.module
    lines = difflib.unified_diff(original.splitlines(), mutated.splitlines(), mutant.module, n=0, lineterm="")
    module.write_text(mutated)
    shutil.rmtree(copy / ".hypothesis", ignore_errors=True)  # with the failures that other mutants caused
    command = [PYTHON, *PYTEST, *shlex.split(AREAS[mutant.area].tests)]
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    shutil.copy2(ROOT / mutant.module, module)
    if run.returncode not in (0, 1, 2):
        raise RuntimeError(
            f"pytest ended with {run.returncode}; correct the tests of {mutant.area}: {run.stdout[-2000:]}"
        )
    proof = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return {
        "is_killed": run.returncode > 0,
        "proof": (proof or run.stdout.splitlines()[-1:])[0][:200],
        "diff": "\n".join(list(lines)[2:]),
    }


if __name__ == "__main__":
    sys.exit(main())
