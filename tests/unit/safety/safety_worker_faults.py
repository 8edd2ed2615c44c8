"""What goes wrong with workers: their processes, pods and machines, and their ways to the servers."""

from safety_boot import Boot
from safety_luck import Luck
from safety_wire import Link


class WorkerFaults(Luck):
    """One method for each kind of fault."""

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

    def lose_answers(self) -> None:
        boot = self._boot()
        if boot is not None:
            self._note("answers lost", boot.boot_id)
            boot.link.lossy = self._chance.choice((0.3, 0.7, 1.0))
            self._then(lambda: setattr(boot.link, "lossy", 0.0))

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

    def lose_worker_at_a_start(self) -> None:
        """The next session that starts somewhere has its first base on the way when its worker and its file go."""
        self._note("worker about to be lost", "")

        def about_to_store(boot: Boot, link: Link) -> None:
            self._world.before_first_base.remove(about_to_store)
            link.hold = self._chance.uniform(3.0, 15.0)
            self._world.schedule.after(self._chance.uniform(0.8, 4.0), lambda: self._lose(boot))

        self._world.before_first_base.append(about_to_store)

    def _lose(self, boot: Boot) -> None:
        pod, world = boot.pod, self._world
        pod.gone = pod.ends = True
        pod.container_ends(boot, 137)
        world.api.remove_pod(pod.name)
        world.add_pod(f"w{len(world.pods)}")

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
        pod.told_to_end()
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
