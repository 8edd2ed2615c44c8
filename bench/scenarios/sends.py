"""Sends in a second: through REST, row first, one session and a whole worker; a plain neonize gateway beside it.

Both as they are in service: the sessions share one process of neonize.
"""

import secrets
from collections.abc import Callable

from bench.bare import BareGateway, bare_gateway
from bench.harness import Figure, figure
from bench.load import Call, Load, drive
from bench.scenarios.support import bench_fleet, restart_worker
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.fleet import Fleet, Member

SESSIONS = 20
ROUNDS = 3
"""Ours and the baseline take turns, so that both see the same machine."""
ALONE_CALLERS = 4
"""Callers of the one session: neonize sends one message at a time, so these are enough to keep it busy."""
ALONE_EACH = 50
TOGETHER_EACH = 20


def measure(cluster: RunningCluster) -> list[Figure]:
    """One session with four callers; twenty sessions of one worker with one caller each."""
    ours_alone: list[Load] = []
    ours: list[Load] = []
    bare_alone: list[Load] = []
    bare: list[Load] = []
    with bench_fleet(cluster, SESSIONS, 1, cohortSize=SESSIONS) as fleet, bare_gateway(SESSIONS) as gateway:
        fleet.pair(180, 120)
        restart_worker(cluster, fleet)  # a session that has just paired has a process of its own for some minutes
        fleet.exchange(1, "before")
        _warm(gateway)
        url, token = cluster.environment["WHATSAM_API_URL"], fleet.rest.token
        bare_url = f"http://127.0.0.1:{gateway.port}"
        for _ in range(ROUNDS):
            ours_alone.append(drive(url, [_ours(token, fleet.members[0])] * ALONE_CALLERS, ALONE_EACH))
            bare_alone.append(drive(bare_url, [_bare(gateway, 0)] * ALONE_CALLERS, ALONE_EACH))
            ours.append(drive(url, [_ours(token, member) for member in fleet.members], TOGETHER_EACH))
            bare.append(drive(bare_url, [_bare(gateway, number) for number in range(SESSIONS)], TOGETHER_EACH))
        violations = _violations(fleet)
    return [
        figure("per_second_session", "1/s", [load.per_second for load in ours_alone], goal=120, digits=1),
        figure("p99_ms_session", "ms", [load.p99_ms for load in ours_alone], digits=0),
        figure("per_second_worker", "1/s", [load.per_second for load in ours], goal=250, digits=1),
        figure("p99_ms", "ms", [load.p99_ms for load in ours], digits=0),
        figure(
            "accepted_only", "count", [sum(load.statuses.get(202, 0) for load in ours + ours_alone)], goal=0, digits=0
        ),
        figure("bare_per_second_session", "1/s", [load.per_second for load in bare_alone], digits=1),
        figure("bare_per_second_worker", "1/s", [load.per_second for load in bare], digits=1),
        figure("bare_p99_ms", "ms", [load.p99_ms for load in bare], digits=0),
        figure("ratio_to_bare_neonize_session", "", _ratios(ours_alone, bare_alone)),
        figure("ratio_to_bare_neonize", "", _ratios(ours, bare)),
        figure("violations in the simulator's journal", "count", [violations], goal=0, digits=0),
    ]


def _ratios(ours: list[Load], bare: list[Load]) -> list[float]:
    return [mine.per_second / theirs.per_second for mine, theirs in zip(ours, bare, strict=True)]


def _ours(token: str, member: Member) -> Callable[[int], Call]:
    run = secrets.token_hex(3)

    def call(number: int) -> Call:
        path, headers = f"/api/v1/sessions/{member.name}/send", {"Authorization": f"Bearer {token}"}
        return Call(path, headers, {"to": member.contact, "text": f"bench {run} {number}"})

    return call


def _bare(gateway: BareGateway, number: int) -> Callable[[int], Call]:
    def call(count: int) -> Call:
        return Call("/", {}, {"session": number, "to": gateway.contacts[number], "text": f"bench {count}"})

    return call


def _warm(gateway: BareGateway) -> None:
    """The first message to a contact asks for its devices and keys."""
    drive(f"http://127.0.0.1:{gateway.port}", [_bare(gateway, number) for number in range(len(gateway.phones))], 2)


def _violations(fleet: Fleet) -> int:
    phones = {member.phone for member in fleet.members}
    return sum(any(phone in str(violation) for phone in phones) for violation in fleet.simulator.violations())
