"""The supervisor under test: started, signalled, its log read."""

import fcntl
import os
import re
import signal
import subprocess
import threading
import time

import stage

PIPE_BYTES = 4096  # so that a log that nobody reads fills it at once


class Supervisor:
    """One life of it.  Its log goes through a pipe that can be left unread, and ends up in a file."""

    def __init__(self, stage_, program, ini, log_path):
        self.lines = []
        self.is_read = threading.Event()
        self.is_read.set()
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen(stage_.command([program, "run", str(ini)]), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=writer, start_new_session=True)
        os.close(writer)
        self.pid = self.process.pid
        self.thread = threading.Thread(target=self._read, args=(reader, log_path), daemon=True)
        self.thread.start()
        wait_until(60, lambda: self.takes_signals() or not self.is_alive())

    def takes_signals(self):
        """From then on a SIGHUP does not end it."""
        for line in stage.read(f"/proc/{self.pid}/status").splitlines():
            if line.startswith("SigBlk:"):
                return int(line.split()[1], 16) & 1 << (signal.SIGHUP - 1) != 0
        return False

    def _read(self, reader, log_path):
        with open(reader, "rb", buffering=0) as pipe, open(log_path, "ab", buffering=0) as log:
            rest = b""
            while data := pipe.read(4096):
                log.write(data)
                *whole, rest = (rest + data).split(b"\n")
                self.lines += [line.decode(errors="replace") for line in whole]
                self.is_read.wait()

    def block_log(self):
        self.is_read.clear()

    def unblock_log(self):
        self.is_read.set()

    def is_alive(self):
        return self.process.poll() is None

    def said(self, pattern, since=0):
        return any(re.search(pattern, line) for line in self.lines[since:])

    def send(self, number):
        if self.is_alive():
            self.process.send_signal(number)

    def stop(self, seconds):
        """Its exit status after SIGTERM; None: it did not end."""
        self.unblock_log()
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        return self._end(seconds)

    def kill(self):
        self.send(signal.SIGKILL)
        self.unblock_log()
        return self._end(60)

    def _end(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def children(self):
        return [pid for pid in all_pids() if stage.parent(pid) == self.pid]


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def wait_until(seconds, condition):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
