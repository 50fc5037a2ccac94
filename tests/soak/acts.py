"""What happens to the services and their supervisor: one act of these at a time, as the seed has it."""

import signal
import time

import stage
from services import Burst, Grow, Redis

# Of the wall: what may be live at once, and how far below its first size it is set.  An OOM kill is then never due to
# live memory.
LIVE_SHARE = 0.72
WALL_STEP_MIB = 24


class Acts:
    def __init__(self, soak, random):
        self.soak, self.random = soak, random
        self.later = []  # (when, what to call)
        self.target_bytes = 0  # the wall that is aimed at; 0: it stays
        self.step_at = 0
        self.weights = {
            self.burst: 12, self.grow: 5, self.shed: 2, self.fill: 3, self.flush: 3, self.ask: 2, self.end_process: 3,
            self.stop_process: 3, self.stop_supervisor: 1, self.block_log: 1, self.reload: 3, self.reload_bad: 1,
            self.lower_wall: 2, self.raise_wall: 2, self.kill_supervisor: 1, self.restart_supervisor: 1,
        }

    def one(self, may_end_supervisor):
        acts = dict(self.weights)
        if not may_end_supervisor:
            del acts[self.kill_supervisor], acts[self.restart_supervisor]
        act = self.random.choices(list(acts), list(acts.values()))[0]
        told = act()
        if told:
            self.soak.tell(f"{act.__name__}: {told}")

    def due(self):
        """Ends what was begun for a time, and moves the wall towards where it is to be."""
        now = time.monotonic()
        ready = [what for when, what in self.later if when <= now]
        self.later = [(when, what) for when, what in self.later if when > now]
        for what in ready:
            what()
        if self.target_bytes and now >= self.step_at:
            self.step_at = now + 0.2
            self._step_wall()

    def finish(self):
        """Ends all that was begun for a time; the wall is the first one again, and nothing holds more than at rest."""
        for _, what in self.later:
            what()
        self.later = []
        self.target_bytes = 0
        self.soak.stage.set_wall(self.soak.wall_bytes)
        for service in self.soak.services:
            if isinstance(service, Redis) and service.is_full:
                service.flush()
            if isinstance(service, Grow) and service.live_mib():
                stage.send(service.pid, signal.SIGTERM)

    def after(self, least_s, most_s, what):
        seconds = self.random.uniform(least_s, most_s)
        self.later.append((time.monotonic() + seconds, what))
        return f"for {seconds:.1f} s"

    # --- memory -----------------------------------------------------------------------------

    def _fits(self, more_mib):
        wall = min(self.soak.stage.wall_bytes, self.target_bytes or self.soak.stage.wall_bytes)
        return self.soak.live_mib() + more_mib <= LIVE_SHARE * wall / stage.MIB

    def _choose(self, kind):
        return self.random.choice([service for service in self.soak.services if isinstance(service, kind)])

    def burst(self):
        service = self._choose(Burst)
        pid = self.soak.main_pid(service)
        if pid is None or service.live_mib() or not self._fits(service.peak_mib):
            return None
        service.poke(pid)
        return f"{service.name} {pid}"

    def grow(self):
        service = self._choose(Grow)
        pid = self.soak.main_pid(service)
        if pid is None or not self._fits(service.step_mib):
            return None
        service.poke(pid)
        return f"{service.name} {pid} to {service.held_mib} MiB"

    def shed(self):
        service = self._choose(Grow)
        if not service.live_mib():
            return None
        stage.send(service.pid, signal.SIGTERM)
        return f"{service.name} {service.pid}"

    def fill(self):
        redis = [service for service in self.soak.services if isinstance(service, Redis)]
        pid = self.soak.main_pid(redis[0]) if redis else None
        if pid is None or redis[0].is_stopped or redis[0].live_mib() or not self._fits(2 * redis[0].peak_mib):
            return None
        return f"redis {pid}" + ("" if redis[0].fill(pid) else ", not all of it")

    def flush(self):
        redis = [service for service in self.soak.services if isinstance(service, Redis)]
        if not redis or redis[0].is_stopped or not redis[0].live_mib():
            return None
        return "redis" + ("" if redis[0].flush() else ", in vain")

    def ask(self):
        number = self.random.choice([signal.SIGUSR1, signal.SIGUSR2])
        self.soak.supervisor.send(number)
        return number.name

    # --- processes --------------------------------------------------------------------------

    def end_process(self):
        service = self.random.choice(self.soak.services)
        # Nobody makes a second process of a service again but its main one.
        pid = self.soak.main_pid(service)
        if pid is None:
            return None
        number = self.random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
        stage.send(pid, number)
        return f"{number.name} to {service.name} {pid}"

    def stop_process(self):
        service = self.random.choice(self.soak.services)
        pids = self.soak.pids_of(service)
        if not pids or service.is_stopped or not self._fits(getattr(service, "peak_mib", 0)):
            return None
        pid = self.random.choice(pids)
        service.is_stopped = True
        stage.send(pid, signal.SIGSTOP)

        def go_on():
            stage.send(pid, signal.SIGCONT)
            service.is_stopped = False

        return f"{service.name} {pid} " + self.after(0.2, 4, go_on)

    # --- the supervisor ---------------------------------------------------------------------

    def stop_supervisor(self):
        supervisor = self.soak.supervisor
        if self.later:
            return None
        supervisor.send(signal.SIGSTOP)
        return self.after(0.5, 8, lambda: supervisor.send(signal.SIGCONT))

    def block_log(self):
        supervisor = self.soak.supervisor
        supervisor.block_log()
        return self.after(1, 8, supervisor.unblock_log)

    def kill_supervisor(self):
        return self.soak.kill_supervisor()

    def restart_supervisor(self):
        return self.soak.restart_supervisor()

    def reload(self):
        told = self.soak.settings.change(self.random)
        self.soak.settings.write()
        self.soak.supervisor.send(signal.SIGHUP)
        return told

    def reload_bad(self):
        text = self.soak.settings.text()
        cut = self.random.randrange(len(text))
        self.soak.ini.write_text(text[:cut] + "\nnonsense = 1\n" + text[cut:])
        self.soak.supervisor.send(signal.SIGHUP)
        self.later.append((time.monotonic() + 0.5, self._reload_right))
        return f"nonsense at {cut}"

    def _reload_right(self):
        """A supervisor that was stopped meanwhile has not read what an earlier reload wrote."""
        self.soak.settings.write()
        self.soak.supervisor.send(signal.SIGHUP)

    # --- the wall ---------------------------------------------------------------------------

    def lower_wall(self):
        least = int(self.soak.live_mib() / LIVE_SHARE) * stage.MIB
        least = max(least, self.soak.wall_bytes * 6 // 10)
        if least >= self.soak.stage.wall_bytes:
            return None
        self.target_bytes = self.random.randrange(least, self.soak.stage.wall_bytes)
        return f"to {self.target_bytes >> 20} MiB"

    def raise_wall(self):
        if self.soak.stage.wall_bytes == self.soak.wall_bytes:
            return None
        self.target_bytes = 0
        self.soak.stage.set_wall(self.soak.wall_bytes)
        return f"to {self.soak.wall_bytes >> 20} MiB"

    def _step_wall(self):
        """As the kubelet does it: never below what is used."""
        stage_ = self.soak.stage
        size = max(self.target_bytes, stage_.usage() + WALL_STEP_MIB * stage.MIB)
        if size < stage_.wall_bytes:
            stage_.set_wall(size)
        if stage_.wall_bytes <= self.target_bytes:
            self.target_bytes = 0
