"""What goes wrong in a run: which kinds, when, and for how long. A run has few kinds, so that each has runs of its own.

Durations are drawn near the clocks that they race: just before and just after a fence, a Lease, a leader's deadline.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from safety_boot import Boot
from safety_clock import Process
from safety_wire import Link

from whatsam_core.lease import LeaseTimings

if TYPE_CHECKING:
    from safety_world import World

LONGEST = 30.0
"""Real seconds in which faults begin."""


NARROW = LeaseTimings(request_timeout=4.0, hard_fence=14.5)
"""Little time between the hard fence and the Lease's end; only for clocks that run right."""
CLOCKS = (
    LeaseTimings(),
    LeaseTimings(),
    LeaseTimings().scaled(2.0),
    LeaseTimings(renew_period=3.0, soft_fence=9.0),
    LeaseTimings(request_timeout=6.0),
    NARROW,
)
"""Clocks that production accepts."""


class Near(Enum):
    """Which clock the durations of a story race."""

    ANY = "any"
    FENCE = "fence"
    EXPIRY = "expiry"
    LEADER = "leader"
    OUTAGE = "outage"


@dataclass(frozen=True)
class Story:
    """Kinds of faults that belong together, and the clock that they race."""

    kinds: tuple[str, ...]
    near: Near = Near.ANY
    clocks: tuple[LeaseTimings, ...] = CLOCKS


STORIES: dict[str, Story] = {
    "anything": Story(()),
    "back at the last moment": Story(("race_a_write", "race_a_write", "cut_off_worker", "slow_leader"), Near.EXPIRY),
    "back too late": Story(("cut_off_worker", "cut_off_worker", "cut_off_worker", "stall_watch"), Near.OUTAGE),
    "frozen supervisor": Story(
        ("freeze_supervisor", "freeze_behind_a_slow_answer"), Near.OUTAGE, (LeaseTimings(), NARROW)
    ),
    "restarts in place": Story(
        (
            "kill_container",
            "kill_supervisor",
            "stall_watch",
            "lose_track",
            "restart_with_clock_set_back",
            "restart_with_clock_set_back",
        )
    ),
    "pods replaced": Story(("force_delete_pod", "drain_pod", "freeze_engine", "lose_answers")),
    "API server away": Story(("api_away", "lose_answers"), Near.OUTAGE),
    "leaders": Story(
        (
            "lose_leader_at_a_write",
            "lose_leader_at_a_write",
            "cut_off_leader",
            "freeze_leader",
            "kill_leader",
            "end_leader",
            "kill_container",
            "kill_container",
            "race_a_write",
        ),
        Near.LEADER,
    ),
    "Leases touched": Story(("delete_lease", "touch_lease", "lose_answers", "slow_worker", "stall_watch")),
    "state behind": Story(("slow_store", "store_away", "kill_container", "late_base", "late_base", "force_delete_pod")),
    "restored from a backup": Story(
        ("restore_cluster", "restore_cluster", "kill_container", "drain_pod", "slow_store")
    ),
    "stopped and started": Story(("stop_and_start", "foreign_login", "drain_pod", "kill_container", "stall_watch")),
}
"""Half of all runs have one of these; the others have any faults."""


def story_of(chance: random.Random, name: str | None) -> Story:
    """The story of that name, or one that the seed chooses."""
    return STORIES[name or chance.choice(("anything", chance.choice(tuple(STORIES))))]


