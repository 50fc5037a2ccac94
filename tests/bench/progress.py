"""Says on stderr how far a bench is and about how long it still takes."""

import os
import pathlib
import sys
import time

APART_S = 10


def duration(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


class Progress:
    """On a terminal one line that is written over, elsewhere a line at the start and then at most one every 10 s."""

    def __init__(self, what, steps, seconds=None):
        """seconds: about what all steps take together, where that is known before they are run."""
        self.what = f"{pathlib.Path(sys.argv[0]).resolve().parent.name}: {what}"
        self.steps, self.done, self.seconds = steps, 0, seconds
        self.began = self.said = time.monotonic()
        self.terminal = os.isatty(2)
        self._say("")

    def _left(self):
        if self.done:
            return (time.monotonic() - self.began) / self.done * (self.steps - self.done)
        return self.seconds

    def _say(self, name):
        left = self._left()
        text = f"{self.what}: {self.done} of {self.steps} done{', last ' + name if name else ''}"
        text += f", about {duration(left)} left" if left is not None else ""
        print(f"\r\033[K{text}" if self.terminal else text, end="" if self.terminal else "\n", file=sys.stderr,
              flush=True)

    def step(self, name):
        """Another step has ended."""
        self.done += 1
        if self.done == self.steps:
            if self.terminal:
                print("\r\033[K", end="", file=sys.stderr, flush=True)
        elif self.terminal or time.monotonic() - self.said >= APART_S:
            self.said = time.monotonic()
            self._say(name)
