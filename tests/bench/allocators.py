"""What the benches share: the allocators, the options of the environment, where results go."""

import os
import pathlib
import re
import subprocess
import sys

# A plain user's PATH lacks where ldconfig is.
os.environ["PATH"] += ":/usr/sbin:/sbin"
ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "bench"
BUILT = ROOT / "build" / "release" / "tests" / "bench"
LIBRARIES = {
    "glibc": "libc.so.6",  # named, so that it also wins over one that a program is linked with
    "jemalloc": "libjemalloc.so.2",
    "tcmalloc": "libtcmalloc_minimal.so.4",
    "mimalloc": "libmimalloc.so.2",
    "spillway": str(ROOT / "build" / "release" / "lib" / "libspillway.so"),
}
POLICIES = ["off", "go1.11", "go1.12", "go1.13", "decay"]  # beside adaptive, the default
# An allocator's other ways of working, by what its environment is to hold.
VARIANTS = {
    "glibc-trim": ("glibc", {}),  # the program calls malloc_trim
    "jemalloc-bg": ("jemalloc", {"MALLOC_CONF": "background_thread:true"}),
    "tcmalloc-rate10": ("tcmalloc", {"TCMALLOC_RELEASE_RATE": "10"}),
} | {f"spillway-{policy}": ("spillway", {"SPILLWAY_SCAVENGE": policy}) for policy in POLICIES}


def fail(text):
    sys.exit(f"bench-{pathlib.Path(sys.argv[0]).resolve().parent.name}: {text}")


def chosen(variable, names):
    wanted = os.environ.get(variable, "").split() or names
    unknown = [name for name in wanted if name not in names]
    if unknown:
        fail(f"{variable}: unknown {' '.join(unknown)} (expected some of: {' '.join(names)})")
    return wanted


def numbers(variable, usual):
    words = os.environ.get(variable, "").split() or usual.split()
    for word in words:
        if not word.isdigit() or int(word) < 1:
            fail(f"{variable}: {word} is not a number above 0")
    return sorted(int(word) for word in words)


def library_path(name):
    """What LD_PRELOAD is to hold."""
    if name.startswith("/"):
        return name
    known = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout
    found = re.search(rf"{re.escape(name)} .*=> (\S+)", known)
    if not found:
        fail(f"{name} is not installed")
    return found.group(1)


def environment(name):
    """The words for env that make a program run with the allocator or variant."""
    library, settings = VARIANTS.get(name, (name, {}))
    settings = {"LD_PRELOAD": library_path(LIBRARIES[library])} | settings
    return ["env"] + [f"{key}={value}" for key, value in settings.items()]


def target(text, met):
    return f"{'met    ' if met else 'NOT met'}  {text}"
