"""What goes wrong in a run: the faults of servers, operators and people, and the choice among all kinds."""

from safety_boot import Boot
from safety_clock import Process
from safety_move_faults import MoveFaults
from safety_stories import KINDS
from safety_wire import Link


class Faults(MoveFaults):
    """All kinds of faults. A run has few of them, so that each has runs of its own."""

    def plan(self) -> None:
        """Choose kinds, then moments."""
        kinds = self._story.kinds or self._chance.sample(KINDS, self._chance.choice((1, 2, 3, 4)))
        for _ in range(self._chance.choice((1, 1, 2, 2, 3, 4, 6, 9))):
            kind = self._chance.choice(kinds)
            self._world.schedule.at(self._chance.uniform(3.0, self._begin_until), getattr(self, kind))

    def heal(self) -> None:
        """All faults are over: everything goes on, passes and answers."""
        world = self._world
        world.api.come_back()
        world.store.down = world.store.slow = False
        self._heal_moves()
        for pod in list(world.pods):
            if pod.boot is not None:
                self._heal_boot(pod.boot)
                pod.find_again()
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
        if not self._world.api.sessions:
            return
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
        if not self._world.api.sessions:
            return
        name = self._chance.choice(sorted(self._world.api.sessions))
        self._note("stopped", name)
        self._world.want(name, "Stopped")
        self._world.schedule.after(self._chance.uniform(0.1, 6.0), lambda: self._world.want(name, "Running"))


def _heal(process: Process, *links: Link) -> None:
    process.thaw()
    for link in links:
        link.cut = link.slow = link.answers_late = False
        link.lossy = 0.0
