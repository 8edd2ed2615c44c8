"""What connector and shipper do without is not loaded, and everything that they load works without it."""

import subprocess
import sys

import pytest

from whatsam_connector import lean

ABSENT = ("rich", "requests", "argon2", "Crypto", "oauthlib", "websocket")


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


def test_leaving_out_spares_what_is_loaded_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "OPTIONAL", ("json",))
    monkeypatch.setattr(lean, "UNUSED", {"json": ("decoder",)})
    before = sys.modules["json"], sys.modules["json.decoder"]
    lean.leave_out()
    assert (sys.modules["json"], sys.modules["json.decoder"]) == before
