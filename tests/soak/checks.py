"""What must hold while the soak runs, and when all pressure has ended."""

import signal
import struct
import time

import stage
from services import MARK, Burst
from supervisor import wait_until

LINK_MAGIC = 0x5350494C
LEVELS = ("calm", "lazy", "eager", "full")
SETTLE_S = 180
GONE_S = 60
ANON_GROWTH_KIB = 256
IDLE_RSS_KIB = 14 << 10
CALM_TICKS = 40  # in a second


def level(pid):
    """What the link of the process says is in force; None where it has none."""
    words = (stage.variable(pid, "SPILLWAY_LINK") or "").split(":")
    if len(words) < 2:
        return None
    try:
        with open(f"/proc/{pid}/fd/{words[1]}", "rb") as header:
            magic, _, _, value = struct.unpack("4I", header.read(16))
    except (OSError, struct.error):
        return None
    return LEVELS[value] if magic == LINK_MAGIC and value < len(LEVELS) else None


class Checks:
    def __init__(self, soak):
        self.soak = soak
        self.life = None
        self.anon, self.fds = [], {}
        self.kills = soak.stage.oom_kills()

    def always(self):
        """What must hold at every moment: findings, a line each."""
        soak = self.soak
        found = []
        kills = soak.stage.oom_kills()
        if kills > self.kills:
            wait_until(5, lambda: soak.supervisor.said("OOM-killed"))
            found.append(f"the kernel OOM-killed {kills - self.kills}, with {soak.live_mib():.0f} MiB live below "
                         f"{soak.stage.wall_bytes >> 20} MiB")
            found += [line for line in soak.supervisor.lines if "OOM" in line][-2:]
            self.kills = kills
        if not soak.supervisor.is_alive():
            found.append(f"the supervisor ended with {soak.supervisor.process.returncode}")
        return found

    # --- when all pressure has ended ----------------------------------------------------------

    def settled(self):
        found = []

        def nothing_wrong():
            found[:] = self._wrong_now()
            return not found

        if not wait_until(SETTLE_S, nothing_wrong):
            return found
        return self._gives_back() or self._keeps_its_size()

    def _wrong_now(self):
        soak = self.soak
        wrong, known = [], {soak.supervisor.pid, *soak.strangers}
        children = set(soak.supervisor.children())
        for service in soak.services:
            pids = soak.pids_of(service)
            known.update(pids)
            least, most = service.processes
            if not least <= len(pids) <= most:
                wrong.append(f"{service.name} has {len(pids)} processes: {pids}")
            elif not children.intersection(pids):
                wrong.append(f"{service.name} is nobody's child: {pids}")
            wrong += self._wrong_levels(service, pids)
            if isinstance(service, Burst) and service.live_mib():
                wrong.append(f"{service.name} {service.pid} is not through with its burst")
        for pid in soak.stage.pids():
            if pid not in known and stage.is_alive(pid) and stage.read(f"/proc/{pid}/comm").strip() != "spillway-guard":
                wrong.append(f"process {pid} is nobody's: {stage.read(f'/proc/{pid}/cmdline')!r} "
                             f"{stage.variable(pid, MARK)}")
        wrong += [f"{pid} is a zombie" for pid in children if stage.fields(pid)[:1] == ["Z"]]
        return wrong + self._wrong_leaves()

    def _wrong_levels(self, service, pids):
        at = {level(pid) for pid in pids} - {None, "calm"}
        return [f"{service.name} is at {' '.join(at)}"] if at else []

    def _wrong_leaves(self):
        stage_ = self.soak.stage
        if not stage_.v2:
            return []
        wrong = []
        leaves = stage_.leaves()
        for leaf in leaves:
            if (high := stage.read(leaf / "memory.high").strip()) != "max":
                wrong.append(f"{leaf.name}: memory.high is {high}")
            if "frozen 1" in stage.read(leaf / "cgroup.events"):
                wrong.append(f"{leaf.name} is frozen")
        if len(leaves) != len(self.soak.services) or len(stage_.bases()) != 1:
            wrong.append(f"cgroups {sorted(leaf.name for leaf in leaves)} in {[base.name for base in stage_.bases()]}")
        return wrong

    def _gives_back(self):
        """Whoever has freed all gives it back when told to: the link still works."""
        soak = self.soak
        heaps = [service for service in soak.services if service.name in ("burst", "other")]

        def is_small(service):
            return all(stage.rollup_kib(pid, "Rss") < IDLE_RSS_KIB for pid in soak.pids_of(service))

        soak.supervisor.send(signal.SIGUSR2)
        if wait_until(GONE_S, lambda: all(is_small(service) for service in heaps)):
            return []
        return [f"{service.name} keeps {stage.rollup_kib(pid, 'Rss')} KiB after a full release"
                for service in heaps for pid in soak.pids_of(service) if not is_small(service)]

    def _keeps_its_size(self):
        soak = self.soak
        pid = soak.supervisor.pid
        if self.life != pid:
            self.life, self.anon, self.fds = pid, [], {}
        # The brake's guard comes with the first brake and stays.
        key = tuple(sorted(service.name.rstrip("0123456789") for service in soak.services))
        key += (any(stage.read(f"/proc/{child}/comm").startswith("spillway-guard") for child in
                    soak.supervisor.children()), soak.settings.policy.get("lazy_pressure"))
        time.sleep(1)
        before = stage.cpu_ticks(pid)
        time.sleep(1)
        ticks = stage.cpu_ticks(pid) - before
        fds = stage.descriptors(pid)
        pss, anon, file, shmem = [stage.rollup_kib(pid, part) for part in ("Pss", "Pss_Anon", "Pss_File", "Pss_Shmem")]
        self.anon.append(anon)
        soak.tell(f"settled: PSS {pss} KiB {[anon, file, shmem]}, {len(fds)} descriptors, {len(soak.services)} services, "
                  f"{ticks} ticks in a second, usage {soak.stage.usage() >> 20} MiB")
        found = []
        if ticks > CALM_TICKS:
            found.append(f"the supervisor uses {ticks} ticks in a second of calm")
        if (known := self.fds.setdefault(key, fds)) != fds:
            more = [name for name in set(fds) if fds.count(name) > known.count(name)]
            less = [name for name in set(known) if known.count(name) > fds.count(name)]
            found.append(f"descriptors: {len(known)} before, {len(fds)} now; more of {more}, less of {less}")
        # Files are apart: pages of the program that a rare path touches for the first time stay, and
        # are the same for all who run it.  The first round may find what only grows once.
        if len(self.anon) > 2 and self.anon[-1] > self.anon[1] + ANON_GROWTH_KIB:
            found.append(f"anonymous memory grows, KiB: {self.anon}")
        return found
