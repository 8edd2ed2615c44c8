"""Making a base from a database, and reading one back. Used by the preparation and the shipper."""

import hashlib
import os
from dataclasses import dataclass, field
from datetime import datetime

from whatsam_connector.state.envelope import NONCE_BYTES, BaseHeader, fingerprint, seal, unseal
from whatsam_connector.state.errors import BaseDamaged, EngineTooOld
from whatsam_connector.state.snapshot import Contents, contents
from whatsam_core.sessions_state import base_key


@dataclass(frozen=True)
class Lineage:
    """Everything a base needs to know besides the database: whose it is and under which claim it is written."""

    tenant: str
    session: str
    uid: str
    prefix: str
    epoch: int
    boot: str
    engine: str
    data_key: bytes = field(repr=False)

    def key(self, seq: int) -> str:
        """Where base number `seq` goes."""
        return base_key(self.prefix, self.epoch, self.boot, seq)


@dataclass(frozen=True)
class RestoredBase:
    """A base that checked out in every respect."""

    header: BaseHeader
    image: bytes = field(repr=False)
    contents: Contents


def digest(image: bytes) -> str:
    """The hash that names a database's content everywhere: header, status, handover."""
    return hashlib.sha256(image).hexdigest()


def build(lineage: Lineage, seq: int, image: bytes, what: Contents, created_at: datetime) -> tuple[str, bytes]:
    """Key and object of a new base. Raises `BaseDamaged` without a device in it: that is never stored."""
    if what.jid is None:
        raise BaseDamaged("a state without a device is not stored")
    header = BaseHeader(
        tenant=lineage.tenant,
        session=lineage.session,
        uid=lineage.uid,
        jid=what.jid,
        epoch=lineage.epoch,
        boot=lineage.boot,
        seq=seq,
        created_at=created_at,
        engine=lineage.engine,
        schema_version=what.schema_version,
        schema_compat=what.schema_compat,
        sha256=digest(image),
        size=len(image),
        data_key=fingerprint(lineage.data_key),
    )
    key = lineage.key(seq)
    return key, seal(key, header, image, lineage.data_key, os.urandom(NONCE_BYTES))


def read(key: str, sealed: bytes, data_key: bytes, supported_schema: int) -> RestoredBase:
    """Check everything and give the database back. Raises `BaseDamaged`, or `EngineTooOld`."""
    header, image = unseal(key, sealed, data_key)
    if header.schema_compat > supported_schema:
        raise EngineTooOld(
            f"{key}: written by {header.engine} with schema {header.schema_version}, readable from "
            f"{header.schema_compat} on; this connector's engine knows {supported_schema}"
        )
    what = contents(image, thorough=True)
    if what.jid != header.jid or what.schema_version != header.schema_version:
        raise BaseDamaged(f"{key}: header and database name different devices or schemas")
    return RestoredBase(header, image, what)
