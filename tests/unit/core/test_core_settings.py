"""A wrong setting is refused at start, by the variable's name and without its value."""

import pytest

from whatsam_core.settings import ObjectStoreSettings, SettingsError, load

GOOD = {"WHATSAM_S3_URL": "http://store:8333", "WHATSAM_S3_ACCESS_KEY": "access", "WHATSAM_S3_SECRET_KEY": "secret"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing but good settings."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_good_settings_are_read(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WHATSAM_INSTALLATION_ID", "blue")
    settings = load(ObjectStoreSettings)
    assert settings.installation_id == "blue"
    assert settings.s3_secret_key.get_secret_value() == "secret"
    assert "secret" not in repr(settings).replace("s3_secret_key", "")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WHATSAM_S3_URL", "store:8333"),
        ("WHATSAM_INSTALLATION_ID", "Blue Team"),
        ("WHATSAM_LOG_LEVEL", "CHATTY"),
        ("WHATSAM_S3_BUCKET", "A"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(environment: pytest.MonkeyPatch, variable: str, value: str) -> None:
    environment.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        load(ObjectStoreSettings)
    assert variable in str(refused.value)
    assert value not in str(refused.value).replace(variable, "")


def test_every_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GOOD:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError) as refused:
        load(ObjectStoreSettings)
    for name in GOOD:
        assert name in str(refused.value)
