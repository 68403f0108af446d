"""The erasure of a user signs the releases that it changed, and no other change of a release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from config import settings
from privacy import erase
from releases import integrity
from releases.integrity import UntrustedRelease
from storage.suppression_list import UNSIGNED_EXIT_CODE
from tests.support.signing_keys import write_keys


@dataclass(frozen=True)
class Signed:
    """A home with a signed release that has rows of ann and bob; `key` is the private key."""

    release: Path
    key: Path
    public: Path

    def tamper(self, text: str = "of an attacker") -> None:
        (self.release / "model.bin").write_text(text)
        (self.release / integrity.CHECKSUM_FILE).write_text(integrity.checksum_listing(self.release))


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signed:
    private, public = write_keys(tmp_path)
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEGUE_RELEASE_PRIVATE_KEY", str(private))
    folder = settings.load_settings().releases / "models" / "segue" / "r1"
    pl.DataFrame({"user_id": ["ann", "bob"]}).write_parquet(folder / "heard.parquet", mkdir=True)
    signed = Signed(folder, private, public)
    signed.tamper("of the training")
    integrity.sign(folder, private)
    return signed


def test_a_changed_release_is_signed_again(signed: Signed) -> None:
    assert erase.main(["ann"]) == 0
    assert pl.read_parquet(signed.release / "heard.parquet")["user_id"].to_list() == ["bob"]
    integrity.verify(signed.release, signed.public)


def test_a_change_that_the_erasure_did_not_make_is_not_signed(
    signed: Signed, capsys: pytest.CaptureFixture[str]
) -> None:
    signed.tamper()
    assert erase.main(["ann"]) == UNSIGNED_EXIT_CODE
    assert pl.read_parquet(signed.release / "heard.parquet")["user_id"].to_list() == ["bob"]
    assert "python -m releases sign r1" in capsys.readouterr().err
    assert erase.main(["unknown", "--anyway"]) == UNSIGNED_EXIT_CODE
    with pytest.raises(UntrustedRelease):
        integrity.verify(signed.release, signed.public)


def test_without_the_key_the_release_is_not_signed(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_RELEASE_PRIVATE_KEY", "")
    assert erase.main(["ann"]) == UNSIGNED_EXIT_CODE
    with pytest.raises(UntrustedRelease):
        integrity.verify(signed.release, signed.public)


def test_an_unusable_key_is_named(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    signed.key.write_text("damaged")
    assert erase.main(["ann"]) == 2
    assert f"SEGUE_RELEASE_PRIVATE_KEY={signed.key} cannot be used" in capsys.readouterr().err
