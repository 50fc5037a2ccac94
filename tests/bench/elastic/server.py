"""One run of the server with bursts: what its cgroup is charged over time, next to what lives."""

import bisect
import statistics
import subprocess
import tempfile
import time

import allocators
import progress
from allocators import target

ELASTIC = allocators.BUILT / "elastic" / "elastic"
SAMPLE_S = 0.02
OPTIONS = {"glibc-trim": ["1000"]}  # TRIM_MS
SETTLED, SETTLE_MOST_S = 1.2, 2
LATE_MS = 250  # beyond which it was the machine
FAR = 2  # times the least crossing of all runs: its processors shared no cache while it ran flat out
NEVER = float("inf")
PEERS = ["glibc", "glibc-trim", "jemalloc", "jemalloc-bg", "mimalloc", "tcmalloc-rate10"]
NAMES = PEERS + ["spillway"] + [f"spillway-{policy}" for policy in allocators.POLICIES]


class Run:
    """.samples: (s, usage, live in bytes); .bursts: (begin s, end s); .figures by name."""

    def __init__(self, name, seconds, cgroups):
        folder = cgroups.add()
        command = allocators.environment(name) + [str(ELASTIC), str(seconds)]
        command = cgroups.command(folder, command + OPTIONS.get(name, []))
        charged = []
        with (tempfile.TemporaryFile("w+") as output, open(cgroups.usage_file(folder), buffering=1) as usage,
              subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process):
            try:
                while process.poll() is None:
                    usage.seek(0)
                    charged.append((time.monotonic_ns(), int(usage.read())))
                    time.sleep(SAMPLE_S)
            finally:
                process.kill()
            output.seek(0)
            lines = [line.split() for line in output]
        self.failure = None
        if process.returncode != 0:
            self.failure = f"{name}: exit {process.returncode}: {' '.join(lines[-1]) if lines else '?'}"
            return
        said = {line[0]: [int(number) for number in line[1:]] for line in lines if line[0] not in ("latency", "live")}
        latency = {line[1]: [int(number) for number in line[2:]] for line in lines if line[0] == "latency"}
        self.bursts = [(int(line[1]) / 1e6, int(line[2]) / 1e6) for line in lines if line[0] == "burst"]
        self.join(charged, said["start"][0], [(int(line[1]) / 1e6, int(line[2])) for line in lines if line[0] == "live"])
        self.figures = self.memory() | self.speed(said, latency)

    def join(self, charged, start_ns, lives):
        """The two kinds of samples are apart by up to their distance: live is what is between two."""
        times, self.samples = [at for at, _ in lives], []
        for at_ns, usage in charged:
            at = (at_ns - start_ns) / 1e9
            after = bisect.bisect(times, at)
            if 0 < after < len(times):
                (before_s, before), (after_s, live) = lives[after - 1], lives[after]
                live = before + (live - before) * (at - before_s) / (after_s - before_s)
                self.samples.append((at, usage, live))

    def settled(self):
        """Per burst, the seconds from its end to when the excess was small and stayed so,
        up to the next burst."""
        begins, result = [begin for begin, _ in self.bursts[1:]] + [NEVER], []
        for (_, end), until in zip(self.bursts, begins):
            within = [sample for sample in self.samples if end <= sample[0] < until]
            late = [k for k, (_, usage, live) in enumerate(within) if usage > SETTLED * live]
            if not within or (late and late[-1] + 1 == len(within)):
                result.append(NEVER)
            else:
                result.append(within[late[-1] + 1][0] - end if late else 0)
        return result

    def memory(self):
        seconds = [after[0] - before[0] for before, after in zip(self.samples, self.samples[1:])]

        def mean(values):
            return sum(value * for_s for value, for_s in zip(values, seconds)) / sum(seconds)

        settled, first = self.settled(), min(begin for begin, _ in self.bursts)
        before = [usage / live for at, usage, live in self.samples if at < first]
        return {"before": statistics.median(before),
                "excess": mean([(usage - live) / live for _, usage, live in self.samples]),
                "usage mib": mean([usage for _, usage, _ in self.samples]) / (1 << 20),
                "live mib": mean([live for _, _, live in self.samples]) / (1 << 20),
                "peak mib": max(usage for _, usage, _ in self.samples) / (1 << 20),
                "settled s": statistics.median(settled), "settled worst s": max(settled)}

    @staticmethod
    def speed(said, latency):
        workers_us, _, user_us, system_us = said["cpu"]
        figures = {"requests": latency["all"][0]}
        for which, (_, *times) in latency.items():
            figures |= {f"{name}{'' if which == 'all' else ' ' + which} us": ns / 1000
                        for name, ns in zip(("p50", "p99", "p99.9", "max"), times)}
        return figures | {"requests by cpu s": latency["all"][0] / (workers_us / 1e6), "flat out": said["flat"][0],
                          "cpu s": (user_us + system_us) / 1e6, "faults": said["faults"][0],
                          "late ms": said["late"][0] / 1e6,
                          "crossing ns": max(said["crossing"])}


