"""Sends in a second, each engine and a plain neonize gateway: one session, and a whole worker with twenty.

`per_second_session` and `per_second_rest` are what callers of the REST API see: each sends one message after the other
and has its answer when WhatsApp's server has taken the message, with the row in PostgreSQL before. API, PostgreSQL,
simulator, and the callers themselves share the machine's cores with the worker.

`per_second_worker` is the worker's own rate: 2,000 rows, the same number for each of the twenty sessions, become
visible in PostgreSQL by one commit, as after an outage; from there until the last one is settled as sent. No caller and
no API takes part; the worker claims the rows, sends them and writes the outcome, all durable as ever.

All sessions of an engine share one process, as they do in service.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg

from bench.bare import BareGateway, bare_gateway
from bench.harness import Figure, figure
from bench.load import Call, Load, drive
from bench.scenarios.support import bench_fleet, engines, named, restart_worker
from whatsam_core.message_ids import at_of, new_message_id
from whatsam_core.resources import Engine
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import DriverError
from whatsam_local.driver.fleet import Fleet, Member

SESSIONS = 20
ROUNDS = 3
"""The engines and the baseline take turns, so that all see the same machine."""
ALONE_CALLERS = 4
"""Callers of the one session: an engine sends one message of a session at a time, so these keep it busy."""
ALONE_EACH = 50
TOGETHER_EACH = 20
BACKLOG_EACH = 100
"""Rows of each session that are worked off."""
WITHIN = 120.0
"""Seconds in which they must be."""

SESSION_GOAL = {Engine.NEONIZE: 120.0, Engine.WHATSMEOW: None}
WORKER_GOAL = {Engine.NEONIZE: 250.0, Engine.WHATSMEOW: 500.0}

# As the API inserts it, with another text: the row that it is made of was the API's.
_COPY = """
insert into messages (id, at, session, tenant, session_uid, direction, chat, contact, type, body, status)
select $1, $2, session, tenant, session_uid, direction, chat, contact, type,
    jsonb_set(body, '{text}', to_jsonb($4::text)), 'pending'
