"""Everything one process has: settings, clients, services. Built once; routes get it through `dependencies`."""

from dataclasses import dataclass

from whatsam_api.services.api_keys import ApiKeyService
from whatsam_api.services.directory import DirectoryService
from whatsam_api.services.groups import GroupService
from whatsam_api.services.health import HealthService
from whatsam_api.services.identity import IdentityService
from whatsam_api.services.messages import MessageService
from whatsam_api.services.newsletters import NewsletterService
from whatsam_api.services.profile import ProfileService
from whatsam_api.services.rate_limits import RateLimits
from whatsam_api.services.row_cleanup import RowCleanup
from whatsam_api.services.session_calls import SessionCalls
from whatsam_api.services.sessions import SessionService
from whatsam_api.settings import ApiSettings
from whatsam_api.storage.api_keys import ApiKeyStore
from whatsam_api.storage.connectors import ConnectorClient
from whatsam_api.storage.database import Database
from whatsam_api.storage.limits import LimitStore
from whatsam_api.storage.locks import TenantLocks
from whatsam_api.storage.messages import MessageStore
from whatsam_api.storage.sessions import SessionStore
from whatsam_api.storage.users import UserStore
from whatsam_core.storage.cluster import Cluster


@dataclass(frozen=True)
class ProcessContext:
    """The parts of a running API process."""

    settings: ApiSettings
    database: Database
    cluster: Cluster
    connectors: ConnectorClient
    limits: RateLimits
    health: HealthService
    session_store: SessionStore
    identity: IdentityService
    sessions: SessionService
    messages: MessageService
    keys: ApiKeyService
    cleanup: RowCleanup
    directory: DirectoryService
    groups: GroupService
    profile: ProfileService
    newsletters: NewsletterService


async def build(settings: ApiSettings, cluster: Cluster) -> ProcessContext:
    """Put the parts together. Opens no connection: the API starts while everything else is away."""
    database = Database(settings.database_url.get_secret_value(), settings.database_pool_size)
    await database.open()
    users, key_rows, rows = UserStore(database), ApiKeyStore(database), MessageStore(database)
    session_store = SessionStore(cluster, settings.namespace)
    limits = LimitStore(settings.redis_url.get_secret_value() if settings.redis_url else None)
    connectors = ConnectorClient(settings.connector_token_file)
    calls = SessionCalls(connectors, settings.call_wait_seconds)
    keys = ApiKeyService(key_rows)
    return ProcessContext(
        settings=settings,
        database=database,
        cluster=cluster,
        connectors=connectors,
        limits=RateLimits(settings, limits),
        health=HealthService(database, session_store, limits),
        session_store=session_store,
        identity=IdentityService(settings, users, key_rows),
        sessions=SessionService(session_store, TenantLocks(database), keys),
        messages=MessageService(rows, connectors, settings.send_wait_seconds),
        keys=keys,
        cleanup=RowCleanup(session_store, users, rows, key_rows),
        directory=DirectoryService(calls),
        groups=GroupService(calls),
        profile=ProfileService(calls),
        newsletters=NewsletterService(calls),
    )
