"""What was loaded is out of the garbage collector's way, and does not outlive its use for ever."""

import gc
import weakref

import pytest

from config import garbage_collector


class Node:
    """Something that the collector looks after."""

    other = None


@pytest.fixture(autouse=True)
def as_before():
    yield
    gc.unfreeze()


def is_walked(one):
    return any(found is one for found in gc.get_objects())


def test_what_is_there_is_not_walked_again_and_what_comes_is():
    early = Node()
    assert is_walked(early)
    garbage_collector.freeze_gc()
    late = Node()
    assert not is_walked(early)
    assert is_walked(late)


def test_what_refers_to_itself_goes_with_the_next_call_and_the_rest_at_once():
    loop, alone = Node(), Node()
    loop.other = loop
    garbage_collector.freeze_gc()
    gone = [weakref.ref(loop), weakref.ref(alone)]
    del loop, alone
    assert [one() is None for one in gone] == [False, True]
    gc.collect()
    assert gone[0]() is not None
    garbage_collector.freeze_gc()
    assert gone[0]() is None
