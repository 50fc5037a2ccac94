"""A service that builds and drops a heap of small objects at each SIGUSR1: objects.py MIB."""

import signal
import sys

ROW_BYTES = 640  # what a row comes to

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("empty", flush=True)
while True:
    signal.sigwait({signal.SIGUSR1})
    rows = [{"id": i, "name": f"row {i} " + "x" * (i % 200), "values": [str(i + j) for j in range(3)]}
            for i in range((int(sys.argv[1]) << 20) // ROW_BYTES)]
    del rows
    print("idle", flush=True)