class Faults:
    """The bad luck of one run."""

    def __init__(self, world: "World", story: Story) -> None:
        self._world = world
        self._story = story
        self._chance = world.chance
        self._begin_until = 5.0 + world.chance.uniform(5.0, LONGEST)
        self.until = self._begin_until
        """When all faults are over; it moves while they happen."""
        self._kinds: tuple[Callable[[], None], ...] = (
            self.freeze_supervisor,
            self.freeze_engine,
            self.freeze_container,
            self.freeze_shipper,
            self.suspend_machine,
            self.kill_supervisor,
            self.kill_engine,
            self.kill_container,
            self.cut_off_worker,
            self.slow_worker,
            self.slow_store,
            self.slow_leader,
            self.lose_answers,
            self.race_a_write,
            self.freeze_behind_a_slow_answer,
            self.late_base,
            self.lose_leader_at_a_write,
            self.stall_watch,
            self.cut_off_leader,
            self.freeze_leader,
            self.kill_leader,
            self.end_leader,
            self.api_away,
            self.store_away,
            self.force_delete_pod,
            self.drain_pod,
            self.lose_track,
            self.set_wall_clock,
            self.restart_with_clock_set_back,
            self.delete_lease,
            self.touch_lease,
            self.foreign_login,
            self.stop_and_start,
            self.restore_cluster,
        )

    def plan(self) -> None:
        """Choose kinds, then moments."""
        kinds = self._chance.sample(self._kinds, self._chance.choice((1, 2, 3, 4)))
        if self._story.kinds:
            kinds = [getattr(self, name) for name in self._story.kinds]
        for _ in range(self._chance.choice((1, 1, 2, 2, 3, 4, 6, 9))):
            kind = self._chance.choice(kinds)
            self._world.schedule.at(self._chance.uniform(3.0, self._begin_until), kind)

    def heal(self) -> None:
        """All faults are over: everything goes on, passes and answers."""
        world = self._world
        world.api.come_back()
        world.store.down = world.store.slow = False
        for pod in list(world.pods):
            if pod.boot is not None:
                self._heal_boot(pod.boot)
        for operator in world.operators:
            _heal(operator.process, operator.link)
        for _, watch in world.api.watches:
            watch.stalled = False
        while sum(1 for operator in world.operators if operator.process.alive) < 2:
            world.add_operator()

    def _heal_boot(self, boot: Boot) -> None:
        _heal(boot.process, boot.link, boot.store_link)
        _heal(boot.shipping, *boot.shipper_links)
        for engine in boot.engines_ever:
            engine.process.thaw()

    # --- how long -----------------------------------------------------------------------------------------------------

    def _while(self) -> float:
        timings, election = self._world.timings, self._world.election
        chance, duration = self._chance, timings.lease_duration
        near = self._story.near if chance.random() < 0.75 else Near.ANY
        if near is Near.ANY:
            near = chance.choice((Near.FENCE, Near.EXPIRY, Near.OUTAGE, Near.LEADER, None))
        match near:
            case Near.FENCE:
                return chance.uniform(timings.soft_fence * 0.95, duration * 1.4)
            case Near.EXPIRY:
                return chance.uniform(duration - timings.renew_period * 1.2, duration + 2.0)
            case Near.LEADER:
                return chance.uniform(election.deadline * 0.9, election.lease_duration * 1.5)
            case Near.OUTAGE:
                return chance.uniform(duration, duration * 2.5)
            case _:
                return chance.uniform(0.05, 4.0)

    def _then(self, work: Callable[[], None]) -> None:
        lasts = self._while()
        self.until = max(self.until, self._world.schedule.now + lasts + 0.1)
        self._world.schedule.after(lasts, work)

    # --- whom ---------------------------------------------------------------------------------------------------------

    def _boot(self) -> Boot | None:
        """A living boot; rather one that has sessions."""
        living = [pod.living for pod in self._world.pods if pod.living is not None]
        busy = [boot for boot in living if boot.runners]
        return self._chance.choice(busy or living) if living else None

    def _note(self, what: str, about: object) -> None:
        self._world.witness.note(f"fault: {what}", str(about))

    # --- processes ----------------------------------------------------------------------------------------------------

    def _freeze(self, what: str, about: object, *processes: Process) -> None:
        self._note(what, about)
        for process in processes:
            process.freeze()

        def go_on() -> None:
            self._note("(goes on)", about)
            for process in processes:
                process.thaw()

        self._then(go_on)

    def freeze_supervisor(self) -> None:
        boot = self._boot()
        if boot is not None:
            self._freeze("supervisor frozen", boot.boot_id, boot.process)

    def freeze_engine(self) -> None:
        boot = self._boot()
        if boot is not None and boot.engines:
            engine = self._chance.choice(sorted(boot.engines, key=str))
            self._freeze("engine frozen", engine, engine.process)

    def freeze_container(self) -> None:
        boot = self._boot()
        if boot is not None:
            engines = [engine.process for engine in boot.engines_ever]
            self._freeze("container frozen", boot.boot_id, boot.process, boot.shipping, *engines)

    def freeze_shipper(self) -> None:
        boot = self._boot()
        if boot is not None:
            self._freeze("shipper frozen", boot.boot_id, boot.shipping)

    def suspend_machine(self) -> None:
        self.freeze_container()  # its clocks go on, and its kernel timers fire before anything else runs

    def kill_supervisor(self) -> None:
        boot = self._boot()
        if boot is not None:
            boot.pod.supervisor_dies(boot)

    def kill_engine(self) -> None:
        boot = self._boot()
        if boot is not None and boot.engines:
            self._chance.choice(sorted(boot.engines, key=str)).kill()

    def kill_container(self) -> None:
        boot = self._boot()
        if boot is not None:
            boot.pod.container_ends(boot, 137)

    # --- ways ---------------------------------------------------------------------------------------------------------

    def _cut(self, what: str, about: object, link: Link) -> None:
        self._note(what, about)
        link.cut = True

        def pass_again() -> None:
            self._note("(passes again)", about)
            link.cut = False
            self._perhaps_deaf(link)

        self._then(pass_again)

    def _perhaps_deaf(self, link: Link) -> None:
        """A watch may not have noticed that its connection is dead."""
        for _, watch in self._world.api.watches:
            if watch.goes_by(link) and self._chance.random() < 0.5:
                watch.stalled = True
                lasts = self._chance.uniform(0.5, 8.0)
                self._world.schedule.after(lasts, lambda watch=watch: setattr(watch, "stalled", False))

    def cut_off_worker(self) -> None:
        boot = self._boot()
        if boot is not None:
            self._cut("worker cut off", boot.boot_id, boot.link)

    def slow_worker(self) -> None:
        boot = self._boot()
        if boot is not None:
            self._note("worker slow", boot.boot_id)
            boot.link.slow = True
            self._then(lambda: setattr(boot.link, "slow", False))

    def slow_store(self) -> None:
        self._note("store slow", "")
        self._world.store.slow = True
        self._then(lambda: setattr(self._world.store, "slow", False))

    def slow_leader(self) -> None:
        leader = next((operator for operator in self._world.operators if operator.leads), None)
        if leader is not None:
            self._note("leader slow", leader.name)
            leader.link.slow = True
            self._then(lambda: setattr(leader.link, "slow", False))

    def race_a_write(self) -> None:
        """A worker is cut off until the leader is about to write; that write may be slow, and the worker is back."""
        boot = self._boot()
        if boot is None:
            return
        self._note("cut off until a write", boot.boot_id)
        boot.link.cut = True

        def pass_again() -> None:
            self._note("(passes again)", boot.boot_id)
            boot.link.cut = False
            self._perhaps_deaf(boot.link)

        def about_to_write(leader: Link) -> None:
            if boot.link.cut:
                leader.hold = self._chance.choice((0.0, self._chance.uniform(0.1, 4.0)))
                self._world.schedule.after(self._chance.uniform(0.0, 0.4), pass_again)

        self._world.before_write.append(about_to_write)
        self.until = max(self.until, self._world.schedule.now + 3.0 * self._world.timings.lease_duration)

    def freeze_behind_a_slow_answer(self) -> None:
        boot = self._boot()
        if boot is not None:
            self._note("answers late", boot.boot_id)
            boot.link.answers_late = True
            self._world.schedule.after(
                self._chance.uniform(3.0, 8.0), lambda: self._freeze("supervisor frozen", boot.boot_id, boot.process)
            )
            self._then(lambda: setattr(boot.link, "answers_late", False))

    def late_base(self) -> None:
        """The container ends with a base under way, which arrives much later."""
        boot = self._boot()
        if boot is not None:
            self._note("base under way", boot.boot_id)
            for link in boot.shipper_links:
                link.hold = self._chance.uniform(3.0, 40.0)
            self._world.schedule.after(self._chance.uniform(0.5, 6.0), lambda: boot.pod.container_ends(boot, 137))

    def lose_answers(self) -> None:
        boot = self._boot()
        if boot is not None:
            self._note("answers lost", boot.boot_id)
            boot.link.lossy = self._chance.choice((0.3, 0.7, 1.0))
            self._then(lambda: setattr(boot.link, "lossy", 0.0))

    def stall_watch(self) -> None:
        if self._world.api.watches:
            _, watch = self._chance.choice(self._world.api.watches)
            self._note("watch silent", "")
            watch.stalled = True
            self._then(lambda: setattr(watch, "stalled", False))

    def api_away(self) -> None:
        overloaded = self._chance.random() < 0.5
        self._note("API server away", "but for leaders" if overloaded else "")
        self._world.api.go_away(overloaded=overloaded)
        self._then(self._world.api.come_back)

    def store_away(self) -> None:
        self._note("object store away", "")
        self._world.store.down = True
        self._then(lambda: setattr(self._world.store, "down", False))

    # --- operators ----------------------------------------------------------------------------------------------------

    def cut_off_leader(self) -> None:
        for operator in self._world.operators:
            if operator.leads:
                self._cut("leader cut off", operator.name, operator.link)
                return

    def freeze_leader(self) -> None:
        for operator in self._world.operators:
            if operator.leads:
                self._freeze("leader frozen", operator.name, operator.process)
                return

    def kill_leader(self) -> None:
        for operator in self._world.operators:
            if operator.leads and operator.process.alive:
                self._note("leader killed", operator.name)
                operator.process.die()
                self._world.schedule.after(self._chance.uniform(1.0, 5.0), self._world.add_operator)
                return

    def lose_leader_at_a_write(self) -> None:
        """Its next write is on its way for long; meanwhile it is cut off, stopped or dead."""
        self._note("leader about to be lost", "")

        def about_to_write(leader: Link) -> None:
            self._world.before_write.remove(about_to_write)
            leader.hold = self._chance.uniform(2.0, 20.0)
            self._world.schedule.after(
                0.001, self._chance.choice((self.cut_off_leader, self.freeze_leader, self.kill_leader))
            )

        self._world.before_write.append(about_to_write)

    def end_leader(self) -> None:
        for operator in self._world.operators:
            if operator.leads and operator.process.alive:
                self._note("leader told to end", operator.name)
                operator.end()
                self._world.schedule.after(1.0, operator.process.die)
                self._world.schedule.after(self._chance.uniform(1.0, 5.0), self._world.add_operator)
                return

    # --- pods ---------------------------------------------------------------------------------------------------------

    def force_delete_pod(self) -> None:
        boot = self._boot()
        if boot is None:
            return
        pod, world = boot.pod, self._world
        self._note("pod force-deleted", pod.name)
        pod.gone = pod.ends = True
        world.api.remove_pod(pod.name)
        self._then(lambda: pod.container_ends(pod.boot, 137) if pod.boot is not None else None)
        name = pod.name if self._chance.random() < 0.5 else f"w{len(world.pods)}"
        world.schedule.after(self._chance.uniform(0.1, 3.0), lambda: world.add_pod(name))

    def drain_pod(self) -> None:
        boot = self._boot()
        if boot is None:
            return
        pod, world = boot.pod, self._world
        self._note("pod told to end", pod.name)
        pod.ends = True
        raw = world.api.pods.get(pod.name)
        if raw is not None:
            world.api.put_pod({**raw, "metadata": {**raw["metadata"], "deletionTimestamp": "2026-01-01T12:00:00Z"}})
        world.schedule.after(self._chance.uniform(0.0, 1.0), lambda: boot.process.deliver(boot.drain))
        world.schedule.after(self._chance.uniform(0.1, 3.0), lambda: world.add_pod(f"w{len(world.pods)}"))

    def lose_track(self) -> None:
        boot = self._boot()
        if boot is not None:
            self._note("kubelet loses track", boot.pod.name)
            boot.pod.lose_track()

    def restart_with_clock_set_back(self) -> None:
        """A container restarts on a machine whose wall clock is set back; the kubelet tells late of the end."""
        boot = self._boot()
        if boot is None:
            return
        self._note("restart, clock set back", boot.pod.name)
        boot.pod.report_late = self._chance.uniform(0.0, 8.0)
        boot.pod.container_ends(boot, 137)
        boot.machine.wall_offset -= self._chance.uniform(2.0, 60.0)

    def set_wall_clock(self) -> None:
        boot = self._boot()
        if boot is not None:
            self._note("wall clock set", boot.pod.name)
            boot.machine.wall_offset += self._chance.uniform(-100.0, 100.0)

    # --- people, and others -------------------------------------------------------------------------------------------

    def delete_lease(self) -> None:
        if self._world.api.leases:
            name = self._chance.choice(sorted(self._world.api.leases))
            self._note("Lease deleted", name)
            self._world.api.delete_lease(name)

    def touch_lease(self) -> None:
        if self._world.api.leases:
            name = self._chance.choice(sorted(self._world.api.leases))
            self._note("Lease touched", name)
            self._world.api.touch_lease(name)

    def foreign_login(self) -> None:
        name = self._chance.choice(sorted(self._world.api.sessions))
        if self._world.whatsapp.foreign_login(name):
            self._note("foreign login", name)

    def restore_cluster(self) -> None:
        """The cluster's objects are lost and come back from a backup; the object store is as it was."""
        world = self._world
        backup = dict(world.api.sessions)
        self._note("backup taken", "")

        def restore() -> None:
            self._note("cluster restored from the backup", "")
            for pod in world.pods:
                if pod.boot is not None:
                    pod.container_ends(pod.boot, 137)
            for operator in world.operators:
                operator.process.die()
            for _ in range(2):
                world.add_operator()
            for name in sorted(world.api.leases):
                world.api.delete_lease(name)
            world.api.leader = None
            for name, raw in backup.items():
                world.witness.restored(name)
                world.api.put_session(raw)

        lasts = self._chance.uniform(3.0, 25.0)
        self.until = max(self.until, world.schedule.now + lasts + 0.1)
        world.schedule.after(lasts, restore)

    def stop_and_start(self) -> None:
        name = self._chance.choice(sorted(self._world.api.sessions))
        self._note("stopped", name)
        self._world.want(name, "Stopped")
        self._world.schedule.after(self._chance.uniform(0.1, 6.0), lambda: self._world.want(name, "Running"))


def _heal(process: Process, *links: Link) -> None:
    process.thaw()
    for link in links:
        link.cut = link.slow = link.answers_late = False
        link.lossy = 0.0
