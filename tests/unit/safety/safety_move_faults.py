"""Planned moves: who asks for them, and what goes wrong in the middle of one."""

from collections.abc import Callable
from typing import Any

from safety_boot import Boot
from safety_pod import Pod
from safety_worker_faults import WorkerFaults

STEPS = ("named", "named", "ready", "ready", "handed over", "assigned")
"""Moments of a move at which something is disturbed; the first ones last longest."""


class MoveFaults(WorkerFaults):
    """One method for each way to ask for a move, and one for all ways to disturb it."""

    def migrate(self) -> None:
        """Somebody wants a session on a certain worker: also on one that has it, or that ends."""
        names = sorted(self._world.api.sessions)
        if names:
            name, pod = self._chance.choice(names), self._chance.choice(self._world.pods).name
            self._note("wanted elsewhere", f"{name} on {pod}")
            self._world.migrate(name, pod)

    def give_away(self) -> None:
        """A worker is to have no sessions for a while."""
        boot = self._boot()
        if boot is not None:
            pod = boot.pod
            self._note("cordoned", pod.name)
            pod.annotate("drain")
            self._then(lambda: pod.annotate(""))

    def roll_out(self) -> None:
        """A new template: new pods come, and old ones go, one after the other."""
        world = self._world
        self._note("rollout", "")
        world.template += 1
        wait, old = 0.0, [pod for pod in world.pods if not pod.ends]
        for pod in old:
            wait += self._chance.uniform(0.5, 2.0)
            world.schedule.after(wait, lambda: world.add_pod(f"w{len(world.pods)}"))
            wait += self._chance.uniform(1.0, 6.0)
            world.schedule.after(wait, lambda pod=pod: self._end_pod(pod))
        self.until = max(self.until, world.schedule.now + wait + 1.0)

    def _end_pod(self, pod: Pod) -> None:
        if not pod.ends:
            self._note("pod told to end", pod.name)
            pod.told_to_end()
            if (boot := pod.boot) is not None:
                boot.process.deliver(boot.drain)

    def delete_session(self) -> None:
        """Its owner deletes it; another one must be left."""
        names = sorted(self._world.api.sessions)
        if len(names) > 1:
            policy = self._chance.choice(("Retain", "Logout"))
            self._note("session deleted", f"{names[-1]} {policy}")
            self._world.delete(names[-1], policy)

    def lose_successor(self) -> None:
        """The next worker that is named or ready dies."""
        step = self._chance.choice(("named", "ready"))
        self._at_a_move(step, lambda stored: self._end(self._successor(stored)))

    def disturb_a_move(self) -> None:
        """Ask for a move, and at one of its steps let something happen to one of those who take part."""
        step = self._chance.choice(STEPS)
        ways: tuple[Callable[[Any], None], ...] = (
            lambda stored: self._end(self._successor(stored)),
            lambda stored: self._end(self._holder(stored)),
            lambda stored: self._stop(self._holder(stored)),
            lambda stored: self._stop(self._successor(stored)),
            lambda stored: self._cut_off(self._holder(stored)),
            lambda stored: self._cut_off(self._successor(stored)),
            lambda stored: self._drain(self._successor(stored)),
            lambda stored: self._drain(self._holder(stored)),
            lambda _: self.kill_leader(),
            lambda _: self.freeze_leader(),
            lambda _: self.cut_off_leader(),
            lambda _: self.lose_leader_at_a_write(),
            lambda _: self.store_away(),
            lambda _: self.slow_store(),
            lambda _: self.api_away(),
            lambda _: self.stall_watch(),
            self._elsewhere,
            self._stop_and_start,
            lambda _: self.delete_session(),
            lambda _: self.foreign_login(),
        )
        way = self._chance.choice(ways)
        self._note("move about to be disturbed", step)
        self._at_a_move(step, way)
        self._chance.choice((self.migrate, self.migrate, self.drain_pod))()

    def _at_a_move(self, step: str, way: Callable[[Any], None]) -> None:
        world = self._world

        def seen(now: str, stored: Any) -> None:
            if now == step:
                world.api.on_move.remove(seen)
                delay = self._chance.choice((0.0, self._chance.uniform(0.0, 0.3), self._chance.uniform(0.0, 2.0)))
                world.schedule.after(delay, lambda: way(stored))

        world.api.on_move.append(seen)
        self.until = max(self.until, world.schedule.now + 6.0)

    def _heal_moves(self) -> None:
        """Nothing happens to moves any more."""
        del self._world.api.on_move[1:]  # the first one is the witness
        for pod in self._world.pods:
            if pod.cordon:
                pod.annotate("")

    # --- whom it meets ------------------------------------------------------------------------------------------------

    def _successor(self, stored: Any) -> Boot | None:
        return self._boot_of(stored["status"].get("next") or {})

    def _holder(self, stored: Any) -> Boot | None:
        return self._boot_of(stored["status"].get("assignment") or {})

    def _boot_of(self, named: Any) -> Boot | None:
        boots = (pod.boot for pod in self._world.pods if pod.boot is not None)
        return next((boot for boot in boots if boot.boot_id == named.get("bootId") and not boot.over), None)

    # --- what happens to it -------------------------------------------------------------------------------------------

    def _end(self, boot: Boot | None) -> None:
        if boot is not None:
            self._note("killed in a move", boot.boot_id)
            boot.pod.container_ends(boot, 137)

    def _stop(self, boot: Boot | None) -> None:
        if boot is None:
            return
        processes = [boot.process]
        if self._chance.random() < 0.7:
            processes += [boot.shipping, *(engine.process for engine in boot.engines_ever)]
        self._freeze("frozen in a move", boot.boot_id, *processes)

    def _cut_off(self, boot: Boot | None) -> None:
        if boot is not None:
            self._cut("cut off in a move", boot.boot_id, boot.link)

    def _drain(self, boot: Boot | None) -> None:
        if boot is not None:
            self._end_pod(boot.pod)
            self._world.schedule.after(1.0, lambda: self._world.add_pod(f"w{len(self._world.pods)}"))

    def _elsewhere(self, stored: Any) -> None:
        name, pod = stored["metadata"]["name"], self._chance.choice(self._world.pods).name
        self._note("wanted elsewhere in a move", f"{name} on {pod}")
        self._world.migrate(name, pod)

    def _stop_and_start(self, stored: Any) -> None:
        name = stored["metadata"]["name"]
        self._note("stopped in a move", name)
        self._world.want(name, "Stopped")
        lasts = self._chance.uniform(0.1, 6.0)
        self.until = max(self.until, self._world.schedule.now + lasts + 0.1)
        self._world.schedule.after(lasts, lambda: self._world.want(name, "Running"))
