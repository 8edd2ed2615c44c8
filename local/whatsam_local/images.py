"""The local image table: which programs of the checkout stand for which container images. Written by `launch`."""

import json
from pathlib import Path

from whatsam_local.catalog import EGRESS_PORT, HOST, SIMULATOR_PROXY_PORT
from whatsam_local.layout import Layout, write_atomically

PARTS = ("operator", "api", "connector")


def table(layout: Layout, path: str, engine_environment: dict[str, str]) -> dict[str, dict[str, object]]:
    """{image: {entrypoint, env}}. `engine_environment` reaches engine processes only, of either kind."""
    images: dict[str, dict[str, object]] = {}
    for part in PARTS:
        env = {"PATH": path, "PYTHONUNBUFFERED": "1"}
        if part == "connector":
            env["WHATSAM_ENGINE_ENV"] = json.dumps(engine_environment)
            env["WHATSAM_ENGINE_PROGRAM"] = str(layout.engine)
        images[f"whatsam/{part}"] = {"entrypoint": [str(layout.program(f"whatsam-{part}"))], "env": env}
    return images


def write_table(layout: Layout, path: str, engine_environment: dict[str, str]) -> None:
    write_atomically(layout.images, json.dumps(table(layout, path, engine_environment), indent=1) + "\n")


def towards_simulator(state: Path) -> dict[str, str]:
    """What makes engine processes speak to the simulator of that state directory, which need not run yet."""
    from whatsam_simulator import hook_environment

    return hook_environment(state, f"http://{HOST}:{SIMULATOR_PROXY_PORT}")


def towards_whatsapp() -> dict[str, str]:
    """What makes engine processes speak to WhatsApp: the one way out of the cluster's network."""
    return {"HTTPS_PROXY": f"http://{HOST}:{EGRESS_PORT}"}
