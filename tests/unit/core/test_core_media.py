"""Where media lie in the object store."""

import pytest
from pydantic import ValidationError

from whatsam_core.media import MediaRef, media_key, media_prefix, sha256_of_key

HASH = "ab" * 32


def test_a_key_names_installation_tenant_and_content() -> None:
    assert media_key("whatsam", "t-1", HASH) == f"whatsam/media/t-1/ab/{HASH}"
    assert media_key("whatsam", "t-1", HASH).startswith(media_prefix("whatsam", "t-1"))
    assert sha256_of_key(media_key("whatsam", "t-1", HASH)) == HASH
    assert sha256_of_key("whatsam/auth/n/s/base-1") is None


@pytest.mark.parametrize("sha256", ["", "AB" * 32, "ab" * 31, "../" * 21 + "a", "ab" * 32 + "\n"])
def test_what_is_no_hash_makes_no_key(sha256: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        media_key("whatsam", "t-1", sha256)


@pytest.mark.parametrize("tenant", ["", "a/b", "..", "a\n", "-a"])
def test_a_tenant_cannot_name_another_ones_folder(tenant: str) -> None:
    with pytest.raises(ValueError, match="tenant"):
        media_prefix("whatsam", tenant)


def test_a_reference_is_strict_and_camel_case() -> None:
    reference = MediaRef(sha256=HASH, size=3, mimetype="image/png", file_name="a.png")
    assert reference.model_dump(by_alias=True) == {
        "sha256": HASH,
        "size": 3,
        "mimetype": "image/png",
        "fileName": "a.png",
    }
    assert MediaRef.model_validate(reference.model_dump(by_alias=True)) == reference
    with pytest.raises(ValidationError):
        MediaRef(sha256="x", size=3, mimetype="image/png")
