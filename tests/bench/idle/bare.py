"""What giving back 1 GiB costs beside a bare loop of madvise."""

import re
import subprocess

import allocators
import progress
from allocators import target

BARE = allocators.BUILT / "idle" / "bare"
TIMES_MOST = 1.3


def measure(names, rounds):
    """Of each name, nanoseconds of processor time per page: of the bare loop, of the allocator, and how many MiB."""
    results, shown = {}, progress.Progress("bare", len(names))
    for name in names:
        command = allocators.environment(name) + [str(BARE), str(rounds)]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        found = [[int(word) for word in match] for match in
                 re.findall(r"^bare (\d+) heap (\d+) pages (\d+)$", told.stdout, re.M)]
        if told.returncode == 0 and found:
            bare, heap, pages = zip(*found)
            results[name] = min(bare), min(heap), min(pages) // 256
        shown.step(name)
    return results


def table(results):
    lines = [f"{'ns a page, least':26}{'bare madvise':>14}{'release':>14}{'ratio':>8}{'MiB':>8}"]
    lines += [f"{name:26}{bare:14}{heap:14}{heap / bare:8.2f}{mib:8}" for name, (bare, heap, mib) in results.items()]
    return lines


def verdicts(results):
    if "spillway" not in results:
        return []
    bare, heap, _ = results["spillway"]
    return [target(f"1 GiB back within {TIMES_MOST} x of a bare loop ({heap / bare:.2f})", heap <= TIMES_MOST * bare)]
