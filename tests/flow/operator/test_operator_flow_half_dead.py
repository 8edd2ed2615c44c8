"""An API server that is silent, busy, broken or half dead, behind real HTTP: what the operator notices and does.

Real time with short clocks; only lower bounds of waits are asserted, so a busy machine changes nothing.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest
from operator_http import Fault, FaultyServer

from whatsam_core.storage.cluster import LEASES, SESSIONS, Conflict, ReflectTimings, Unreachable
from whatsam_operator.errors import NotLeader
from whatsam_operator.handlers.follow import Follow
from whatsam_operator.planning.election import ElectionTimings
from whatsam_operator.services.clock import now
from whatsam_operator.services.leadership import Leadership
from whatsam_operator.services.leases import LeaseReader
from whatsam_operator.storage.kube import Kube
from whatsam_operator.storage.leader_lease import LeaderLease

QUICK = ReflectTimings(
    watch_seconds=1.0, grace_seconds=0.5, list_timeout=1.0, first_delay=0.1, longest_delay=0.5, hasty_end=0.2
)
ELECTION = ElectionTimings(lease_duration=7.0, deadline=4.0, retry=0.2, request_timeout=2.0)
LIMIT = 60.0


async def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT} s: {what}"
        await asyncio.sleep(0.02)


def session_manifest(name: str, namespace: str = "ns") -> dict:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"tenant": "acme"}}


class Following:
    """What the operator's own watches bring from a faulty server."""

    def __init__(self, server: FaultyServer) -> None:
        self.server = server
        self.seen: set[str] = set()
        self.interruptions = 0
        self.breaks: list[str] = []

    def feed(self, kind, raw, removed) -> None:
        if kind is SESSIONS:
            (self.seen.discard if removed else self.seen.add)(raw["metadata"]["name"])

    def interrupted(self) -> None:
        self.interruptions += 1

    def add(self, name: str) -> None:
        self.server.api.create(SESSIONS, session_manifest(name))

    @asynccontextmanager
    async def running(self):
        async with self.server.client() as cluster:
            follow = Follow(cluster, self.feed, self.interrupted, broke=self.breaks.append, timings=QUICK)
            task = asyncio.create_task(follow.run())
            try:
                yield self
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


@pytest.fixture
async def server():
    async with FaultyServer().running() as made:
        yield made


async def test_a_watch_that_tells_nothing_is_noticed_and_replaced(server: FaultyServer) -> None:
    following = Following(server)
    following.add("before")
    server.silent_watches = 2  # one for each kind
    async with following.running():
        await eventually(lambda: "before" in following.seen, "the first list")
        await eventually(lambda: server.silent_watches == 0, "both watches are open, and silent")
        following.add("meanwhile")
        await eventually(lambda: "meanwhile" in following.seen, "what the silent watch did not tell")


async def test_a_watch_that_is_too_old_is_replaced_by_a_list(server: FaultyServer) -> None:
    following = Following(server)
    server.gone_watches = 4
    async with following.running():
        await eventually(lambda: server.gone_watches == 0, "the watches are refused")
        following.add("meanwhile")
        await eventually(lambda: "meanwhile" in following.seen, "the list")
        await eventually(lambda: following.interruptions > 0, "a complete list is asked for")


async def test_a_server_that_asks_for_time_gets_it(server: FaultyServer) -> None:
    following = Following(server)
    server.reads = Fault.BUSY
    async with following.running():
        await eventually(lambda: server.count("GET") >= 6, "it is asked again")
        server.reads = Fault.NONE
        following.add("after")
        await eventually(lambda: "after" in following.seen, "it goes on")
    for path in {path for _, _, path in server.calls[:6]}:
        asked = [at for at, _, called in server.calls[:6] if called == path]
        assert all(later - earlier >= 1.0 for earlier, later in pairwise(asked))
    assert sorted(set(following.breaks)) == ["Lease", "WhatsAppSession"], "an outage is told once for each kind"


