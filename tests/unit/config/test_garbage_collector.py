"""Frozen objects are excluded from garbage collection, but are freed after the next call if unused."""

import gc
import weakref

import pytest

from config import garbage_collector

pytestmark = pytest.mark.usefixtures("real_freeze_gc")


class Node:
    """Object tracked by the garbage collector."""

    other = None


@pytest.fixture(autouse=True)
def unfrozen_objects():
    """None is frozen before a test, and all are afterwards, as `tests/conftest.py` leaves them."""
    gc.unfreeze()
    yield
    gc.freeze()


def test_cyclic_garbage_is_freed_by_the_next_call_and_other_garbage_immediately():
    cyclic, acyclic = Node(), Node()
    cyclic.other = cyclic
    garbage_collector.freeze_gc()
    references = [weakref.ref(cyclic), weakref.ref(acyclic)]
    del cyclic, acyclic
    assert [reference() is None for reference in references] == [False, True]
    gc.collect()
    assert references[0]() is not None
    garbage_collector.freeze_gc()
    assert references[0]() is None
