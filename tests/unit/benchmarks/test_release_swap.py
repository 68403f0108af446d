"""Results of release changes under load, from observations made by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmarks.serving import release_swap
from benchmarks.serving.release_swap import LoadObservations


@pytest.mark.parametrize("wrong", [0, 1])
def test_one_wrong_response_exceeds_the_limit(wrong: int, monkeypatch: pytest.MonkeyPatch) -> None:
    responses = ["503"] * wrong
    seen = LoadObservations(100, responses, responses, mixed_responses=responses, memory_bytes=[100, 100])

    @contextmanager
    def start(*_: object) -> Iterator[tuple[Any, Any]]:
        yield None, None

    monkeypatch.setattr(release_swap, "start_service", start)
    monkeypatch.setattr(release_swap, "measure_changes", lambda *_: seen)
    results = [one for one in release_swap.run(1) if one.peer]
    assert [one.name for one in results] == [f"release_swap_{name}" for name in ("failed", "mixed", "of_two")]
    assert all(one.ratio is not None and (one.ratio >= 1) == (wrong == 0) for one in results)
