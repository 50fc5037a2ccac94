"""What threads that allocate flat out notice while somebody releases."""

import re
import signal
import statistics
import subprocess
import tempfile
import time

import allocators
import progress
from allocators import target

PAUSE = allocators.BUILT / "idle" / "pause"
SPILLWAY = allocators.ROOT / "build" / "release" / "bin" / "spillway"
GAP_MS = 100
BUSY_US = 5000  # until a release has shown how long one takes
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
LEVELS = {"lazy": signal.SIGRTMIN + 1, "eager": signal.SIGRTMIN + 2, "full": signal.SIGRTMIN + 3}
WAIT_MOST_US = 1000


def scenarios(names):
    """(allocator, threads, meanwhile); the levels are asked of the supervisor, "release" of the heap."""
    rows = [(name, 1, what) for name in names if name != "spillway" for what in ("nothing", "release")]
    if "spillway" in names:
        rows += [("spillway", threads, what) for threads in (1, 2) for what in ("nothing", "release", "busy")]
        rows += [("supervised", 1, what) for what in ["nothing"] + list(LEVELS)]
    return rows


def title(scenario):
    return "{} {} {}".format(*scenario)


def quantile(buckets, share):
    wanted, seen = share * sum(count for _, count in buckets), 0
    for value, count in buckets:
        seen += count
        if seen >= wanted:
            return value
    return 0


class Run:
    """One run of the program."""

    def __init__(self, scenario, seconds, busy_us):
        name, threads, what = scenario
        meanwhile = {"release": "release", "busy": str(busy_us)}.get(what, "nothing")
        command = [str(SPILLWAY), "--"] if name == "supervised" else allocators.environment(name)
        command += [str(PAUSE), str(threads), str(seconds), str(GAP_MS), meanwhile]
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            try:
                self.before = self.hear(process.stdout, "churning")
                end = time.monotonic() + seconds - GAP_MS / 1000
                while what in LEVELS and time.monotonic() < end and process.poll() is None:
                    process.send_signal(LEVELS[what])
                    time.sleep(GAP_MS / 1000)
                self.after = process.stdout.read()
                self.failed = process.wait() != 0
            finally:
                process.kill()
                process.wait()
            errors.seek(0)
            self.errors = errors.read()

    @staticmethod
    def hear(stream, word):
        said = ""
        while (line := stream.readline()) not in (f"{word}\n", ""):
            said += line
        return said

    def waits(self):
        """By the heap's own counting, while they churned; {} where it does not count."""
        wanted = r'lock_waits="(\d+)" lock_wait_ns="(\d+)" lock_wait_max_ns="(\d+)"'
        found = [re.search(wanted, text) for text in (self.before, self.after)]
        if None in found:
            return {}
        then, now = ([int(number) for number in match.groups()] for match in found)
        total_us = (now[1] - then[1]) / 1000
        # The longest may have been before; then no later one was longer than all later ones together.
        return {"waits": now[0] - then[0], "waited us": total_us, "longest wait us": min(total_us, now[2] / 1000)}

    def numbers(self, word):
        return [int(number) for number in re.search(rf"^{word} (.*)$", self.after, re.M).group(1).split()]

    def figures(self):
        figures = {}
        for word in ("call", "write"):
            found = re.findall(rf"^{word} (\d+) (\d+)$", self.after, re.M)
            buckets = [(int(ns), int(count)) for ns, count in found]
            figures[f"{word}s"] = sum(count for _, count in buckets)
            figures[f"{word}s over 1 ms"] = sum(count for ns, count in buckets if ns > WAIT_MOST_US * 1000)
            figures |= {f"{word} {name}": quantile(buckets, share) / 1000 for name, share in QUANTILES.items()}
        longest = self.numbers("longest")
        count, total_us, most_us = self.numbers("meanwhile")
        released = re.search(r"^released bytes.*$", self.errors, re.M)
        released = sum(map(int, re.findall(r"\d+", released.group(0)))) if released else 0
        seconds = self.numbers("ended")[0] / 1e6
        return figures | {"calls/s": figures["calls"] / seconds, "over 1 ms/s": figures["calls over 1 ms"] / seconds,
                          "call max": longest[0] / 1000, "write max": longest[1] / 1000,
                          "meanwhile": count, "meanwhile ms": total_us / max(count, 1) / 1000,
                          "meanwhile max ms": most_us / 1000, "released mib": released / (1 << 20)} | self.waits()


