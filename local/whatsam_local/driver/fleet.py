"""Sessions with a phone and a contact each: made with kubectl, scanned, written to and from."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from whatsam_core.resources import Phase, WhatsAppSession
from whatsam_local.driver.errors import DriverError, WaitedTooLong
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.kubectl import Kubectl, session_manifest
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient

DELIVERY = 40.0
"""Seconds within which a message must have arrived."""
QR_SHOWN = 20.0
"""Seconds within which REST shows the code of a session that waits for its scan."""


@dataclass(frozen=True)
class Member:
    """A session, the phone that links it, and a contact to write with."""

    name: str
    phone: str
    contact: str


class Fleet:
    """Sessions of one tenant in one pool."""

    def __init__(
        self,
        *,
        kubectl: Kubectl,
        rest: WhatsamClient,
        simulator: SimulatorClient,
        watch: SessionWatch,
        members: list[Member],
        pool: str = "default",
    ) -> None:
        self.kubectl = kubectl
        self.rest = rest
        self.simulator = simulator
        self.watch = watch
        self.members = members
        self.pool = pool
        self._sent: dict[str, list[str]] = {member.name: [] for member in members}
        self._said: dict[str, list[str]] = {member.name: [] for member in members}

    @property
    def names(self) -> list[str]:
        """Names of all sessions."""
        return [member.name for member in self.members]

    def member(self, name: str) -> Member:
        """The member of that name."""
        return next(member for member in self.members if member.name == name)

    def apply(self) -> None:
        """`kubectl apply` of all sessions, and contacts that know the phones."""
        for member in self.members:
            self.simulator.contact(member.contact)
        manifests = [session_manifest(name, self.rest.tenant, poolRef={"name": self.pool}) for name in self.names]
        self.kubectl.apply(*manifests)

    def scan(self, members: Iterable[Member] | None = None) -> None:
        """Each phone scans its session's QR code, as read through REST."""
        for member in members or self.members:
            # The API follows the sessions by a watch of its own, which may be a moment behind ours.
            eventually(
                lambda one=member: self.rest.qr(one.name) is not None, QR_SHOWN, f"{member.name} shows a QR code"
            )
            code = self.rest.qr(member.name)
            if code is None:
                raise DriverError(f"{member.name} shows no QR code: {self.rest.session(member.name)}")
            self.simulator.scan(member.phone, code)

    def pair(self, pairing_timeout: float = 30.0, connect_timeout: float = 30.0) -> None:
        """Apply, wait for the QR codes, scan, wait for Connected, in REST too."""
        self.apply()
        self.watch.wait_phase(self.names, Phase.PAIRING, pairing_timeout)
        self.scan()
        self.watch.wait_phase(self.names, Phase.CONNECTED, connect_timeout)
        self.rest.wait_connected(self.names)

    def state(self, name: str) -> WhatsAppSession:
        """The session as last seen."""
        session = self.watch.now(name)
        if session is None:
            raise DriverError(f"{name} is gone")
        return session

    def epochs(self) -> dict[str, int]:
        """The epoch of each session."""
        return {name: self.state(name).status.epoch for name in self.names}

    def on_worker(self, worker: str) -> list[str]:
        """Names of the sessions that a worker holds."""
        return [
            name
            for name in self.names
            if (assignment := self.state(name).status.assignment) is not None and assignment.worker == worker
        ]

    def workers(self) -> Counter[str]:
        """How many sessions each worker holds."""
        held = (self.state(name).status.assignment for name in self.names)
        return Counter(assignment.worker for assignment in held if assignment is not None)

    def send(self, count: int, label: str, members: Iterable[Member] | None = None) -> None:
        """Each session sends `count` texts to its contact; all must be accepted."""

        def one(member: Member) -> None:
            for number in range(count):
                text = f"{label} out {number} of {member.name}"
                self.rest.send(member.name, member.contact, text)
                self._sent[member.name].append(text)

        self._each(members, one)

    def say(self, count: int, label: str, members: Iterable[Member] | None = None) -> None:
        """Each contact writes `count` texts to its session."""

        def one(member: Member) -> None:
            for number in range(count):
                text = f"{label} in {number} for {member.name}"
                self.simulator.say(member.contact, member.phone, text)
                self._said[member.name].append(text)

        self._each(members, one)

    def check_arrived(self, timeout: float = DELIVERY) -> None:
        """Everything that was ever sent or said has arrived exactly once, and outbound in order."""
        for member in self.members:
            self._check(member, "at the contact", self._sent, lambda m: self.simulator.texts(m.contact), timeout)
            self._check(member, "in REST", self._said, lambda m: self.rest.received(m.name), timeout)

    def exchange(self, count: int, label: str) -> None:
        """`count` messages each way for each session, and all of them arrive once."""
        self.send(count, label)
        self.say(count, label)
        self.check_arrived()

    def _check(
        self,
        member: Member,
        where: str,
        expected: dict[str, list[str]],
        read: Callable[[Member], list[str]],
        timeout: float,
    ) -> None:
        wanted = expected[member.name]

        def complete() -> bool:
            return set(wanted) <= set(read(member))

        try:
            eventually(complete, timeout, f"all {len(wanted)} messages of {member.name} {where}")
        except WaitedTooLong as error:
            missing = sorted(set(wanted) - set(read(member)))
            raise WaitedTooLong(f"{error}; missing: {missing}") from None
        arrived = read(member)
        doubled = [text for text, times in Counter(arrived).items() if times > 1]
        if doubled:
            raise DriverError(f"{member.name}: arrived more than once {where}: {doubled}")
        if [text for text in arrived if text in set(wanted)] != wanted:
            raise DriverError(f"{member.name}: arrived out of order {where}: {arrived}")

    def _each(self, members: Iterable[Member] | None, work: Callable[[Member], None]) -> None:
        with ThreadPoolExecutor(max_workers=10) as pool:
            for done in [pool.submit(work, member) for member in members or self.members]:
                done.result()


def members(prefix: str, count: int, first_phone: int) -> list[Member]:
    """Members with phone numbers counted up from `first_phone`; contacts follow behind the phones."""
    return [
        Member(f"{prefix}-{number}", str(first_phone + number), str(first_phone + 5_000 + number))
        for number in range(count)
    ]
