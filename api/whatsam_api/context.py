"""Everything one process has: settings, clients, services. Built once; routes get it through `dependencies`."""

from dataclasses import dataclass

from whatsam_api.services.acceptance import Acceptance
from whatsam_api.services.api_keys import ApiKeyService
from whatsam_api.services.chats import ChatService
from whatsam_api.services.directory import DirectoryService
from whatsam_api.services.downloads import DownloadService
from whatsam_api.services.erasing import Erasing
from whatsam_api.services.exporting import Exporting
from whatsam_api.services.gestures import Gestures
from whatsam_api.services.groups import GroupService
from whatsam_api.services.health import HealthService
from whatsam_api.services.history import HistoryService
from whatsam_api.services.identity import IdentityService
from whatsam_api.services.jobs import JobRunner, JobService
from whatsam_api.services.link_previews import LinkPreviews
from whatsam_api.services.media_intake import MediaIntake
from whatsam_api.services.newsletters import NewsletterService
from whatsam_api.services.outgoing import OutgoingService
from whatsam_api.services.passkeys import PasskeyService
from whatsam_api.services.profile import ProfileService
from whatsam_api.services.rate_limits import RateLimits
from whatsam_api.services.readiness import Readiness
from whatsam_api.services.row_cleanup import RowCleanup
from whatsam_api.services.session_calls import SessionCalls
from whatsam_api.services.sessions import SessionService
from whatsam_api.services.upkeep import Upkeep
from whatsam_api.settings import ApiSettings
from whatsam_api.storage.api_keys import ApiKeyStore
from whatsam_api.storage.chat_changes import ChatChangeStore
from whatsam_api.storage.chats import ChatStore
from whatsam_api.storage.connectors import ConnectorClient
from whatsam_api.storage.database import Database
from whatsam_api.storage.erasure import ErasureStore
from whatsam_api.storage.exporting import ExportReader
from whatsam_api.storage.ffmpeg import Ffmpeg
from whatsam_api.storage.guarded_http import GuardedHttp
from whatsam_api.storage.history import HistoryStore
from whatsam_api.storage.jobs import JobStore
from whatsam_api.storage.limits import LimitStore
from whatsam_api.storage.locks import TenantLocks
from whatsam_api.storage.media import MediaStore
from whatsam_api.storage.media_files import FileStore
from whatsam_api.storage.messages import MessageStore
from whatsam_api.storage.read_marks import ReadMarks
from whatsam_api.storage.sessions import SessionStore
from whatsam_api.storage.upkeep import UpkeepStore
from whatsam_api.storage.users import UserStore
from whatsam_core.storage.cluster import Cluster
from whatsam_core.storage.objects import ObjectStore


@dataclass(frozen=True)
class ProcessContext:
    """The parts of a running API process."""

    settings: ApiSettings
    database: Database
    reading: Database
    """Connections for reading the history: a slow search never takes one from a send."""
    cluster: Cluster
    connectors: ConnectorClient
    limits: RateLimits
    health: HealthService
    session_store: SessionStore
    identity: IdentityService
    sessions: SessionService
    history: HistoryService
    downloads: DownloadService
    jobs: JobService
    runner: JobRunner
    upkeep: Upkeep
    keys: ApiKeyService
    cleanup: RowCleanup
    directory: DirectoryService
    chats: ChatService
    groups: GroupService
    passkeys: PasskeyService
    profile: ProfileService
    newsletters: NewsletterService
    media: MediaStore | None
    """None: there is no object store."""
    intake: MediaIntake
    outgoing: OutgoingService
    gestures: Gestures


async def build(settings: ApiSettings, cluster: Cluster) -> ProcessContext:
    """Put the parts together. Opens no connection: the API starts while everything else is away."""
    database = Database(settings.database_url.get_secret_value(), settings.database_pool_size)
    await database.open()
    # What a list or search costs depends on its values: each is planned for its own.
    reading = Database(
        settings.database_url.get_secret_value(),
        max(2, settings.database_pool_size // 2),
        {"plan_cache_mode": "force_custom_plan"},
    )
    await reading.open()
    users, key_rows, rows = UserStore(database), ApiKeyStore(database), MessageStore(database)
    session_store = SessionStore(cluster, settings.namespace)
    limits = LimitStore(settings.redis_url.get_secret_value() if settings.redis_url else None)
    readiness = Readiness(session_store.newest)
    connectors = ConnectorClient(settings.connector_token_file)
    calls = SessionCalls(connectors, readiness, settings.call_wait_seconds)
    keys = ApiKeyService(key_rows)
    rate_limits = RateLimits(settings, limits)
    objects, http = _objects(settings), GuardedHttp(settings.fetch_allowed_networks)
    encrypt = settings.media_encryption != "none"
    media = MediaStore(objects, settings.installation_id, encrypt=encrypt) if objects is not None else None
    files = _files(settings, objects)
    intake = MediaIntake(
        media,
        http,
        Ffmpeg.find(settings.ffmpeg),
        most_bytes=settings.media_max_bytes,
        most_base64_bytes=settings.media_base64_max_bytes,
    )
    acceptance = Acceptance(rows, connectors, readiness, settings.send_wait_seconds)
    job_rows, erasure, upkeep, people = (
        JobStore(database),
        ErasureStore(database),
        UpkeepStore(database),
        ChatStore(reading),
    )
    jobs = JobService(job_rows)
    kinds = {
        "erase": Erasing(erasure, people, job_rows, files),
        "export": Exporting(ExportReader(reading), erasure, job_rows, files),
    }
    return ProcessContext(
        settings=settings,
        database=database,
        reading=reading,
        cluster=cluster,
        connectors=connectors,
        limits=rate_limits,
        health=HealthService(database, session_store, limits),
        session_store=session_store,
        identity=IdentityService(settings, users, key_rows),
        sessions=SessionService(session_store, TenantLocks(database), keys),
        history=HistoryService(rows, HistoryStore(reading), people),
        downloads=DownloadService(rows, files),
        jobs=jobs,
        runner=JobRunner(job_rows, jobs, kinds),
        upkeep=Upkeep(session_store, upkeep, erasure, job_rows, jobs, key_rows, files),
        keys=keys,
        cleanup=RowCleanup(session_store, users, jobs, upkeep, key_rows),
        directory=DirectoryService(calls),
        chats=ChatService(calls, ChatStore(database), ChatChangeStore(database)),
        groups=GroupService(calls),
        passkeys=PasskeyService(session_store, calls),
        profile=ProfileService(calls),
        newsletters=NewsletterService(calls),
        media=media,
        intake=intake,
        outgoing=OutgoingService(rows, acceptance, rate_limits, intake, LinkPreviews(http)),
        gestures=Gestures(rows, ReadMarks(database), calls),
    )


def _objects(settings: ApiSettings) -> ObjectStore | None:
    if settings.s3_url is None or settings.s3_access_key is None or settings.s3_secret_key is None:
        return None
    return ObjectStore(
        settings.s3_url,
        settings.s3_access_key.get_secret_value(),
        settings.s3_secret_key.get_secret_value(),
        settings.s3_bucket,
        settings.s3_region,
        public_url=settings.s3_public_url,
    )


def _files(settings: ApiSettings, objects: ObjectStore | None) -> FileStore | None:
    if objects is None:
        return None
    return FileStore(
        objects,
        settings.installation_id,
        public=settings.s3_public_url is not None,
        encrypt=settings.media_encryption != "none",
    )
