"""Checksums and signature of a release: a release is verified before it is served or activated.

`files.sha256` lists the SHA-256 of every file. With a private key (`SEGUE_RELEASE_PRIVATE_KEY`), the list is signed with
Ed25519 in `files.sha256.sig`; with a public key (`SEGUE_RELEASE_PUBLIC_KEY`), releases without a valid signature are rejected.
Checksums detect damage; only a signature detects a deliberate change.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storage.files import DRAFT_SUFFIX, atomic_write, hash_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CHECKSUM_FILE = "files.sha256"
SIGNATURE_FILE = "files.sha256.sig"
UNLISTED_FILES = frozenset({CHECKSUM_FILE, SIGNATURE_FILE, "model.yaml"})
"""Files that the list does not contain: the list itself, its signature, and the file that BentoML's store adds."""


class DamagedRelease(RuntimeError):
    """Files of a release do not match its checksums; the message names them and the remedy."""


class UntrustedRelease(DamagedRelease):
    """A release has no valid signature although a public key is configured."""


def verify(folder: Path, public_key: Path | None = None) -> int:
    """Check the files of the release in `folder` against its checksums, and the signature of the checksums; returns the number
    of files.

    Reads every file; hashing releases the GIL, so requests continue meanwhile.

    Args:
        folder: The release.
        public_key: PEM file of the Ed25519 public key; None: signatures are not checked.

    Raises:
        DamagedRelease: A file was changed, is missing, or was added, or there is a symbolic link.
        UntrustedRelease: There is no valid signature.
    """
    listing = _read_listing(folder)
    if public_key:
        _check_signature(folder, listing, _public_key(public_key), public_key)
    return len(_check_files(folder, listing))


def read_signed_listing(folder: Path, private_key: Path) -> str:
    """The checksums of a release that was signed with the private key in a PEM file and has not changed since.

    Raises:
        DamagedRelease: A file was changed, is missing, or was added, or there is no valid signature.
        OSError, ValueError: The file is not an Ed25519 private key.
    """
    key, listing = _private_key(private_key), _read_listing(folder)
    _check_signature(folder, listing, key.public_key(), private_key)
    _check_files(folder, listing)
    return listing


def replace_hashes(listing: str, folder: Path, files: Sequence[Path]) -> str:
    """The list of checksums with the present ones of some files of the release in `folder`."""
    entries = _entries(listing)
    for path in files:
        entries[path.relative_to(folder).as_posix()] = hash_file(path)
    return _format_listing(entries)


def _check_files(folder: Path, listing: str) -> dict[str, Path]:
    """Name ▸ path of every file, after it was checked against the list, which does not contain what a link leads to."""
    expected, paths = _entries(listing), _listed_files(folder)
    wrong = {
        **dict.fromkeys(expected.keys() - paths.keys(), "is missing"),
        **dict.fromkeys(paths.keys() - expected.keys(), f"is not in {CHECKSUM_FILE}"),
        **{
            name: f"differs from {CHECKSUM_FILE}"
            for name in expected.keys() & paths.keys()
            if hash_file(paths[name]) != expected[name]
        },
        **{
            path.relative_to(folder).as_posix(): f"is {'a symbolic link' if path.is_symlink() else 'no file or folder'}"
            for path in folder.rglob("*")
            if path.is_symlink() or not (path.is_file() or path.is_dir())
        },
    }
    if wrong:
        name = min(wrong)
        others = f" (and {len(wrong) - 1} other files)" if len(wrong) > 1 else ""
        raise DamagedRelease(f"the release in {folder} is damaged: {name} {wrong[name]}{others}; {_remedy()}")
    return paths


def checksum_listing(folder: Path) -> str:
    """`<sha256>  <path>` of every file, sorted by path."""
    return _format_listing({name: hash_file(path) for name, path in _listed_files(folder).items()})


def sign(folder: Path, private_key: Path, listing: str | None = None) -> None:
    """Sign the list of checksums, or the given one, with the Ed25519 private key in a PEM file.

    Raises:
        DamagedRelease: There is no list of checksums.
        ValueError: The file is not an Ed25519 private key.
    """
    signature = _private_key(private_key).sign((_read_listing(folder) if listing is None else listing).encode())
    atomic_write(folder / SIGNATURE_FILE, base64.b64encode(signature) + b"\n")


def _private_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is not an Ed25519 key; create one: openssl genpkey -algorithm ed25519")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UntrustedRelease(f"SEGUE_RELEASE_PUBLIC_KEY={path} cannot be read: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UntrustedRelease(f"SEGUE_RELEASE_PUBLIC_KEY={path} is not an Ed25519 public key")
    return key


def _check_signature(folder: Path, listing: str, key: Ed25519PublicKey, key_file: Path) -> None:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(base64.b64decode((folder / SIGNATURE_FILE).read_bytes(), validate=False), listing.encode())
    except FileNotFoundError:
        raise UntrustedRelease(
            f"the release in {folder} is not signed, and SEGUE_RELEASE_PUBLIC_KEY requires a signature; sign it on the machine "
            "with the private key: `python -m releases sign ID`"
        ) from None
    except (InvalidSignature, binascii.Error):
        raise UntrustedRelease(
            f"the signature of the release in {folder} does not match {key_file}: it was changed, or signed with another key; "
            f"{_remedy()}"
        ) from None


def _read_listing(folder: Path) -> str:
    try:
        return (folder / CHECKSUM_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedRelease(
            f"the release in {folder} has no readable {CHECKSUM_FILE}, so it is not complete ({error}); {_remedy()}"
        ) from error


def _format_listing(entries: dict[str, str]) -> str:
    return "".join(f"{content_hash}  {name}\n" for name, content_hash in entries.items())


def _entries(listing: str) -> dict[str, str]:
    """Path ▸ SHA-256."""
    pairs = (line.split("  ", 1) for line in listing.splitlines())
    return {pair[-1]: pair[0] for pair in pairs}


def _listed_files(folder: Path) -> dict[str, Path]:
    """Name ▸ path of every file that the list contains, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path for name, path in names.items() if name not in UNLISTED_FILES and path.suffix != DRAFT_SUFFIX}


def _remedy() -> str:
    return "activate another release (`python -m releases list`), restore this one from a backup, or release again"
