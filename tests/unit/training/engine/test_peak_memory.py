import subprocess
import sys

from config import settings

ASKED = "from training.engine.peak_memory import peak_mb; block = bytearray({}); print(peak_mb())"


def asked(held: int) -> int:
    command = [sys.executable, "-c", ASKED.format(held << 20)]
    return int(subprocess.run(command, cwd=settings.ROOT, capture_output=True, text=True, check=True).stdout)


def test_what_is_held_counts_and_what_the_parent_held_does_not() -> None:
    parents = bytearray(300 << 20)
    few, more = asked(0), asked(100)
    assert 90 <= more - few <= 130
    assert few < 200
    assert len(parents) == 300 << 20
