"""The services of the soak, and how much live memory each may have at the moment."""

import signal
import socket

import stage

MARK = "SOAK"


class Service:
    """processes: how many it has when all is well, least and most.  live_mib(): what it may hold now beyond its
    size at rest."""

    def __init__(self, name, command, processes=(1, 1), user=None):
        self.name, self.command, self.processes, self.user = name, command, processes, user
        self.is_stopped = False  # a process of it is: what it has idle cannot be had

    def live_mib(self):
        return 0

    def section(self, round_, memory_max):
        lines = [f"[service:{self.name}]", f"command = {self.command}", "autorestart = true", "stopwaitsecs = 20",
                 f"environment = {MARK}={self.name},ROUND={round_}"]
        if self.user:
            lines.append(f"user = {self.user}")
        if memory_max:
            lines.append(f"memory_max = {memory_max}M")
        return "\n".join(lines) + "\n"


class Burst(Service):
    """Fills peak_mib at each poke, and frees them.  It says so in a file."""

    def __init__(self, name, command, peak_mib, folder, user=None):
        self.file = folder / f"{name}.out"
        super().__init__(name, f"sh -c 'exec {command} >>{self.file}'", user=user)
        self.peak_mib = peak_mib
        self.pid, self.wanted = 0, 0

    def said(self, word):
        return stage.read(self.file).split().count(word)

    def poke(self, pid):
        self.wanted = self.said("idle") + 1
        self.pid = pid
        return stage.send(pid, signal.SIGUSR1)

    def is_busy(self):
        if self.pid and (not stage.is_alive(self.pid) or self.said("idle") >= self.wanted):
            self.pid = 0
        return self.pid != 0

    def live_mib(self):
        return self.peak_mib if self.is_stopped or self.is_busy() else 0


class Grow(Service):
    """Grows by step_mib at each poke, until it is started again."""

    def __init__(self, name, memory, step_mib):
        super().__init__(name, f"{memory} grow {step_mib}")
        self.step_mib = step_mib
        self.pid, self.held_mib = 0, 0

    def poke(self, pid):
        self.held_mib = self.live_mib() + self.step_mib
        self.pid = pid
        return stage.send(pid, signal.SIGUSR1)

    def live_mib(self):
        if not self.pid or not stage.is_alive(self.pid):
            self.held_mib = 0
        return self.held_mib


class Redis(Service):
    """Is filled and flushed over its socket."""

    VALUE = b"v" * 1000

    def __init__(self, name, program, peak_mib, folder):
        self.path = folder / "redis.sock"
        # With a title of its own it would write over the environment.
        super().__init__(name, f'{program} --port 0 --unixsocket {self.path} --save "" --appendonly no '
                               f"--loglevel warning --set-proc-title no --dir {folder}")
        self.peak_mib = peak_mib
        self.pid, self.is_full, self.number = 0, False, 0

    def _talk(self, commands, seconds=3):
        """Whether it took them and answered."""
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(seconds)
                link.connect(str(self.path))
                link.sendall(b"".join(commands) + b"PING\r\n")
                answer = b""
                while b"+PONG" not in answer:
                    if not (data := link.recv(1 << 16)):
                        return False
                    answer = answer[-16:] + data
                return True
        except OSError:
            return False

    def fill(self, pid):
        self.pid, self.is_full = pid, True
        self.number += 1
        for first in range(0, self.peak_mib * 1000, 1000):
            keys = [b"SET k%d:%d %s\r\n" % (self.number % 2, key, self.VALUE) for key in range(first, first + 1000)]
            if not self._talk(keys):
                return False
        return True

    def flush(self):
        if self._talk([b"FLUSHALL SYNC\r\n"], 20):
            self.is_full = False
            return True
        return False

    def live_mib(self):
        if not self.pid or not stage.is_alive(self.pid):
            self.is_full = False
        return 2 * self.peak_mib if self.is_full else 0


def all_services(memory, here, folder, redis, is_root):
    """The list; redis: its program, None where there is none."""
    services = [
        Burst("burst", f"{memory} idle 48 2 400", 48, folder),
        Burst("other", f"{memory} idle 48 4 200", 48, folder, user="nobody" if is_root else None),
        Burst("objects", f"/usr/bin/python3 {here}/objects.py 20", 24, folder),
        Grow("grow", memory, 4),
        Service("crowd", f"{memory} prefork 6 8 1", processes=(9, 9)),
        Service("stray", "sh -c 'setsid sleep 10000 & exec sleep 10000'", processes=(2, 2)),
        Service("files", "sh -c 'while :; do cat /usr/lib/*/libc*.so.* >/dev/null; sleep 1; done'", processes=(1, 2)),
    ]
    if redis:
        services.append(Redis("redis", redis, 10, folder))
    return services