def measure(names, seconds, rounds):
    """{scenario: [figures of each round]}, failures."""
    results, failures = {scenario: [] for scenario in scenarios(names)}, []
    steps = progress.Progress("pauses, runs", rounds * len(results), rounds * len(results) * (seconds + 0.5))
    for _ in range(rounds):
        busy_us = BUSY_US
        for scenario, runs in results.items():
            run = Run(scenario, seconds, busy_us)
            steps.step(title(scenario))
            if run.failed:
                failures.append(f"{title(scenario)}: {(run.errors.strip().splitlines() or ['?'])[-1]}")
                continue
            runs.append(run.figures())
            if scenario[2] == "release":
                busy_us = int(runs[-1]["meanwhile ms"] * 1000)
    return {scenario: runs for scenario, runs in results.items() if runs}, failures


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def table(results):
    heads = ["call p50", "call p99", "call p99.9", "call p99.99", "call max", "over 1 ms/s", "write p99.99", "write max"]
    lines = ["threads that allocate flat out on 1 GiB: us by call of malloc or free, by block written; medians of rounds;",
             "what spillway's heap counts of waiting for its locks, the longest that of all rounds",
             f"{'':23}{'calls/s':>8}" + "".join(f"{head:>{len(head) + 2}}" for head in heads) +
             f"{'each ms':>9}{'waits':>7}{'ms waited':>11}{'longest us':>12}"]
    for scenario, runs in results.items():
        waits = f"{'-':>7}{'-':>11}{'-':>12}"
        if "waits" in runs[0]:
            waits = (f"{median(runs, 'waits'):>7.0f}{median(runs, 'waited us') / 1000:>11.1f}"
                     f"{max(run['longest wait us'] for run in runs):>12.0f}")
        each = f"{median(runs, 'meanwhile ms'):.1f}" if scenario[2] in ("release", "busy") else "-"
        lines.append(f"{title(scenario):23}{median(runs, 'calls/s') / 1e6:>7.2f}M" +
                     "".join(f"{median(runs, head):>{len(head) + 2}.1f}" for head in heads) + f"{each:>9}{waits}")
    return lines


def verdicts(results):
    """A release's figures are held against runs without one, in some of which the main thread is as
    busy: what differs less than those among themselves is this machine's noise."""
    lines = []
    for (name, threads, what), runs in results.items():
        if name not in ("spillway", "supervised") or what in ("nothing", "busy"):
            continue
        controls = [run for place in ("spillway", "supervised") for other in ("nothing", "busy")
                    for run in results.get((place, threads, other), [])]
        about = title((name, threads, what))
        waits = [run["longest wait us"] for run in runs]
        usual = max((run["longest wait us"] for run in controls), default=0)
        lines.append(target(f"{about}: longest wait for a lock {max(waits):.0f} us, median of rounds "
                            f"{statistics.median(waits):.0f} (without a release up to {usual:.0f}), "
                            f"at most {WAIT_MOST_US}", max(waits) <= WAIT_MOST_US))
        for key, unit in (("over 1 ms/s", ""), ("call max", " us")):
            middle, without = median(runs, key), [run[key] for run in controls]
            if without:
                lines.append(target(f"{about}: {key}: {middle:.0f}{unit}, without a release "
                                    f"{min(without):.0f} to {max(without):.0f}", middle <= max(without)))
    return lines


def tsv(results):
    columns = list(dict.fromkeys(key for runs in results.values() for run in runs for key in run))
    rows = [["round", "allocator", "threads", "meanwhile"] + [column.replace(" ", "_") for column in columns]]
    for scenario, runs in results.items():
        rows += [[str(turn), *map(str, scenario)] + [f"{run[key]:.2f}" if key in run else "" for key in columns]
                 for turn, run in enumerate(runs)]
    return "".join("\t".join(row) + "\n" for row in rows)
