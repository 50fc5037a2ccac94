"""Memory cgroups of our own, one for each program that is measured, below the one we are in."""

import os
import pathlib
import time


def _own_folder(kind, option):
    """Where our own cgroup is mounted: of cgroup2, or of the v1 hierarchy with a controller."""
    path = None
    for line in open("/proc/self/cgroup"):
        _, controllers, name = line.rstrip("\n").split(":", 2)
        if (option in controllers.split(",")) if option else controllers == "":
            path = name
    for line in open("/proc/self/mountinfo"):
        fields = line.split()
        after = fields.index("-") + 1
        if path is None or fields[after] != kind or (option and option not in fields[after + 2].split(",")):
            continue
        top = fields[3].rstrip("/")
        below = path[len(top):] if (path + "/").startswith(top + "/") else ""
        return pathlib.Path(fields[4] + below)
    return None


def _words(file):
    try:
        return file.read_text().split()
    except OSError:
        return []


class Cgroups:
    """Without a place for them .kind is None and .add() gives None."""

    def __init__(self):
        self.kind, self.parent, self.gave, self.made = None, None, False, []
        for kind, folder in (("v2", _own_folder("cgroup2", "")), ("v1", _own_folder("cgroup", "memory"))):
            if folder and (kind == "v1" or self._hands_out_memory(folder)) and self._can_add(folder):
                self.kind, self.parent = kind, folder
                return

    def _hands_out_memory(self, folder):
        control = folder / "cgroup.subtree_control"
        if "memory" not in _words(folder / "cgroup.controllers"):
            return False
        if "memory" in _words(control):
            return True
        try:
            control.write_text("+memory")
        except OSError:
            return False
        self.gave, self.parent = True, folder
        return True

    def _can_add(self, folder):
        try:
            (folder / f"spillway-bench-{os.getpid()}").mkdir()
            (folder / f"spillway-bench-{os.getpid()}").rmdir()
            return True
        except OSError:
            return False

    def add(self):
        """The folder of a new one."""
        if self.kind is None:
            return None
        folder = self.parent / f"spillway-bench-{os.getpid()}-{len(self.made)}"
        folder.mkdir()
        self.made.append(folder)
        return folder

    def usage_file(self, folder):
        """What the program is to read, "-" for nothing."""
        names = {"v1": "memory.usage_in_bytes", "v2": "memory.current"}
        return str(folder / names[self.kind]) if folder else "-"

    def command(self, folder, command):
        """The command, started inside: what an allocator takes before main counts too."""
        if folder is None:
            return command
        return ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(folder)] + command

    def limit_bytes(self):
        """What the next limit above leaves, at most what the machine has to spare."""
        lines = dict(line.split(":") for line in open("/proc/meminfo"))
        free = int(lines["MemAvailable"].split()[0]) * 1024
        for names in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            if self.parent and (words := _words(self.parent / names[0])) and words[0].isdigit():
                free = min(free, int(words[0]) - int(_words(self.parent / names[1])[0]))
        return free

    def remove(self):
        for folder in self.made:
            for _ in range(100):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.05)
        if self.gave:
            (self.parent / "cgroup.subtree_control").write_text("-memory")
