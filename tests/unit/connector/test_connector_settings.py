"""Settings: a bad value is refused at start, by the variable's name and without its value."""

import pytest

from whatsam_connector.factory import new_boot_id
from whatsam_connector.settings import ConnectorSettings
from whatsam_core.settings import SettingsError, load

GOOD = {
    "NAMESPACE": "whatsam",
    "POOL": "default",
    "POOL_UID": "pool-uid",
    "POD_NAME": "default-1",
    "POD_UID": "pod-uid",
    "POD_IP": "10.0.0.1",
    "DATABASE_URL": "postgresql://whatsam:hush@db:5432/whatsam",
    "KEYRING": '{"current": "k1", "keys": {}}',
    "S3_URL": "http://s3:8333",
    "S3_ACCESS_KEY": "access",
    "S3_SECRET_KEY": "hush",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GOOD.items():
        monkeypatch.setenv(f"WHATSAM_{name}", value)
    return monkeypatch


def test_good_settings_are_taken_and_secrets_do_not_show(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WHATSAM_ENGINE_ENV", '{"HTTPS_PROXY": "http://proxy:3128"}')
    settings = load(ConnectorSettings)
    assert settings.engine_env == {"HTTPS_PROXY": "http://proxy:3128"}
    assert settings.lease_timings().lease_duration == 15
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POD_IP", "not an address"),
        ("POOL", "Not A Name"),
        ("DATABASE_URL", "mysql://hush@db/x"),
        ("ENGINE_ENV", "not json"),
        ("ENGINE_ENV", '{"A": 1}'),
        ("PORT", "70000"),
        ("RENEW_PERIOD", "0"),
        ("MAX_CONCURRENT_STARTS", "0"),
        ("S3_URL", "s3"),
        ("LOG_LEVEL", "LOUD"),
        ("ENGINE", "baileys"),
        ("ENGINE_PROGRAM", ""),
        ("ENGINE_JOURNAL_SYNC", "never"),
    ],
)
def test_a_bad_value_is_named_and_not_shown(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(f"WHATSAM_{name}", value)
    with pytest.raises(SettingsError, match=f"WHATSAM_{name}") as refused:
        load(ConnectorSettings)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("name", ["POD_NAME", "KEYRING", "DATABASE_URL", "S3_SECRET_KEY"])
def test_a_missing_value_is_named(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(f"WHATSAM_{name}")
    with pytest.raises(SettingsError, match=f"WHATSAM_{name}"):
        load(ConnectorSettings)


def test_clocks_that_could_let_two_workers_hold_a_session_are_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WHATSAM_HARD_FENCE", "16")
    with pytest.raises(SettingsError, match="hard_fence"):
        load(ConnectorSettings)


def test_boot_ids_fit_into_names() -> None:
    made = {new_boot_id() for _ in range(100)}
    assert len(made) == 100
    assert all(len(boot) == 10 and boot.isalnum() and boot.islower() for boot in made)
