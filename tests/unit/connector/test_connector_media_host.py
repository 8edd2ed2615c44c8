"""Where files are fetched: a message's path is only a path, on WhatsApp's own host, whatever its sender wrote."""

from pathlib import Path

import pytest

from whatsam_connector.content.reading_parts import MediaSource
from whatsam_connector.messages.media.errors import FetchFailed
from whatsam_connector.messages.media.outcomes import Outcome
from whatsam_connector.messages.media.work import Route
from whatsam_connector.storage import media_host
from whatsam_connector.storage.media_host import WhatsAppMediaHost


def source(path: str, kind: str = "image") -> MediaSource:
    return MediaSource(kind, path, bytes(32), b"", b"e" * 32, 1, "image/png", None)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "v/t62",
        "//evil.example/v",
        "@evil.example/v",
        "/v/../../admin",
        "/v\\..\\x",
        "/v t",
        "/v\r\nHost: evil.example",
        "/v#fragment",
        "/v?x#y",
        "https://evil.example/v",
        "/v@evil.example",
        "/" + "v" * 2000,
        "/v\u0131",
    ],
)
async def test_what_is_no_plain_path_is_not_asked_for(path: str, tmp_path: Path) -> None:
    host = WhatsAppMediaHost({"HTTPS_PROXY": "http://127.0.0.1:1"})
    with pytest.raises(FetchFailed) as failed:
        await host.fetch(source(path), tmp_path / "file", Route(None, 1000))
    assert failed.value.outcome is Outcome.IMPOSSIBLE
    assert not (tmp_path / "file").exists()
    await host.close()


async def test_another_kind_is_not_asked_for(tmp_path: Path) -> None:
    host = WhatsAppMediaHost({})
    with pytest.raises(FetchFailed) as failed:
        await host.fetch(source("/v/t62", "app-state"), tmp_path / "file", Route(None, 1000))
    assert failed.value.outcome is Outcome.IMPOSSIBLE


async def test_a_way_out_that_is_closed_is_no_verdict_on_the_file(tmp_path: Path) -> None:
    host = WhatsAppMediaHost({"HTTPS_PROXY": "http://127.0.0.1:1"})
    for proxy in (None, "http://127.0.0.1:1", "socks5://127.0.0.1:1"):
        with pytest.raises(FetchFailed) as failed:
            await host.fetch(source("/v/t62.7118-24/1?ccb=11-4&oh=01_x"), tmp_path / "file", Route(proxy, 1000))
        assert failed.value.outcome is Outcome.UNREACHABLE
        assert "t62" not in str(failed.value)  # who reads the log must not be able to fetch the file
    await host.close()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (404, Outcome.GONE),
        (410, Outcome.GONE),
        (429, Outcome.UNREACHABLE),
        (500, Outcome.UNREACHABLE),
        (503, Outcome.UNREACHABLE),
        (301, Outcome.REFUSED),
        (403, Outcome.REFUSED),
        (206, Outcome.REFUSED),
    ],
)
def test_what_a_status_means(status: int, outcome: Outcome) -> None:
    with pytest.raises(FetchFailed) as failed:
        media_host._check(status)
    assert failed.value.outcome is outcome
