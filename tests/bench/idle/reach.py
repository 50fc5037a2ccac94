"""What stays resident of a heap that idles: patterns x endings x allocators."""

import itertools
import statistics
import subprocess
import time

import allocators
import progress
from allocators import target

IDLE = allocators.BUILT / "idle" / "idle"
PATTERNS = ["all", "runs", "scatter", "mixed"]
ENDINGS = ["park", "exit", "trickle"]
# What one program holds at its most, in any allocator, and what this leaves of the machine.
PROGRAM_BYTES = 440 << 20
SHARE = 0.7
# Between one program's moments and the next one's.
APART_S = 0.5
CELL_S = 1.5  # about what each adds to its batch's time
TARGET_MIB = {"all": lambda live: 8, "runs": lambda live: 1.3 * live, "scatter": lambda live: 45,
              "mixed": lambda live: 1.12 * live}
FILLED_BYTES, KEPT = 320 << 20, 0.05  # of scatter
BACKGROUND_SHARE, BACKGROUND_S, BUDGET_MS = 1.5, 12, 100


class Program:
    """One cell: an allocator, a pattern, an ending."""

    def __init__(self, cell, cgroups, times):
        self.cell, self.said, self.times = cell, {}, times
        name, pattern, ending = cell
        folder = cgroups.add()
        command = allocators.environment(name) + [str(IDLE), pattern, ending, cgroups.usage_file(folder)]
        command += [str(second) for second in times]
        self.process = subprocess.Popen(cgroups.command(folder, command), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.full = self.hear("filled")

    def hear(self, until):
        """Reads lines up to the one that begins so; False: the program ended before."""
        for line in self.process.stdout:
            word, *numbers = line.split()
            if word == "at":
                word = f"at {numbers.pop(0)}"
            self.said[word] = [int(number) for number in numbers]
            if word == until:
                return True
        return False

    def failure(self):
        name, pattern, ending = self.cell
        said = (self.process.stderr.read().strip().splitlines() or ["?"])[-1]
        return f"{pattern}, {ending} under {name}: {said}"

    def figures(self):
        """MiB, ms and us by name; resident is what the cgroup says, or RSS without lazy pages."""
        def resident(current, rss, lazy):
            return (current if current >= 0 else rss - lazy) / 1024

        figures = {"live": self.said["settled"][0] / (1 << 20), "peak": resident(*self.said["filled"][1:])}
        for second in self.times:
            current, rss, lazy, background = self.said[f"at {second}"]
            figures |= {f"{second} s": resident(current, rss, lazy), f"rss {second} s": rss / 1024,
                        f"lazy {second} s": lazy / 1024, f"background {second} s": background / 1000}
        wall, cpu, current, rss, lazy, longest = self.said["release"]
        return figures | {"release": resident(current, rss, lazy), "rss release": rss / 1024,
                          "lazy release": lazy / 1024, "release ms": wall / 1000, "release cpu ms": cpu / 1000,
                          "longest us": longest, "background ms": self.said["background"][0] / 1000}


def run_batch(cells, cgroups, times):
    """{cell: figures} and failures.  All hold their memory before the first frees it, so that
    nothing but sleepers surround what is measured, and their moments are apart."""
    programs, figures, failures = [], {}, []
    try:
        for cell in cells:
            programs.append(Program(cell, cgroups, times))
        for program in programs:
            if program.full:
                program.process.stdin.write("\n")
                program.hear("settled")
                time.sleep(APART_S)
        for program in programs:
            program.hear(None)
            if program.process.wait() == 0:
                figures[program.cell] = program.figures()
            else:
                failures.append(program.failure())
    finally:
        for program in programs:
            program.process.kill()
            program.process.wait()
    return figures, failures


def measure(names, patterns, endings, times, rounds, cgroups):
    """{cell: figures}, each the median of the rounds; [(round, cell, figures)]; failures."""
    size = max(1, int(cgroups.limit_bytes() * SHARE / PROGRAM_BYTES))
    everything, failures = [], []
    batches = rounds * len(patterns) * -(-len(names) * len(endings) // size)
    steps = progress.Progress("reach, batches of programs", batches,
                              batches * (times[-1] + 3) + rounds * len(patterns) * len(names) * len(endings) * CELL_S)
    for turn, pattern in itertools.product(range(rounds), patterns):
        cells = [(names[(k + turn) % len(names)], pattern, ending)
                 for ending in endings for k in range(len(names))]
        for first in range(0, len(cells), size):
            some, failed = run_batch(cells[first:first + size], cgroups, times)
            everything += [(turn, cell, figures) for cell, figures in some.items()]
            failures += failed
            steps.step(f"{pattern}, round {turn + 1}")
    cells = {(name, pattern, ending): [figures for _, cell, figures in everything if cell == (name, pattern, ending)]
             for pattern in patterns for ending in endings for name in names}
    medians = {cell: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
               for cell, runs in cells.items() if runs}
    return medians, everything, failures


def table(medians, ending, times, kind):
    what = f"cgroup {kind}'s count" if kind else "RSS without lazy pages, since no cgroup can be made here"
    heads = ["peak"] + [f"{second} s" for second in times] + [f"lazy {times[-1]} s", "release"]
    lines = [f"threads {ending}: MiB by {what}; of a full release: what it leaves, its time, the longest malloc or free",
             f"{'':20}" + "".join(f"{head:>10}" for head in heads) +
             f"{'took ms':>10}{'longest us':>12}{'background ms':>15}"]
    for (name, pattern, _), row in ((cell, row) for cell, row in medians.items() if cell[2] == ending):
        longest = f"{row['longest us']:.0f}" if ending == "trickle" else "-"
        lines.append(f"{pattern + ' ' + name:20}" + "".join(f"{row[head]:>10.1f}" for head in heads) +
                     f"{row['release ms']:>10.1f}{longest:>12}{row['background ms']:>15.1f}")
    return lines


def scatter_least():
    """MiB of pages that any heap keeps in which blocks stay where they are, no matter how it places
    them: pages with as many blocks of one size (block.c) as fit, where one of KEPT lives."""
    def kept(size):  # pages for each block that there was
        blocks = 4096 // size
        return (1 - (1 - KEPT) ** blocks) / blocks if blocks != 0 else KEPT * -(-size // 4096)

    def mean(of, sizes):
        return sum(of(size) for size in sizes) / len(sizes)

    sizes = [(0.985, range(16, 2049)), (0.015, range(4096, 65537))]
    blocks = FILLED_BYTES / sum(share * mean(lambda size: size, some) for share, some in sizes)
    return blocks * sum(share * mean(kept, some) for share, some in sizes) * 4096 / (1 << 20)


def verdicts(medians, times):
    lines = []
    for pattern in PATTERNS:
        row = medians.get(("spillway", pattern, "park"))
        if row is None:
            continue
        most = TARGET_MIB[pattern](row["live"])
        live = f" with {row['live']:.1f} live" if pattern != "all" else ""
        lines.append(target(f"parked, {pattern}: full leaves {row['release']:.1f} MiB{live}, at most {most:.1f}",
                            row["release"] <= most))
        if pattern == "scatter":
            lines.append(f"         {scatter_least():.1f} MiB is the least that blocks keep which stay in place")
        if BACKGROUND_S in times:
            left, most = row[f"{BACKGROUND_S} s"], most * BACKGROUND_SHARE
            lines.append(target(f"parked, {pattern}: background alone leaves {left:.1f} MiB after {BACKGROUND_S} s, "
                                f"at most {most:.1f}", left <= most))
        lines.append(target(f"parked, {pattern}: background took {row['background ms']:.0f} ms of a CPU in its busiest "
                            f"ten seconds, at most {BUDGET_MS}", row["background ms"] <= BUDGET_MS))
    return lines


def tsv(everything):
    columns = list(everything[0][2]) if everything else []
    rows = [["round", "pattern", "ending", "allocator"] + [column.replace(" ", "_") for column in columns]]
    for turn, (name, pattern, ending), figures in everything:
        rows.append([str(turn), pattern, ending, name] + [f"{figures[column]:.2f}" for column in columns])
    return "".join("\t".join(row) + "\n" for row in rows)


def chart_rows(medians, ending, times):
    """What to draw: per pattern and moment, MiB by allocator."""
    moments = [f"{second} s" for second in times] + ["release"]
    rows = []
    for pattern, moment in itertools.product(PATTERNS, moments):
        values = {cell[0]: row[moment] for cell, row in medians.items() if cell[1:] == (pattern, ending)}
        if values:
            rows.append((f"{pattern}, {moment}", values))
    return rows
