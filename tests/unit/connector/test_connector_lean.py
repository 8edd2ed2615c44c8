"""What connector and shipper do without is not loaded, and everything that they load works without it."""

import subprocess
import sys
import textwrap

import pytest

from whatsam_connector import lean

ABSENT = ("rich", "requests", "argon2", "Crypto", "oauthlib", "websocket", "pydoc", "multiprocessing.process")


@pytest.mark.parametrize("module", ["whatsam_connector.factory", "whatsam_connector.shipper.service"])
def test_a_process_loads_no_library_that_it_does_not_use(module: str) -> None:
    # A process of its own: this one has loaded them long ago.
    program = (
        f"import sys\nfrom whatsam_connector import lean\nlean.few_heaps()\nlean.leave_out()\nimport {module}\n"
        f"print([name for name in {ABSENT!r} if sys.modules.get(name) is not None])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_a_stand_in_says_that_the_library_is_not_there() -> None:
    program = (
        "from whatsam_connector import lean\nlean.leave_out()\nfrom minio import MinioAdmin\n"
        "try:\n    MinioAdmin('a')\nexcept lean.NotLoadedError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "minio.minioadmin.MinioAdmin is not loaded in this process", done.stderr


def test_the_default_tls_contexts_of_aiohttp_trust_nobody_and_others_trust_as_ever() -> None:
    program = textwrap.dedent(
        """
        import ssl
        from whatsam_connector import lean
        before = ssl.create_default_context
        lean.leave_out_certificates()
        from aiohttp import connector
        context = connector._SSL_CONTEXT_VERIFIED
        print(context.cert_store_stats()["x509_ca"], context.verify_mode.name, context.check_hostname,
              ssl.create_default_context is before)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "0 CERT_REQUIRED True True", done.stderr


def test_routes_check_what_they_get_without_the_models_of_api_descriptions() -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys
        from unittest.mock import AsyncMock, MagicMock
        from whatsam_connector import lean
        lean.leave_out()
        from whatsam_connector.http.routes import create_app
        import httpx

        async def ask():
            app = create_app(MagicMock(), MagicMock(), AsyncMock(), MagicMock())
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://connector") as client:
                answer = await client.post("/sessions/a/calls/b", params={"wait": "long"})
                return answer.status_code, [problem["loc"][-1] for problem in answer.json()["detail"]]

        print(asyncio.run(ask()), type(sys.modules["fastapi.openapi.models"]).__name__)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    found = "(422, ['x-whatsam-epoch', 'x-whatsam-boot', 'wait']) _Models"
    assert done.stdout.strip() == found, done.stderr


def test_leaving_out_spares_what_is_loaded_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "OPTIONAL", ("json",))
    monkeypatch.setattr(lean, "UNUSED", {"json": ("decoder",)})
    before = sys.modules["json"], sys.modules["json.decoder"]
    lean.leave_out()
    assert (sys.modules["json"], sys.modules["json.decoder"]) == before
