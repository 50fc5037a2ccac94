"""The soak's turn: acts at random, then rest, and what must hold.  tests/soak/run starts it."""

import argparse
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import stage
from acts import Acts
from checks import Checks
from services import MARK, all_services
from settings import Settings
from supervisor import Supervisor, wait_until

WALL_MIB = 352
ACTS_LEAST, ACTS_MOST = 30, 70
PAUSE_MOST_S = 0.7
TOLD = 60  # lines of the story, and of the log, on failure
STOP_S = 120


class Soak:
    def __init__(self, options):
        self.options = options
        self.began = time.monotonic()
        self.out = pathlib.Path(options.out)
        self.folder = pathlib.Path(options.temporary)
        self.folder.chmod(0o711)
        outputs = self.folder / "outputs"
        outputs.mkdir()
        outputs.chmod(0o777)
        for name in ("story", "supervisor.log"):
            (self.out / name).write_text("")
        self.wall_bytes = WALL_MIB * stage.MIB
        self.stage = stage.Stage(options.cgroup, options.stall, WALL_MIB)
        self.strangers = []
        self.strange = None
        if self.stage.v2:
            self.strange = subprocess.Popen(self.stage.command(["sleep", "1000000"]))
            self.strangers = [self.strange.pid]
        self.ini = self.folder / "services.ini"
        here = pathlib.Path(__file__).resolve().parent
        self.services = all_services(options.memory, here, outputs, shutil.which("redis-server"), True)
        self.settings = Settings(self.ini, self.services, options.memory, outputs)
        self.base_mib = 0
        self.start()
        self.checks = Checks(self)
        self.acts = Acts(self, random.Random(options.seed))
        self.count = 0

    def tell(self, text):
        line = f"{time.monotonic() - self.began:8.2f} {text}"
        with open(self.out / "story", "a") as story:
            story.write(line + "\n")

    # --- the supervisor ---------------------------------------------------------------------

    def start(self):
        self.settings.write()
        self.supervisor = Supervisor(self.stage, self.options.spillway, self.ini, self.out / "supervisor.log")

    def kill_supervisor(self):
        """Its services go on for a while; then the next one starts."""
        old = self.supervisor.pid
        self.supervisor.kill()
        time.sleep(self.acts.random.uniform(0, 3))
        # Without leaves nobody knows whose they are.
        if not self.stage.v2 and not self.stage.end_all(self.strangers):
            raise Finding([f"processes of {old} cannot be ended"])
        self.start()
        return f"{old}; now {self.supervisor.pid}"

    def restart_supervisor(self):
        self.acts.finish()
        self.stop()
        old = self.supervisor.pid
        self.start()
        return f"{old}; now {self.supervisor.pid}"

    def stop(self):
        status = self.supervisor.stop(STOP_S)
        left = [pid for pid in self.stage.pids() if pid not in self.strangers]
        found = []
        if status != 0:
            found.append(f"told to stop the supervisor ends with {status}")
        if left:
            found.append(f"it leaves processes: {left}")
        if self.stage.bases():
            found.append(f"it leaves cgroups: {self.stage.bases()}")
        if found:
            raise Finding(found)

    # --- what there is ------------------------------------------------------------------------

    def pids_of(self, service):
        return [pid for pid in self.stage.pids() if stage.is_alive(pid) and stage.variable(pid, MARK) == service.name]

    def main_pid(self, service):
        for pid in self.pids_of(service):
            if stage.parent(pid) == self.supervisor.pid:
                return pid
        return None

    def live_mib(self):
        return self.base_mib + sum(service.live_mib() for service in self.services)

    # --- the turn -----------------------------------------------------------------------------

    def run(self):
        end = self.began + self.options.seconds
        self.rest()
        self.base_mib = (self.stage.usage() - self.stage.file_bytes()) / stage.MIB
        self.tell(f"at rest {self.base_mib:.0f} MiB of {WALL_MIB} are used, files apart")
        while time.monotonic() < end:
            may_end = time.monotonic() > (self.began + end) / 2
            for _ in range(self.acts.random.randint(ACTS_LEAST, ACTS_MOST)):
                self.acts.one(may_end)
                self.count += 1
                self.pause(self.acts.random.uniform(0, PAUSE_MOST_S))
            self.rest()
        self.stop()

    def pause(self, seconds):
        until = time.monotonic() + seconds
        while True:
            self.acts.due()
            self.look()
            if time.monotonic() >= until:
                return
            time.sleep(0.05)

    def look(self):
        if found := self.checks.always():
            raise Finding(found)

    def rest(self):
        if self.count:
            self.acts.finish()
        found = self.checks.settled() + self.checks.always()
        if found:
            raise Finding(found)


class Finding(Exception):
    def __init__(self, lines):
        super().__init__("; ".join(lines))
        self.lines = lines


def tail(path):
    return "".join(f"  | {line[:300]}\n" for line in path.read_text(errors="replace").splitlines()[-TOLD:])


def main():
    parser = argparse.ArgumentParser()
    for name in ("spillway", "memory", "out", "temporary", "cgroup", "stall"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"soak-system: {options.seconds} s, seed {options.seed}", flush=True)
    soak = Soak(options)
    try:
        soak.run()
    except Finding as finding:
        print(f"what was done, the last {TOLD} of it:\n{tail(soak.out / 'story')}the end of the supervisor's log:\n"
              f"{tail(soak.out / 'supervisor.log')}", file=sys.stderr)
        for line in finding.lines:
            print(f"soak-system: found: {line}")
        print(f"soak-system: after {time.monotonic() - soak.began:.0f} s and {soak.count} acts; seed {options.seed}; "
              f"all of it in {soak.out}", flush=True)
        return 1
    finally:
        soak.supervisor.kill()
        soak.stage.end_all()
    kinds = "leaves on cgroup v2" if soak.stage.v2 else "cgroup v1"
    print(f"soak-system: no finding in {time.monotonic() - soak.began:.0f} s and {soak.count} acts, {kinds}; "
          f"seed {options.seed}; anonymous memory of the last life, KiB: {soak.checks.anon}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
