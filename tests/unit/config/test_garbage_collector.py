"""Frozen objects are excluded from garbage collection."""

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


def is_tracked(target):
    return any(candidate is target for candidate in gc.get_objects())


def test_existing_objects_are_frozen_and_new_ones_are_not():
    early = Node()
    assert is_tracked(early)
    garbage_collector.freeze_gc()
    late = Node()
    assert not is_tracked(early)
    assert is_tracked(late)


def test_a_frozen_object_is_freed_when_nothing_refers_to_it():
    frozen, unfrozen = Node(), Node()
    unfrozen.other = unfrozen
    references = [weakref.ref(frozen), weakref.ref(unfrozen)]
    del unfrozen
    garbage_collector.freeze_gc()
    assert [reference() is None for reference in references] == [False, True]
    del frozen
    assert references[0]() is None
