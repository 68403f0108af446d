"""`python -m training.encode_content --encoder NAME`: encode the content of tracks, and publish the vectors.

Encodes what is new or has changed, the most played tracks first, and writes the table `track_content` of the encoder
(`storage.mart_tables`). A killed run continues where it was. With `--recipe`, at most the number of contents of
`encoded_content` of the recipe is encoded, and the next run continues; without it, everything is. With `--cache-only` it may run in the
background while models are trained: the next run publishes. Broken files are listed in
`SEGUE_HOME/content/<encoder>.quarantine.tsv` and are not read again until they change.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from config import settings
from config.command_line import end_process, report_errors
from content.audio_facets import RELATIONS, missing_facets
from content.content_sources import ContentSource, ContentSources, count_sources, open_sources
from content.encoders.audio import AudioEncoder
from content.encoders.encoder import Encoder, MediaError
from content.encoders.image import ImageEncoder
from content.encoders.text import TextEncoder
from content.music_detection import music_probability, scan_music
from content.vector_cache import VectorCache
from storage import mart_tables, object_store
from storage.errors import StorageError
from storage.files import open_draft
from storage.mart_tables import TIME_SPLIT_MART
from storage.media_paths import MediaPaths
from training.recipes import RECIPES, recipe

ENCODERS: Mapping[str, Callable[[], Encoder[Any, Any]]] = {
    AudioEncoder.name: AudioEncoder,
    ImageEncoder.name: ImageEncoder,
    TextEncoder.name: TextEncoder,
}

BATCH_SIZE = {"audio": 8, "image": 32, "text": 256}  # contents in memory, and lost if the process is killed


@dataclass
class EncodingCounts:
    """Counts of one run."""

    encoded: int = 0  # contents
    with_vector: int = 0  # tracks
    remaining: int = 0  # tracks whose content is readable but not encoded yet
    rejected: int = 0  # files
    unavailable: Mapping[str, int] = field(default_factory=dict)  # tracks by what is wrong with their media folder


def encode(here: settings.Settings, name: str, limit: int | None = None, is_published: bool = True) -> EncodingCounts:
    """Encode and publish the content of one encoder.

    Args:
        here: Settings of the installation.
        name: Name of the encoder.
        limit: How many contents to encode; None: all.
        is_published: Replace the table; if not, the vectors are kept for the next run that does.

    Raises:
        FileNotFoundError: there are no marts.
        StorageError: object storage is not available.
    """
    # Plays only order the tracks, so that the last build that was read whole suffices.
    marts = object_store.fetch_marts(here)
    for mart in ("tracks", "plays", TIME_SPLIT_MART):
        if not (marts / f"{mart}.parquet").exists():
            raise FileNotFoundError(f"no {mart}.parquet in {marts}; run `dbt build --project-dir dbt` first")
    folder = here.home / "content"
    if not count_sources(name, marts):  # without loading the network
        if is_published:
            _publish_vectors(here, name, iter(()))
        return EncodingCounts()
    encoder = ENCODERS[name]()
    cache = VectorCache(folder / f"{name}.sqlite", encoder.version)
    try:
        sources = open_sources(name, marts, MediaPaths(here.media, here.media_root), cache)
        counts = EncodingCounts(
            encoded=_encode_missing(encoder, sources, cache, limit), unavailable=sources.unavailable
        )
        tables = _rows(name, sources, cache, counts)
        if is_published:
            _publish_vectors(here, name, tables)
        else:
            deque(tables, maxlen=0)  # counts
        if is_published and not counts.remaining:
            cache.delete_other_versions()
        rejected = cache.rejected_files()
        counts.rejected = len(rejected)
        with (
            open_draft(folder / f"{name}.quarantine.tsv") as draft,
            draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows([("path", "reason"), *rejected])
    finally:
        cache.close()
    return counts


def _encode_missing(encoder: Encoder[Any, Any], sources: ContentSources, cache: VectorCache, limit: int | None) -> int:
    """Encode contents that have no vector; returns their number."""
    encoded, size = 0, BATCH_SIZE[encoder.name]
    with tqdm(total=len(sources), desc=f"encode {encoder.name}", unit="track", mininterval=1) as bar:
        for block in sources.blocks(reads_files=True):
            copies: dict[str, dict[str, ContentSource]] = {}  # by hash and path
            for source in block:
                if source.content_hash:
                    copies.setdefault(source.content_hash, {}).setdefault(source.path, source)
            missing = cache.missing(copies)
            if limit is not None:
                missing = missing[: limit - encoded]
            for start in range(0, len(missing), size):
                hashes = missing[start : start + size]
                encoded += _encode_batch(encoder, sources, [copies[name].values() for name in hashes], cache)
                bar.set_postfix_str(f"{encoded:,} encoded", refresh=False)
                bar.update(len(block) * len(hashes) // len(missing))
            bar.update(0 if missing else len(block))
            if limit is not None and encoded >= limit:
                break
    return encoded


def _encode_batch(
    encoder: Encoder[Any, Any], sources: ContentSources, batch: Sequence[Iterable[ContentSource]], cache: VectorCache
) -> int:
    """Encode contents, each from the first of its sources that can be loaded; returns their number."""
    contents, hashes = [], []
    for copies in batch:
        for source in copies:  # some may have a wrong extension
            try:
                contents.append(_load(encoder, sources, source, cache))
            except MediaError as error:
                cache.add_file(source.path, source.state, None, error.reason)
            else:
                hashes.append(source.content_hash or "")
                break
    if contents:
        if isinstance(encoder, AudioEncoder):
            cache.add_vectors(hashes, *encoder.encode_with_tags(contents))
        else:
            cache.add_vectors(hashes, encoder.encode(contents))
    return len(contents)


def _load(encoder: Encoder[Any, Any], sources: ContentSources, source: ContentSource, cache: VectorCache) -> Any:
    if not source.path:
        return encoder.load(sources.open(source))
    if not cache.begin_attempt(source.path):
        raise MediaError(Path(source.path), "decoding it crashed the process several times")
    content = encoder.load(sources.open(source))
    cache.end_attempt(source.path)
    return content


def _rows(name: str, sources: ContentSources, cache: VectorCache, counts: EncodingCounts) -> Iterator[pa.Table]:
    """Rows of the table in blocks; counts tracks with and without a vector."""
    for block in sources.blocks(reads_files=False):
        vectors = cache.vectors(source.content_hash for source in block if source.content_hash)
        rows = []
        for source in block:
            if source.content_hash in vectors:
                embedding_D, tags_T = vectors[source.content_hash]
                rows.append((source.track_id, source.content_hash, embedding_D, tags_T))
            elif source.content_hash is not None or source.is_unread:
                counts.remaining += 1
        counts.with_vector += len(rows)
        yield _to_table(name, cache.version, rows)


def _to_table(name: str, version: str, rows: list[tuple[str, str, np.ndarray, np.ndarray | None]]) -> pa.Table:
    music: Any = [None] * len(rows)
    if name == AudioEncoder.name and rows:
        tags = np.stack([tags_T for *_, tags_T in rows if tags_T is not None])
        music = music_probability(np.stack([embedding_D for _, _, embedding_D, _ in rows]), tags)
    columns = {
        "track_id": [track_id for track_id, *_ in rows],
        "encoder": [name] * len(rows),
        "encoder_version": [version] * len(rows),
        "content_hash": [content_hash for _, content_hash, *_ in rows],
        "embedding": [embedding_D for _, _, embedding_D, _ in rows],
        "tag_probabilities": [tags_T for *_, tags_T in rows],
        "music_probability": music,
    }
    return pa.table(columns, schema=mart_tables.CONTENT_SCHEMA)


def _publish_vectors(here: settings.Settings, name: str, tables: Iterator[pa.Table]) -> None:
    """Replace the table of an encoder, and what is derived from it."""
    _publish(here, mart_tables.table_file(here.marts, name), mart_tables.CONTENT_SCHEMA, tables)
    if name == AudioEncoder.name:
        _publish_facets(here, object_store.fetch_marts(here))


def _publish_facets(here: settings.Settings, marts: Path) -> None:
    """Replace the table of facets from audio."""
    tracks = pl.scan_parquet(marts / "tracks.parquet")
    names = [name for name in ("track_id", *RELATIONS) if name in tracks.collect_schema().names()]
    content = scan_music(mart_tables.table_file(marts, "audio")).select("track_id", "tag_probabilities").collect()
    facets = missing_facets(tracks.select(names).collect(), content, AudioEncoder.tags)
    table = facets.to_arrow().cast(mart_tables.FACET_SCHEMA)
    _publish(here, mart_tables.facets_file(here.marts), mart_tables.FACET_SCHEMA, iter([table]))


def _publish(here: settings.Settings, published: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """Replace a table atomically."""
    is_remote = object_store.is_remote(here.marts)
    local = here.home / "content" / published.name if is_remote else published
    with open_draft(local) as draft, pq.ParquetWriter(draft, schema, compression="zstd") as file:
        for table in tables:
            if table.num_rows:
                file.write_table(table)
    if is_remote:
        object_store.upload(local, published)
        local.unlink()


@report_errors(FileNotFoundError, StorageError, settings.SettingError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.encode_content", description=__doc__)
    parser.add_argument("--encoder", required=True, choices=list(ENCODERS))
    parser.add_argument("--recipe", choices=RECIPES, help="encode at most the recipe's number of contents")
    parser.add_argument(
        "--cache-only", action="store_true", help="do not replace the table, so that models may be trained meanwhile"
    )
    options = parser.parse_args(arguments)
    name = options.encoder
    limit = recipe(options.recipe).encoded_content.get(name) if options.recipe else None
    here = settings.load_settings()
    counts = encode(here, name, limit, is_published=not options.cache_only)
    for reason, tracks in counts.unavailable.items():
        print(f"warning: {tracks:,} tracks not encoded: {reason}", file=sys.stderr)
    print(f"{name}: {counts.encoded:,} encoded, {counts.with_vector:,} tracks have a vector")
    if counts.rejected:
        quarantine = here.home / "content" / f"{name}.quarantine.tsv"
        print(f"{counts.rejected:,} files cannot be encoded; they and their reasons: {quarantine}")
    if counts.remaining:
        command = f"python -m training.encode_content --encoder {name} --cache-only"
        print(f"{counts.remaining:,} tracks remain for the next run, or run: {command}")
    return 0


if __name__ == "__main__":
    end_process(main())