@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.HANG])
async def test_a_dead_server_is_not_stormed(server: FaultyServer, fault: Fault) -> None:
    following = Following(server)
    server.reads = fault
    began = time.monotonic()
    async with following.running():
        await eventually(lambda: server.count("GET") >= 8, "it is asked again and again")
        asked, took = server.count("GET"), time.monotonic() - began
        server.reads = Fault.NONE
        following.add("after")
        await eventually(lambda: "after" in following.seen, "it goes on")
    # Two kinds, the waits of each drawn from [0, 0.1], [0, 0.2], [0, 0.4], [0, 0.5] …: a loop without would spin.
    assert asked <= 40 * (took + 1)


class Leading:
    """The election and one writer, against a faulty server."""

    def __init__(self, server: FaultyServer) -> None:
        self.server = server
        server.api.create(SESSIONS, session_manifest("written", namespace="whatsam"))
        self.refused = 0
        self.cluster = server.client()
        lease = LeaderLease(self.cluster, ("whatsam", "operator"), ELECTION.request_timeout)
        self.leadership = Leadership(lease, "me", ELECTION, now)
        self.kube = Kube(self.cluster, self.leadership.require)

    async def term(self) -> None:
        """Writes as fast as it may, for as long as it may."""
        while True:
            try:
                key = ("whatsam", "written")
                known = await self.kube.get(SESSIONS, key)
                version = known["metadata"]["resourceVersion"]
                await self.kube.patch_status(SESSIONS, key, version, {"epoch": int(time.time() * 1000)})
            except NotLeader:
                self.refused += 1
            except (Unreachable, Conflict):
                pass
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.leadership.run(self.term, leading=lambda _: None))
        try:
            await eventually(lambda: self.leadership.leads, "it leads")
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.cluster.close()


@pytest.mark.parametrize(
    ("fault", "both"),
    [(Fault.HANG, True), (Fault.HANG, False), (Fault.BROKEN, False), (Fault.BUSY, True)],
    ids=["hangs", "writes-hang", "writes-break", "busy"],
)
async def test_a_leader_that_cannot_renew_gives_up_and_comes_back(
    server: FaultyServer, fault: Fault, both: bool
) -> None:
    async with Leading(server).running() as leading:
        server.writes = fault
        server.reads = fault if both else Fault.NONE
        await eventually(lambda: not leading.leadership.leads, "it gives up")
        before = len(server.calls)
        with pytest.raises(NotLeader):
            leading.leadership.require()
        await eventually(lambda: len(server.calls) >= before + 3, "it looks again")
        late = [path for at, verb, path in server.calls[before:] if verb == "PATCH"]
        assert late == [], "who does not lead writes nothing"
        server.writes = server.reads = Fault.NONE
        await eventually(lambda: leading.leadership.leads, "it leads again")
        written = server.count("PATCH")
        await eventually(lambda: server.count("PATCH") > written, "and writes")


async def test_a_server_that_takes_writes_but_no_reads_ages_nobody(server: FaultyServer) -> None:
    async with Leading(server).running() as leading:
        reader = LeaseReader(leading.kube, now, named=lambda: {("ns", "boot")}, changed=lambda: None, period=0.2)
        assert await reader.read()
        missing = dict(reader.book.missing)
        server.reads = Fault.BROKEN
        assert not await reader.read()
        renewals = server.count("PUT")
        await eventually(lambda: server.count("PUT") >= renewals + 5, "it renews")
        assert leading.leadership.leads, "writing is what leading needs"
        assert not await reader.read()
        assert dict(reader.book.missing) == missing, "reads that failed make nobody older"


async def test_a_deposed_leader_finds_out_by_its_own_renewal(server: FaultyServer) -> None:
    async with Leading(server).running() as leading:
        lease = server.api.get(LEASES, ("whatsam", "operator"))
        lease["spec"] = {**lease["spec"], "holderIdentity": "another", "leaseDurationSeconds": 1}
        server.api.replace(LEASES, ("whatsam", "operator"), lease)
        await eventually(lambda: not leading.leadership.leads, "it sees that another one has the Lease")
        await eventually(lambda: leading.leadership.leads, "the other one never renews: it takes the Lease again")
