"""Small files that unpack to gigabytes are read in little memory, each in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.pipeline_commands import run_to_end
from tests.support.training.media import declare_samples, music, write_audio, write_flac_with_covers

MEASURE = """
import sys
from contextlib import suppress
from pathlib import Path
from training.process import peak_bytes
{imports}
path, before = Path(sys.argv[1]), peak_bytes()
with suppress({error}):
    {read}
print(peak_bytes() - before >> 20)
"""
ROWS, TEXT = 2_000, "A" * 100_000
REPEATED = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array([TEXT]))
DELTAS = {"use_dictionary": False, "column_encoding": {"target_id": "DELTA_BYTE_ARRAY"}}
BOMBS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dictionary": (REPEATED, {}),
    "list": (pa.ListArray.from_arrays(pa.array(range(ROWS + 1), pa.int32()), REPEATED), {}),
    "prefix": (pa.array([TEXT] * ROWS), DELTAS),
    "fixed length": (pa.array([TEXT.encode()] * ROWS, pa.binary(len(TEXT))), {}),
}
OWN_EVENTS = """
from ingestion.readers import own_events
from ingestion.readers.parsing import parquet_rows
from ingestion.readers.parsing.reader import MediaFolders, ReadContext
from ingestion.source_files import list_members
parquet_rows.BATCH_BYTES >>= 3
"""
CONTEXT = "ReadContext(path.parent, lambda _: None, 'log', MediaFolders(path.parent, path.parent))"
READ_ROWS = f"rows = own_events.READER.read(list_members(path), {CONTEXT})"
COUNT_ROWS = f"assert sum(block.frame.height for block in rows) == {ROWS}"
TAGS = "from ingestion.readers.parsing.audio_file import AudioFileError, read_audio_file"
PATCHES = "from content.encoders.audio_decoding import read_patches\nfrom content.encoders.encoder import MediaError"
READ_TAGS = "read_audio_file(path.name, path.stat().st_size, lambda: path.open('rb'))"


def growth_mb(file: Path, imports: str, error: str, read: str) -> int:
    """Megabytes by which the memory of a process grows while it reads a file."""
    program = MEASURE.format(imports=imports, error=error, read=read)
    return int(run_to_end([sys.executable, "-c", program, str(file)]))


@pytest.mark.parametrize("form", BOMBS)
def test_a_parquet_bomb_of_200_megabytes(tmp_path: Path, form: str) -> None:
    file, (texts, options) = tmp_path / "listening_events.parquet", BOMBS[form]
    columns = {"event_id": map(str, range(ROWS)), "user_id": ["u"] * ROWS, "action": ["like"] * ROWS}
    table = pa.table({name: list(values) for name, values in columns.items()} | {"target_id": texts})
    pq.write_table(table, file, compression="zstd", store_schema=False, **options)
    assert file.stat().st_size < 500_000
    assert growth_mb(file, OWN_EVENTS, "KeyError", f"{READ_ROWS}; {COUNT_ROWS}") < 180


@pytest.mark.parametrize(
    ("imports", "error", "read", "limit_mb"),
    [(TAGS, "AudioFileError", READ_TAGS, 60), (PATCHES, "MediaError", "read_patches(path)", 300)],
    ids=["landing", "encoding"],
)
def test_a_table_of_80_million_samples(tmp_path: Path, imports: str, error: str, read: str, limit_mb: int) -> None:
    file = write_audio(tmp_path / "a.m4a", music(4, 48_000), 48_000)
    file.write_bytes(declare_samples(file.read_bytes(), 80_000_000))
    assert growth_mb(file, imports, error, read) < limit_mb


def test_covers_of_a_gigabyte(tmp_path: Path) -> None:
    content = write_audio(tmp_path / "a.flac", music(4, 48_000), 48_000).read_bytes()
    file = write_flac_with_covers(tmp_path / "covers.flac", content, 60)
    assert growth_mb(file, PATCHES, "MediaError", "read_patches(path)") < 300