from messages where id = $3
"""


@dataclass
class _Contestant:
    """Somebody who sends: an engine of ours, or the baseline."""

    url: str
    callers: list[Callable[[int], Call]]
    """One for each session."""
    alone: list[Load] = field(default_factory=list[Load])
    together: list[Load] = field(default_factory=list[Load])

    def turn(self) -> None:
        """One session with four callers; then all of them with one caller each."""
        self.alone.append(drive(self.url, [self.callers[0]] * ALONE_CALLERS, ALONE_EACH))
        self.together.append(drive(self.url, self.callers, TOGETHER_EACH))

    def against(self, other: "_Contestant") -> list[Figure]:
        """How many times as fast as another one, round by round."""
        return [
            figure("ratio_to_bare_neonize_session", "", _ratios(self.alone, other.alone)),
            figure("ratio_to_bare_neonize", "", _ratios(self.together, other.together)),
        ]


def measure(cluster: RunningCluster) -> list[Figure]:
    """The engines and the baseline in turns; then each worker works off what lies in PostgreSQL."""
    with ExitStack() as stack:
        gateway = stack.enter_context(bare_gateway(SESSIONS))
        bare = _Contestant(f"http://127.0.0.1:{gateway.port}", [_bare(gateway, number) for number in range(SESSIONS)])
        drive(bare.url, bare.callers, 2)  # the first message to a contact asks for its devices and keys
        fleets: dict[Engine, Fleet] = {}
        for engine in engines():
            fleets[engine] = stack.enter_context(
                bench_fleet(cluster, SESSIONS, 1, engine=engine.value, cohortSize=SESSIONS)
            )
            _ready(cluster, fleets[engine])
        url = cluster.environment["WHATSAM_API_URL"]
        ours = {engine: _Contestant(url, _callers(fleet)) for engine, fleet in fleets.items()}
        for _ in range(ROUNDS):
            for contestant in (*ours.values(), bare):
                contestant.turn()
        figures: list[Figure] = []
        for engine, contestant in ours.items():
            backlog = [_worked_off(cluster, fleets[engine]) for _ in range(ROUNDS)]
            figures += named(engine, _figures(engine, contestant, backlog, bare))
        violations = sum(_violations(fleet) for fleet in fleets.values())
    return [
        *figures,
        figure("bare_per_second_session", "1/s", [load.per_second for load in bare.alone], digits=1),
        figure("bare_per_second_worker", "1/s", [load.per_second for load in bare.together], digits=1),
        figure("bare_p99_ms", "ms", [load.p99_ms for load in bare.together], digits=0),
        figure("violations in the simulator's journal", "count", [violations], goal=0, digits=0),
    ]


def _figures(engine: Engine, ours: _Contestant, backlog: list[float], bare: _Contestant) -> list[Figure]:
    accepted = sum(load.statuses.get(202, 0) for load in ours.together + ours.alone)
    per_session = [load.per_second for load in ours.alone]
    through_rest = [load.per_second for load in ours.together]
    return [
        figure("per_second_session", "1/s", per_session, goal=SESSION_GOAL[engine], digits=1),
        figure("p99_ms_session", "ms", [load.p99_ms for load in ours.alone], digits=0),
        figure("per_second_worker", "1/s", backlog, goal=WORKER_GOAL[engine], digits=1),
        figure("per_second_rest", "1/s", through_rest, digits=1),
        figure("p99_ms", "ms", [load.p99_ms for load in ours.together], digits=0),
        figure("accepted_only", "count", [accepted], goal=0, digits=0),
        *ours.against(bare),
    ]


def _ready(cluster: RunningCluster, fleet: Fleet) -> None:
    """Paired, and in one process: a session that has just paired has one of its own for some minutes."""
    fleet.pair(180, 120)
    restart_worker(cluster, fleet)
    fleet.exchange(1, "before")


def _ratios(ours: list[Load], bare: list[Load]) -> list[float]:
    return [mine.per_second / theirs.per_second for mine, theirs in zip(ours, bare, strict=True)]


def _callers(fleet: Fleet) -> list[Callable[[int], Call]]:
    return [_caller(fleet.rest.token, member) for member in fleet.members]


def _caller(token: str, member: Member) -> Callable[[int], Call]:
    run = secrets.token_hex(3)

    def call(number: int) -> Call:
        path, headers = f"/api/v1/sessions/{member.name}/send", {"Authorization": f"Bearer {token}"}
        return Call(path, headers, {"to": member.contact, "text": f"bench {run} {number}"})

    return call


def _bare(gateway: BareGateway, number: int) -> Callable[[int], Call]:
    def call(count: int) -> Call:
        return Call("/", {}, {"session": number, "to": gateway.contacts[number], "text": f"bench {count}"})

    return call


def _worked_off(cluster: RunningCluster, fleet: Fleet) -> float:
    """Messages in a second, of rows that were in PostgreSQL before anybody was told of them."""
    sessions = [f"{one.metadata.namespace}/{one.metadata.name}" for one in map(fleet.state, fleet.names)]
    return asyncio.run(_work_off(cluster.environment["WHATSAM_DATABASE_URL"], sessions))


async def _work_off(url: str, sessions: list[str]) -> float:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "select distinct on (session) session, id from messages"
            " where session = any($1) and direction = 'out' and type = 'text' order by session, at desc",
            sessions,
        )
        run, copies = secrets.token_hex(3), list[tuple[object, ...]]()
        for number in range(BACKLOG_EACH):
            for row in rows:
                fresh = new_message_id(datetime.now(UTC))
                copies.append((fresh, at_of(fresh), row["id"], f"backlog {run} {number}"))
        async with connection.transaction():
            await connection.executemany(_COPY, copies)
        began = time.monotonic()
        for session in sessions:
            await connection.execute("select pg_notify('whatsam_messages', $1)", session)
        while await connection.fetchval("select count(*) from open_messages where session = any($1)", sessions):
            if time.monotonic() - began > WITHIN:
                raise DriverError(f"not all of {len(copies)} messages were sent within {WITHIN:g} s")
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - began
        unsent = await connection.fetchval(
            "select count(*) from messages where id = any($1) and status in ('pending', 'failed')",
            [copy[0] for copy in copies],
        )
        if unsent:
            raise DriverError(f"{unsent} of {len(copies)} messages were not sent")
        return len(copies) / seconds
    finally:
        await connection.close()


def _violations(fleet: Fleet) -> int:
    phones = {member.phone for member in fleet.members}
    return sum(any(phone in str(violation) for phone in phones) for violation in fleet.simulator.violations())
