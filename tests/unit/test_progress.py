"""Progress of long tests is kept between runs, for the same size only."""

import pytest

from tests.support.progress import Progress


def test_a_repeated_run_continues_after_the_last_part(tmp_path):
    first = Progress("cases", 25, tmp_path)
    for number, count in first.parts(10):
        if number == 20:
            break
        first.add(count, found=2)
    second = Progress("cases", 25, tmp_path)
    assert list_parts(second) == [(20, 5)]
    assert second.counts == {"done": 25, "found": 4}
    assert list_parts(Progress("cases", 25, tmp_path)) == []
    assert list_parts(Progress("cases", 30, tmp_path)) == [(0, 10), (10, 10), (20, 10)]


def list_parts(progress):
    done = []
    for number, count in progress.parts(10):
        progress.add(count)
        done.append((number, count))
    return done


def test_a_part_must_report_its_units(tmp_path):
    with pytest.raises(RuntimeError, match="part 0 of cases"):
        list(Progress("cases", 25, tmp_path).parts(10))
