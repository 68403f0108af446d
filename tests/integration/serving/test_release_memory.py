"""What a worker keeps of a release in memory."""

import gc
import weakref

from research.serving.synthetic_release import make_release
from serving.releases.served_release import served_release
from tests.support.serving.small_release import CONTRACT


def test_a_release_has_no_reference_cycles(tmp_path):
    """So it is freed although the garbage collector does not see it."""
    make_release(tmp_path, 400, "debug", "made")
    gc.disable()
    try:
        release = served_release(tmp_path, CONTRACT)
        parts = [release, release.ranker, release.catalog, release.vocabulary, *release.channels.values()]
        gone = [weakref.ref(part) for part in parts]
        del release, parts
        assert [one() for one in gone] == [None] * len(gone)
    finally:
        gc.enable()
