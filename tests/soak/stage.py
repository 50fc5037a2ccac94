"""Where the soak plays: its cgroup with the wall, and the processes in it."""

import os
import pathlib
import signal
import time

MIB = 1 << 20


def read(path, default=""):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return default


def fields(pid):
    """/proc/PID/stat after the name: state, parent, group, session, ...; [] once it is gone."""
    return read(f"/proc/{pid}/stat").rpartition(") ")[2].split()


def is_alive(pid):
    stat = fields(pid)
    return bool(stat) and stat[0] not in "ZX"


def parent(pid):
    stat = fields(pid)
    return int(stat[1]) if stat else 0


def cpu_ticks(pid):
    stat = fields(pid)
    return int(stat[11]) + int(stat[12]) if stat else 0


def variable(pid, name):
    """Of the environment that the process was started with; None."""
    for entry in read(f"/proc/{pid}/environ").split("\0"):
        if entry.startswith(name + "="):
            return entry[len(name) + 1:]
    return None


def rollup_kib(pid, key):
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def descriptors(pid):
    """What the descriptors lead to, without numbers that differ from life to life, sorted."""
    found = []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.append("".join(c for c in os.readlink(f"/proc/{pid}/fd/{name}") if not c.isdigit()))
            except OSError:
                pass
    except OSError:
        pass
    return sorted(found)


def send(pid, number):
    try:
        os.kill(pid, number)
        return True
    except OSError:
        return False


class Stage:
    """memory: the cgroup's folder where the memory controller is; stall: its twin in the v2 tree on hybrid hosts.

    On v2 the supervisor is started beside a stranger in a cgroup below, so that it makes a cgroup for its leaves
    next to that: the next supervisor then finds those of one that was killed.
    """

    def __init__(self, memory, stall, wall_mib):
        self.memory = pathlib.Path(memory)
        self.v2 = (self.memory / "cgroup.controllers").exists()
        self.folders = [self.memory]
        if self.v2:
            (self.memory / "cgroup.subtree_control").write_text("+memory")
            entry = self.memory / "entry"
            entry.mkdir()
            self.folders = [entry]
        elif stall:
            self.folders.append(pathlib.Path(stall))
        self.wall_bytes = 0
        self.set_wall(wall_mib * MIB)

    def set_wall(self, size):
        """False: the kernel refuses, as v1 does while usage is above it."""
        name = "memory.max" if self.v2 else "memory.limit_in_bytes"
        try:
            (self.memory / name).write_text(str(size & ~4095))
        except OSError:
            return False
        self.wall_bytes = size
        return True

    def usage(self):
        name = "memory.current" if self.v2 else "memory.usage_in_bytes"
        return int(read(self.memory / name, "0"))

    def file_bytes(self):
        keys = ("file", "slab_reclaimable") if self.v2 else ("total_cache",)
        total = 0
        for line in read(self.memory / "memory.stat").splitlines():
            key, value = line.split()
            total += int(value) if key in keys else 0
        return total

    def oom_kills(self):
        name = "memory.events" if self.v2 else "memory.oom_control"
        for line in read(self.memory / name).splitlines():
            key, value = line.split()
            if key == "oom_kill":
                return int(value)
        return 0

    def command(self, argv):
        """The command, started inside."""
        script = "".join(f'echo $$ >"{folder}/cgroup.procs" && ' for folder in self.folders) + 'exec "$@"'
        return ["sh", "-c", script, "sh"] + argv

    def pids(self):
        found = []
        for folder, _, _ in os.walk(self.memory):
            found += [int(word) for word in read(os.path.join(folder, "cgroup.procs")).split()]
        return found

    def leaves(self):
        """The cgroups of the services."""
        return [leaf for leaf in self.memory.glob("spillway-*/*") if leaf.is_dir() and leaf.name != "supervisor"]

    def bases(self):
        return list(self.memory.glob("spillway-*"))

    def end_all(self, keep=()):
        """Kills all processes in it but those."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            left = [pid for pid in self.pids() if pid not in keep]
            if not left:
                return True
            for pid in left:
                send(pid, signal.SIGKILL)
            time.sleep(0.02)
        return False
