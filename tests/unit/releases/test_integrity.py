"""A release is accepted only with the files of its checksums, and with a public key only if that key's owner signed it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from releases import integrity
from releases.integrity import DamagedRelease, UntrustedRelease
from tests.support.signing_keys import write_keys

WEIGHTS = "channels/realtime/model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "r1"
    (folder / WEIGHTS).parent.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"release": "r1"}')
    (folder / WEIGHTS).write_bytes(bytes(range(256)) * 100)
    (folder / integrity.CHECKSUM_FILE).write_text(integrity.checksum_listing(folder))
    (folder / "model.yaml").write_text("written by BentoML")
    return folder


def test_complete_release_is_accepted_also_by_a_link_to_it(folder: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, "ours")
    integrity.sign(folder, private)
    (tmp_path / "link").symlink_to(folder)
    assert integrity.verify(tmp_path / "link") == integrity.verify(folder, public) == 2


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda one: (one / WEIGHTS).write_bytes(bytes(256 * 100)),
            r"realtime/model.safetensors differs from files.sha256; activate another",
        ),
        (lambda one: (one / WEIGHTS).rename(one / "extra.npy"), r"model.safetensors is missing \(and 1 other files\)"),
        (lambda one: (one / "extra.npy").touch(), r"extra.npy is not in files.sha256"),
        (lambda one: os.mkfifo(one / "pipe"), "pipe is no file or folder"),
        (lambda one: (one / integrity.CHECKSUM_FILE).unlink(), "not complete"),
    ],
    ids=["content", "name", "other file", "pipe", "no checksums"],
)
def test_damaged_files_and_other_entries_are_named(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    with pytest.raises(DamagedRelease, match=message):
        integrity.verify(folder)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("search", "channels"),
        ("manifest.json", WEIGHTS),
        ("model.yaml", WEIGHTS),
        (".model.safetensors.writing", WEIGHTS),
    ],
)
def test_a_symbolic_link_is_rejected(folder: Path, tmp_path: Path, name: str, target: str) -> None:
    private, public = write_keys(tmp_path, "ours")
    integrity.sign(folder, private)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(folder / target)
    for key in (None, public):
        with pytest.raises(DamagedRelease, match=f"{name} is a symbolic link; activate another"):
            integrity.verify(folder, key)
    with pytest.raises(DamagedRelease, match="is a symbolic link"):
        integrity.read_signed_listing(folder, private)


def change_with_checksums(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"release": "r2"}')
    (folder / integrity.CHECKSUM_FILE).write_text(integrity.checksum_listing(folder))


@pytest.mark.parametrize(
    ("signer", "change", "message"),
    [
        pytest.param("", lambda _: None, r"not signed.*releases sign", id="not signed"),
        pytest.param("other", lambda _: None, "does not match", id="signed by another"),
        pytest.param("ours", change_with_checksums, "does not match", id="changed later"),
        pytest.param(
            "ours",
            lambda folder: (folder / integrity.SIGNATURE_FILE).write_bytes(b"no signature"),
            "does not match",
            id="no signature",
        ),
    ],
)
def test_public_key_requires_a_valid_signature(
    folder: Path, tmp_path: Path, signer: str, change: Callable[[Path], object], message: str
) -> None:
    made = {name: write_keys(tmp_path, name) for name in ("ours", "other")}
    if signer:
        integrity.sign(folder, made[signer][0])
    change(folder)
    integrity.verify(folder)
    with pytest.raises(UntrustedRelease, match=message):
        integrity.verify(folder, made["ours"][1])


def test_key_of_another_kind_is_rejected(folder: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, "ours")
    integrity.sign(folder, private)
    with pytest.raises(UntrustedRelease, match="cannot be read"):
        integrity.verify(folder, private)
    with pytest.raises(ValueError, match=r"PEM|private"):
        integrity.sign(folder, public)
