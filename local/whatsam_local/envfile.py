"""`.local/env`: what people and tests need to reach the running cluster, as shell lines. Called by `up`."""

import shlex

from whatsam_local.credentials import Credentials
from whatsam_local.layout import Layout, write_atomically


def variables(layout: Layout, credentials: Credentials, ports: dict[str, int]) -> dict[str, str]:
    """Every variable of the file. `ports`: the doors' ports on 127.0.0.1; without a simulator, its URL is left out."""
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    found = {
        "KUBECONFIG": str(layout.kubeconfig),
        "WHATSAM_API_URL": f"http://{at['api']}",
        "WHATSAM_ADMIN_EMAIL": credentials.admin_email,
        "WHATSAM_ADMIN_PASSWORD": credentials.admin_password,
        "WHATSAM_S3_URL": f"http://{at['s3']}",
        "WHATSAM_S3_ACCESS_KEY": credentials.s3_access_key,
        "WHATSAM_S3_SECRET_KEY": credentials.s3_secret_key,
        "WHATSAM_S3_BUCKET": "whatsam",
        "WHATSAM_DATABASE_URL": f"postgresql://whatsam:{credentials.database_password}@{at['postgres']}/whatsam",
        "WHATSAM_REDIS_URL": f"redis://:{credentials.redis_password}@{at['valkey']}/0",
    }
    if "simulator" in at:
        found["WHATSAM_SIMULATOR_URL"] = f"http://{at['simulator']}"
    return found


def write(layout: Layout, credentials: Credentials, ports: dict[str, int]) -> None:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables(layout, credentials, ports).items()]
    write_atomically(layout.env_file, "\n".join(lines) + "\n")


def read(text: str) -> dict[str, str]:
    """The variables of a file that `write` made."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = shlex.split(line)
        if len(words) == 2 and words[0] == "export":
            name, _, value = words[1].partition("=")
            found[name] = value
    return found
