"""Passwords and keys of one local cluster: made at random at its first `up`, kept as long as its state."""

import base64
import json
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from whatsam_local.layout import write_atomically


class Credentials(BaseModel):
    """Everything that has to be secret. Never printed; only `.local/env` and Kubernetes Secrets carry parts of it."""

    model_config = ConfigDict(frozen=True)

    installation: str
    database_password: str
    database_admin_password: str
    redis_password: str
    s3_access_key: str
    s3_secret_key: str
    jwt_secret: str
    admin_email: str
    admin_password: str
    keyring: str
    """JSON, as WHATSAM_KEYRING wants it: key ids to 32 bytes in base64."""

    @classmethod
    def make(cls) -> "Credentials":
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        return cls(
            installation=f"local-{secrets.token_hex(4)}",
            database_password=secrets.token_hex(16),
            database_admin_password=secrets.token_hex(16),
            redis_password=secrets.token_hex(16),
            s3_access_key=secrets.token_hex(10),
            s3_secret_key=secrets.token_hex(20),
            jwt_secret=secrets.token_hex(32),
            admin_email="admin@whatsam.example",
            # Long enough and of several kinds: passes any rule a person's password must pass.
            admin_password=f"Local-{secrets.token_urlsafe(15)}-1",
            keyring=json.dumps({"current": "k1", "keys": {"k1": key}}),
        )

    @classmethod
    def load_or_make(cls, path: Path) -> "Credentials":
        if path.exists():
            return cls.model_validate_json(path.read_text())
        made = cls.make()
        write_atomically(path, made.model_dump_json(indent=1) + "\n")
        return made