def measure(names, seconds, rounds, cgroups):
    """{name: its runs}, failures."""
    runs, failures = {name: [] for name in names}, []
    count = rounds * len(names)
    steps = progress.Progress(f"runs of {seconds} s", count, count * (seconds + 1))
    for turn in range(rounds):
        for k in range(len(names)):
            name = names[(k + turn) % len(names)]
            run = Run(name, seconds, cgroups)
            if run.failure:
                failures.append(run.failure)
            else:
                runs[name].append(run)
            steps.step(name)
    return {name: some for name, some in runs.items() if some}, failures


def median(runs, key):
    return statistics.median(run.figures[key] for run in runs)


def settled(runs):
    """Of all bursts of all rounds: the median, the worst."""
    everything = sorted(one for run in runs for one in run.settled())
    return everything[(len(everything) - 1) // 2], everything[-1]


def seconds_text(seconds):
    return "never" if seconds == NEVER else f"{seconds:.2f}"


def table(results, seconds, kind):
    lines = [f"a server with bursts, {seconds} s: memory by cgroup {kind}'s count, mean excess over the live bytes; seconds",
             f"from a burst's end until at most {SETTLED} x live stays; us of a request; requests by second flat out;",
             "CPU seconds of the process; medians of rounds, the worst of all bursts; before: x live before the first",
             f"{'':18}{'before':>8}{'excess %':>10}{'mean MiB':>10}{'peak MiB':>10}{'settled s':>11}{'worst s':>9}{'p50':>7}{'p99':>8}"
             f"{'p99.9':>8}{'max':>9}{'requests':>10}{'flat out':>10}{'CPU s':>7}{'faults':>9}"]
    for name, runs in results.items():
        middle, worst = settled(runs)
        lines.append(f"{name:18}{median(runs, 'before'):>8.2f}{100 * median(runs, 'excess'):>10.1f}{median(runs, 'usage mib'):>10.1f}"
                     f"{median(runs, 'peak mib'):>10.1f}{seconds_text(middle):>11}{seconds_text(worst):>9}" +
                     "".join(f"{median(runs, key + ' us'):>{width}.0f}"
                             for key, width in (("p50", 7), ("p99", 8), ("p99.9", 8), ("max", 9))) +
                     f"{median(runs, 'requests'):>10.0f}{median(runs, 'flat out'):>10.0f}"
                     f"{median(runs, 'cpu s'):>7.2f}{median(runs, 'faults'):>9.0f}")
    return lines


def remarks(results):
    lates = {name: max(run.figures["late ms"] for run in runs) for name, runs in results.items()}
    near = min(run.figures["crossing ns"] for runs in results.values() for run in runs)
    far = {name: sum(run.figures["crossing ns"] > FAR * near for run in runs) for name, runs in results.items()}
    return [f"doubtful: {name}: a request began {late:.0f} ms after it was due: this machine was too busy"
            for name, late in lates.items() if late > LATE_MS] + \
           [f"doubtful: {name}: flat out in {count} of {len(results[name])} rounds its two processors shared no cache (crossing ns in elastic.tsv)"
            for name, count in far.items() if count]


def verdicts(results):
    ours, lines = results.get("spillway"), []
    if ours is None:
        return []
    worst = settled(ours)[1]
    lines.append(target(f"spillway: at most {SETTLED} x live after each burst: {seconds_text(worst)} s, "
                        f"at most {SETTLE_MOST_S}", worst <= SETTLE_MOST_S))
    excess = median(ours, "excess")
    for name in (name for name in PEERS if name in results):
        theirs = median(results[name], "excess")
        lines.append(target(f"spillway: mean excess {100 * excess:.1f} %, {name}'s {100 * theirs:.1f} %", excess < theirs))
    for name, key, least, most in (("mimalloc", "p99.9 us", None, 1.1), ("spillway-off", "flat out", 0.98, None)):
        if name in results:
            ratio = median(ours, key) / median(results[name], key)
            limit = f"at most {most}" if most else f"at least {least}"
            lines.append(target(f"spillway: {key} {ratio:.2f} of {name}'s, {limit}",
                                ratio <= most if most else ratio >= least))
    return lines


def tsv(results):
    columns = list(next(iter(results.values()))[0].figures) if results else []
    rows = [["allocator", "round"] + [column.replace(" ", "_") for column in columns]]
    for name, runs in results.items():
        rows += [[name, str(turn)] + [f"{run.figures[column]:.3f}" for column in columns]
                 for turn, run in enumerate(runs)]
    return "".join("\t".join(row) + "\n" for row in rows)


def panels(results):
    """What to draw: the first round."""
    result = []
    for name, runs in results.items():
        middle = seconds_text(settled(runs)[0])
        result.append((name, f"+{100 * median(runs, 'excess'):.0f} %, {middle}{'' if middle == 'never' else ' s'}",
                       [(at, live / (1 << 20)) for at, _, live in runs[0].samples],
                       [(at, usage / (1 << 20)) for at, usage, _ in runs[0].samples]))
    return result
