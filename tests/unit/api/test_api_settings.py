"""Settings are refused at start by the name of the variable, and never by their value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import parse
from pydantic import TypeAdapter, ValidationError

from whatsam_api.settings import ApiSettings, Rate
from whatsam_core.settings import SettingsError, load

GOOD = {
    "WHATSAM_NAMESPACE": "whatsam",
    "WHATSAM_DATABASE_URL": "postgresql://user:pass-word@host/db",
    "WHATSAM_JWT_SECRET": "j" * 32,
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_three_variables_are_enough() -> None:
    settings = load(ApiSettings)
    assert settings.redis_url is None
    assert "pass-word" not in repr(settings)
    assert "j" * 32 not in repr(settings)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match=name):
        load(ApiSettings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WHATSAM_JWT_SECRET", "too-short-a-secret"),
        ("WHATSAM_DATABASE_URL", "mysql://user:pass-word@host/db"),
        ("WHATSAM_REDIS_URL", "http://:pass-word@host"),
        ("WHATSAM_PORT", "65536"),
        ("WHATSAM_ADMIN_PASSWORD", "short"),
        ("WHATSAM_USER_LIMIT", "many"),
        ("WHATSAM_LOGIN_LIMIT", "0/minute"),
        ("WHATSAM_ANONYMOUS_LIMIT", "5/fortnight"),
        ("WHATSAM_SESSION_OPERATION_LIMIT", "-1/minute"),
        ("WHATSAM_SEND_WAIT_SECONDS", "0"),
        ("WHATSAM_LOG_LEVEL", "LOUD"),
        ("WHATSAM_REGISTRATION_ENABLED", "perhaps"),
    ],
)
def test_what_is_wrong_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as refused:
        load(ApiSettings)
    if "SECRET" in name or "URL" in name:
        assert value not in str(refused.value)


@given(
    st.builds(
        "{}/{}{}{}".format,
        st.integers(1, 10**8),
        st.just("") | st.integers(1, 9999).map(str),
        st.sampled_from(["second", "minute", "hour", "day"]),
        st.sampled_from(["", "s"]),
    )
)
def test_a_rate_that_is_accepted_can_be_counted(rate: str) -> None:
    TypeAdapter(Rate).validate_python(rate)
    assert parse(rate).amount == int(rate.partition("/")[0])


@given(st.text(alphabet="0123456789/ minutehorday", max_size=15))
def test_no_text_is_accepted_that_cannot_be_counted(text: str) -> None:
    try:
        TypeAdapter(Rate).validate_python(text)
    except ValidationError:
        return
    parse(text)
