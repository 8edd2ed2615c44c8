"""Builds a connector from its settings: the one place where real parts are put together. Called by `main`."""

import asyncio
import base64
import math
import random
import secrets
from collections.abc import Awaitable, Callable

from whatsam_connector.assignments.plan import Me
from whatsam_connector.assignments.successor import Successor, SuccessorTools
from whatsam_connector.assignments.worker import Worker
from whatsam_connector.clock import Clock, SystemClock
from whatsam_connector.fence import KernelTimer
from whatsam_connector.http.calls import Calls
from whatsam_connector.http.engine_calls import EngineCalls
from whatsam_connector.http.health import Health
from whatsam_connector.http.observation import Observation
from whatsam_connector.http.routes import create_app
from whatsam_connector.http.server import HttpServer, bind
from whatsam_connector.http.stores import Stores
from whatsam_connector.http.throughput import Throughput
from whatsam_connector.http.tokens import TokenChecker
from whatsam_connector.journal import Limits
from whatsam_connector.lease.engines import LivingEngines
from whatsam_connector.lease.keeper import LeaseKeeper
from whatsam_connector.lease.load import LoadMeter
from whatsam_connector.lease.sampling import Sampler
from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.lifecycle import Connector, Parts
from whatsam_connector.messages.mailroom import Mailroom
from whatsam_connector.messages.media.downloader import Downloader
from whatsam_connector.messages.preparing import Preparing
from whatsam_connector.messages.uploads import Uploads
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.metrics import ConnectorMetrics
from whatsam_connector.sessions.ports import SessionPlaces
from whatsam_connector.sessions.runner import RunnerTools, SessionRunner
from whatsam_connector.sessions.status_patch import Holder
from whatsam_connector.sessions.timings import SessionTimings
from whatsam_connector.settings import ConnectorSettings
from whatsam_connector.state import KeyRing, Replicated, ReplicationTrouble, StateKeeper, StateSettings
from whatsam_connector.state.shipper_process import FirstShipper
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.leases import ClusterLeases
from whatsam_connector.storage.media_host import WhatsAppMediaHost
from whatsam_connector.storage.media_work import MediaWork
from whatsam_connector.storage.messages import MessageTable
from whatsam_connector.storage.proxies import SecretProxies
from whatsam_connector.storage.samples import SampleTable
from whatsam_connector.storage.sessions import ClusterSessions
from whatsam_connector.storage.targets import Targets
from whatsam_connector.supervision import EnginePool, EngineProcess, PoolSettings
from whatsam_connector.supervision.cohorts import CohortTimings
from whatsam_connector.supervision.leaks import UsageLimits
from whatsam_connector.supervision.program import EngineProgram, engine_program
from whatsam_core.lease import LeaseRecord, LeaseState, lease_name
from whatsam_core.resources import Engine
from whatsam_core.resources.session import WhatsAppSession
from whatsam_core.storage.cluster import Cluster
from whatsam_core.storage.opening import open_object_store

_MIB = 1024 * 1024
_BOOT_ID_BYTES = 6
_BOOT_ID_LENGTH = 10


def new_boot_id() -> str:
    """Ten lower-case base32 characters; 48 random bits tell the boots of an installation apart."""
    return base64.b32encode(secrets.token_bytes(_BOOT_ID_BYTES)).decode().lower().rstrip("=")[:_BOOT_ID_LENGTH]


