"""Lives of real programs under the recording shim, each kept as a file once it is there."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import allocators
import progress

ONE_S = 20  # about what one takes
FOLDER = allocators.OUT / "traces"

# Rows of small objects fill slabs, those with long text whole pages, too.
LISTS = """
import random, time
random.seed(4)
for turn in range(8):
    rows = [{'id': i, 'name': 'user%d' % i, 'about': ABOUT} for i in range(10000 + 5000 * (turn % 3))]
    time.sleep(0.5)
    few = rows[::50]
    del rows
    time.sleep((0.2, 1.5, 4)[turn % 3])
"""
SMALL = LISTS.replace("ABOUT", "['t%d' % random.randrange(999) for _ in range(4)]")
LARGE = LISTS.replace("ABOUT", "'x' * random.randrange(2500)")


class Failure(Exception):
    pass


@contextlib.contextmanager
def started(command, environment):
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
        if process.wait(timeout=60) != 0:
            raise Failure(f"{command[0]} ended with {process.returncode}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def redis(folder, environment):
    """Bursts of sets, of which half are dropped at once, and pauses."""
    socket = str(folder / "redis.sock")

    def ask(*words):
        return subprocess.run(["redis-cli", "-s", socket, *words], capture_output=True, text=True).stdout.strip()

    command = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no",
               "--daemonize", "no", "--loglevel", "warning", "--dir", str(folder)]
    with started(command, environment):
        deadline = time.monotonic() + 10
        while ask("ping") != "PONG":
            if time.monotonic() > deadline:
                raise Failure("redis-server does not answer")
            time.sleep(0.02)
        for turn, (size, pause) in enumerate([(900, 2), (30, 1), (3000, 5), (900, 0.5), (900, 3), (300, 6)]):
            subprocess.run(["redis-benchmark", "-s", socket, "-q", "-n", "60000", "-r", "40000", "-P", "16", "-d",
                            str(size), "-t", "set"], check=True, stdout=subprocess.DEVNULL)
            time.sleep(1)
            if turn % 2 == 0:
                ask("flushall")
            time.sleep(pause)
        ask("flushall")
        time.sleep(3)
        ask("shutdown", "nosave")


def python(script):
    def play(_, environment):
        with started([sys.executable, "-S", "-c", script],
                     environment | {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}):
            pass
    return play


def gcc(folder, environment):
    source = allocators.ROOT / "shim" / "heap" / "region.c"
    with started(["gcc", "-O2", "-I", allocators.ROOT, "-c", "-o", folder / "region.o", source], environment):
        pass


PROGRAMS = {"redis": (redis, ["redis-server", "redis-cli", "redis-benchmark"]), "python": (python(LARGE), []),
            "python-small": (python(SMALL), []), "gcc": (gcc, ["gcc"])}


def record(name):
    play, needed = PROGRAMS[name]
    missing = [program for program in needed if shutil.which(program) is None]
    if missing:
        raise Failure(f"{' and '.join(missing)} not installed")
    with tempfile.TemporaryDirectory(prefix="simulate-") as folder:
        folder = pathlib.Path(folder)
        play(folder, os.environ | {"LD_PRELOAD": allocators.library_path(allocators.LIBRARIES["spillway"]),
                                   "SPILLWAY_TRACE": str(folder / "trace")})
        # Of what a driver starts, the one that works.
        made = sorted(folder.glob("trace.*"), key=lambda path: path.stat().st_size)
        if not made:
            raise Failure("nothing was recorded")
        FOLDER.mkdir(parents=True, exist_ok=True)
        shutil.copy(made[-1], FOLDER / f"{name}.part")
        (FOLDER / f"{name}.part").rename(FOLDER / f"{name}.trace")


def files():
    """Those that there are, after those that were missing were made; and why some are not there."""
    failures, missing = [], [name for name in PROGRAMS if not (FOLDER / f"{name}.trace").exists()]
    steps = progress.Progress("recordings of programs", len(missing), len(missing) * ONE_S) if missing else None
    for name in missing:
        try:
            record(name)
        except (Failure, OSError, subprocess.SubprocessError) as failure:
            failures.append(f"no recording of {name}: {failure}")
        steps.step(name)
    return [str(FOLDER / f"{name}.trace") for name in PROGRAMS if (FOLDER / f"{name}.trace").exists()], failures
