"""Erasure of users from stored releases, whose checksums change; those that were signed with our key are signed again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from config import settings
from privacy import ErasureError, UnreadableFile, parquet, print_progress
from releases import integrity
from releases.integrity import DamagedRelease
from releases.pointer import STORE_FOLDER


def erase_users(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    """Erase the users' rows from the releases; returns the number of rows per user.

    A release is signed again only if its signature and all of its files were valid before, and only the files that were
    rewritten here have changed.

    Raises:
        ErasureError: The private key cannot be used.
    """
    erased, key = Counter[str](), here.release_private_key
    for folder in sorted(path for path in (here.releases / STORE_FOLDER).glob("*") if path.is_dir()):
        files = [path for path in sorted(folder.rglob("*.parquet")) if _has_users(path, user_ids)]
        listing = _valid_listing(folder, key) if files and key else None
        erased += parquet.erase_from_files(files, user_ids, folder.name)
        if key is None or listing is None:
            continue
        changed = integrity.replace_hashes(listing, folder, files)
        if (folder / integrity.CHECKSUM_FILE).read_text(encoding="utf-8") == changed:
            integrity.sign(folder, key, changed)
        else:
            print_progress(f"release {folder.name} is not signed again, it was changed during the erasure")
    return erased


def unsigned_releases(here: settings.Settings) -> list[str]:
    """Ids of the releases whose checksums have changed since they were signed; each is named with the remedy."""
    changed = []
    for signature in sorted(here.releases.glob(f"{STORE_FOLDER}/*/{integrity.SIGNATURE_FILE}")):
        listed, name = signature.with_name(integrity.CHECKSUM_FILE), signature.parent.name
        if listed.exists() and listed.stat().st_mtime_ns > signature.stat().st_mtime_ns:
            changed.append(name)
            print_progress(f"release {name} was changed; sign it again: python -m releases sign {name}")
    return changed


def _has_users(path: Path, user_ids: Sequence[str]) -> bool:
    try:
        return bool(parquet.count_user_rows(path, user_ids))
    except UnreadableFile:  # reported when all Parquet files of the home are erased
        return False


def _valid_listing(folder: Path, private_key: Path) -> str | None:
    """The checksums of a release with valid files and a valid signature; None without a signature."""
    if not (folder / integrity.SIGNATURE_FILE).exists():
        return None
    try:
        return integrity.read_signed_listing(folder, private_key)
    except DamagedRelease as error:
        print_progress(f"release {folder.name} will not be signed again, it was changed before: {error}")
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ErasureError(
            f"SEGUE_RELEASE_PRIVATE_KEY={private_key} cannot be used ({error}); correct it and run this again"
        ) from error
