"""The page about configuration says what the settings classes say, all of it."""

from pathlib import Path

import pytest

from whatsam_api.settings import ApiSettings
from whatsam_connector.settings import ConnectorSettings
from whatsam_core.settings import ProcessSettings
from whatsam_local.settings_page import page
from whatsam_operator.settings import OperatorSettings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"


def test_the_page_is_the_one_that_make_docs_writes() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


@pytest.mark.parametrize("settings", [OperatorSettings, ConnectorSettings, ApiSettings])
def test_every_variable_has_a_meaning(settings: type[ProcessSettings]) -> None:
    assert [name for name, field in settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("variable", ["DATABASE_URL", "KEYRING", "S3_SECRET_KEY", "JWT_SECRET", "ADMIN_PASSWORD"])
def test_secrets_are_marked(variable: str) -> None:
    lines = [line for line in page().splitlines() if line.startswith(f"| `WHATSAM_{variable}`")]
    assert lines
    assert all("Secret." in line for line in lines)