async def build(settings: ConnectorSettings, *, first_shipper: FirstShipper | None = None) -> Connector:
    """A connector that is ready to run. Raises `WhatsamError` or `OSError` when it cannot be built.

    `first_shipper`: one that was forked off before; without it the connector starts its own.
    """
    program = await asyncio.to_thread(
        engine_program, settings.engine, settings.engine_program, settings.engine_journal_sync
    )
    clock = SystemClock()
    boot = new_boot_id()
    listening = bind(settings.port)
    port: int = listening.getsockname()[1]
    cluster = await Cluster.connect(user_agent="whatsam-connector")
    database = Database(settings.database_url.get_secret_value())
    table, waiters = MessageTable(database), Waiters()
    metrics, throughput = ConnectorMetrics(), Throughput()
    tenure = Tenure(settings.lease_timings())
    engines = LivingEngines(tenure, clock, KernelTimer(), arm_timeout=tenure.timings.renew_period)

    def may_work() -> bool:
        return tenure.holds(clock.boottime())

    def count_out(outcome: str) -> None:
        metrics.outgoing.labels(outcome).inc()
        throughput.count(outcome)

    def count_in(kind: str, number: int) -> None:
        metrics.inbound.labels(kind).inc(number)
        if kind == "message":
            throughput.received(number)
        elif kind == "media":
            downloader.wake()

    def answered(route: str, status: int, seconds: float) -> None:
        metrics.http_seconds.labels(route, str(status)).observe(seconds)
        if route.startswith("/sessions/"):
            throughput.answered(seconds)

    hooks = _Hooks()
    state = StateKeeper(
        _state_settings(settings, program),
        on_replicated=hooks.replicated,
        on_trouble=hooks.replication_trouble,
        first_shipper=first_shipper,
    )
    mailroom = Mailroom(
        table,
        waiters,
        clock,
        boot=boot,
        may_work=may_work,
        count_out=count_out,
        count_in=count_in,
        preparing=_preparing(settings, database, clock),
        hurry=state.hurry,
    )
    sessions = ClusterSessions(cluster, settings.namespace)
    pool = EnginePool(_launcher(settings, engines, program), _pool_settings(settings), clock.monotonic, metrics)
    tools = RunnerTools(
        spawn=pool.start,
        announce=pool.announce,
        auth_state=state,
        mailroom=mailroom,
        objects=sessions,
        proxies=SecretProxies(cluster, settings.namespace),
        clock=clock,
        timings=SessionTimings(),
        starts=asyncio.Semaphore(settings.max_concurrent_starts),
        media_max_bytes=settings.media_max_bytes,
        places=lambda uid: SessionPlaces(settings.state_dir / "sessions" / uid),
        journal_limits=Limits(settings.journal_limit_mib * _MIB, settings.journal_free_mib * _MIB),
        count_exit=lambda reason: metrics.engine_ends.labels(reason).inc(),
        count_prepared=metrics.prepared,
        warn=sessions.warn,
    )

    def new_runner(session: WhatsAppSession, holder: Holder) -> SessionRunner:
        return SessionRunner(session, holder, tools)

    me = Me(settings.pod_uid, boot)
    worker = Worker(sessions, settings.pod_name, me, new_runner)
    hooks.worker = worker
    successor = Successor(
        settings.pod_name,
        me,
        SuccessorTools(
            source=sessions,
            state=state,
            engines=pool,
            stages=lambda: {uid: known.stage for uid, known in worker.states().items()},
            may_work=may_work,
            now=clock.now,
            monotonic=clock.monotonic,
            round_size=settings.max_concurrent_starts,
        ),
    )
    downloader = Downloader(
        MediaWork(database),
        WhatsAppMediaHost(settings.engine_env),
        open_object_store(settings),
        settings.state_dir / "downloads",
        boot=boot,
        installation_id=settings.installation_id,
        now=clock.now,
        routes=lambda: {runner.key: route for runner in worker.running() if (route := runner.media_route) is not None},
        at_once=settings.media_downloads,
        encrypt=settings.media_encryption != "none",
        count=lambda state: metrics.media.labels(state).inc(),
    )
    measure_load = LoadMeter(clock.monotonic)
    keeper = LeaseKeeper(
        ClusterLeases(cluster, settings.namespace, settings.pool_uid),
        _first_record(settings, program, boot, port, clock),
        tenure=tenure,
        engines=engines,
        clock=clock,
        follower=worker,
        count_sessions=lambda: len(worker),
        measure_load=measure_load,
        observe_latency=metrics.renewal,
    )
    tokens = TokenChecker(
        cluster,
        subject=f"system:serviceaccount:{settings.namespace}:{settings.api_service_account}",
        monotonic=clock.monotonic,
    )
    calls = Calls(
        boot=boot, find=worker.runner, may_work=may_work, rows=table, waiters=waiters, monotonic=clock.monotonic
    )
    engine_calls = EngineCalls(calls.holder_of, settings.state_dir / "pictures")
    stores = Stores(database.alive, state.store_answers)
    health = Health(
        worker_name=settings.pod_name,
        endpoint=f"http://{settings.pod_ip}:{port}",
        engine=program.version,
        session_metrics=settings.session_metrics,
        boot=boot,
        capacity=settings.sessions_per_worker,
        worker=worker,
        tenure=tenure,
        engines=engines,
        state=state,
        stores=stores,
        clock=clock,
        metrics=metrics,
        throughput=throughput,
        last_turn=lambda: keeper.last_turn,
    )
    app = create_app(calls, engine_calls, tokens, health)
    app.add_middleware(Observation, observe=answered)
    return Connector(
        Parts(
            cluster=cluster,
            database=database,
            table=table,
            state=state,
            engines=engines,
            pool=pool,
            keeper=keeper,
            worker=worker,
            successor=successor,
            mailroom=mailroom,
            tokens=tokens,
            server=HttpServer(app, listening),
            stores=stores,
            downloader=downloader,
            sampler=_sampler(settings, database, boot, worker, measure_load),
            sessions_dir=settings.state_dir / "sessions",
            shutdown_grace=settings.shutdown_grace,
        )
    )


