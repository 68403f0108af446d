"""The erasure of a user changes releases with data of the user: their checksums are signed again, or they are named."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from config import settings
from privacy import erase
from training.release import integrity
from training.release.integrity import UntrustedRelease


def test_changed_release_is_signed_again_or_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = Ed25519PrivateKey.generate()
    private, public = tmp_path / "release.pem", tmp_path / "release.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    here = settings.Settings(tmp_path, "127.0.0.1", 1, 1, 1, 1)
    folder = here.releases / "models" / "segue" / "r1"
    folder.mkdir(parents=True)
    (folder / "heard.parquet").write_text("ann and bob")
    (folder / integrity.CHECKSUM_FILE).write_text(integrity.checksum_listing(folder))
    integrity.sign(folder, str(private))
    os.utime(folder / integrity.CHECKSUM_FILE, ns=(10**18, 10**18))
    os.utime(folder / integrity.SIGNATURE_FILE, ns=(10**18, 10**18))
    erase._sign_changed_releases(here)
    assert capsys.readouterr().err == ""

    (folder / "heard.parquet").write_text("bob")
    (folder / integrity.CHECKSUM_FILE).write_text(integrity.checksum_listing(folder))
    erase._sign_changed_releases(here)
    assert "python -m training.release sign r1" in capsys.readouterr().err
    with pytest.raises(UntrustedRelease):
        integrity.verify(folder, str(public))
    erase._sign_changed_releases(replace(here, release_private_key=str(private)))
    assert integrity.verify(folder, str(public)).is_signed