class _Hooks:
    """The state keeper is made before the worker that it reports to."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def replicated(self, uid: str, replicated: Replicated) -> None:
        if self.worker is not None:
            self.worker.replicated(uid, replicated)

    def replication_trouble(self, uid: str, trouble: ReplicationTrouble | None) -> None:
        if self.worker is not None:
            self.worker.replication_trouble(uid, None if trouble is None else trouble.reason)


def _launcher(
    settings: ConnectorSettings, engines: LivingEngines, program: EngineProgram
) -> Callable[[], Awaitable[EngineProcess]]:
    run_dir = settings.state_dir / "run"
    run_dir.mkdir(parents=True, exist_ok=True)

    async def launch() -> EngineProcess:
        async def start(deadline: float) -> EngineProcess:
            return await EngineProcess.launch(
                environment=settings.engine_env, run_dir=run_dir, deadline=deadline, program=program.command
            )

        return await engines.spawn(start)

    return launch


def _pool_settings(settings: ConnectorSettings) -> PoolSettings:
    loads = settings.engine is Engine.NEONIZE  # the program in Go is there in 20 ms: a spare would only cost memory
    return PoolSettings(
        cohort_size=settings.cohort_size,
        spare_from=settings.engine_spare_from or None if loads else None,
        merge=settings.engine_merge,
        timings=CohortTimings(paired_settled=settings.engine_paired_settled, rest=settings.engine_merge_rest),
        limits=UsageLimits(
            descriptors=settings.engine_descriptors,
            descriptors_per_session=settings.engine_descriptors_per_session,
            threads=settings.engine_threads,
            threads_per_session=settings.engine_threads_per_session,
            memory_mib=settings.engine_memory_mib,
            memory_mib_per_session=settings.engine_memory_mib_per_session,
        ),
    )


def _sampler(
    settings: ConnectorSettings, database: Database, boot: str, worker: Worker, measure_load: LoadMeter
) -> Sampler:
    rows = SampleTable(database, namespace=settings.namespace, pool=settings.pool, worker=settings.pod_name, boot=boot)
    return Sampler(rows.write, lambda: len(worker), measure_load, first=random.random())  # noqa: S311 - spreads work, no secret


def _preparing(settings: ConnectorSettings, database: Database, clock: Clock) -> Preparing:
    uploads = Uploads(
        open_object_store(settings),
        settings.state_dir / "uploads",
        installation_id=settings.installation_id,
        now=clock.now,
    )
    return Preparing(Targets(database), uploads, clock, random.random)


def _state_settings(settings: ConnectorSettings, program: EngineProgram) -> StateSettings:
    return StateSettings(
        state_dir=settings.state_dir,
        installation_id=settings.installation_id,
        key_ring=KeyRing.parse(settings.keyring.get_secret_value()),
        s3_url=settings.s3_url,
        s3_access_key=settings.s3_access_key.get_secret_value(),
        s3_secret_key=settings.s3_secret_key.get_secret_value(),
        s3_bucket=settings.s3_bucket,
        s3_region=settings.s3_region,
        engine_version=program.version,
    )


def _first_record(
    settings: ConnectorSettings, program: EngineProgram, boot: str, port: int, clock: Clock
) -> LeaseRecord:
    now = clock.now()
    return LeaseRecord(
        name=lease_name(settings.pool, boot),
        namespace=settings.namespace,
        pool=settings.pool,
        pod_name=settings.pod_name,
        pod_uid=settings.pod_uid,
        boot_id=boot,
        endpoint=f"http://{settings.pod_ip}:{port}",
        state=LeaseState.ACTIVE,
        acquired_at=now,
        renewed_at=now,
        duration_seconds=math.ceil(settings.lease_duration),
        engine_version=program.version,
    )
