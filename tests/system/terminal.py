"""Runs a program in a terminal of its own and plays a script of keys and expectations against it.

  terminal.py ROWS COLUMNS COMMAND... < SCRIPT

A line of the script is one of
  see REGEX      waits until the screen has a line with it
  gone REGEX     waits until it has none
  keys TEXT      types it; UP, DOWN and ENTER are keys, {} around them
  size ROWS COLUMNS
  show           prints the screen
  end STATUS     waits until the program has ended with that status
Says the first line that does not come true and ends with 1.
"""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

import pyte

KEYS = {"UP": "\x1b[A", "DOWN": "\x1b[B", "ENTER": "\r"}
PATIENCE_S = 120  # the machine may be busy

rows, columns = int(sys.argv[1]), int(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "linux"  # which pyte plays
    os.execvp(sys.argv[3], sys.argv[3:])
screen = pyte.Screen(columns, rows)
stream = pyte.ByteStream(screen)


def resize(rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    screen.resize(rows, columns)


def read(seconds):
    """False once the program has closed the terminal."""
    if not select.select([fd], [], [], seconds)[0]:
        return True
    try:
        data = os.read(fd, 65536)
    except OSError:
        return False
    stream.feed(data)
    return bool(data)


def until(true):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if true():
            return True
        read(0.2)
    return False


def seen(regex):
    return any(re.search(regex, line) for line in screen.display)


def typed(text):
    return re.sub(r"\{(\w+)\}", lambda key: KEYS[key[1]], text)


def play(line):
    word, _, rest = line.partition(" ")
    if word == "see":
        return until(lambda: seen(rest))
    if word == "gone":
        return until(lambda: not seen(rest))
    if word == "keys":
        os.write(fd, typed(rest).encode())
        return True
    if word == "size":
        resize(*map(int, rest.split()))
        return True
    if word == "show":
        print("\n".join(line.rstrip() for line in screen.display), flush=True)
        return True
    if word == "end":
        end = time.monotonic() + PATIENCE_S
        while read(0.2) and time.monotonic() < end:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == int(rest)
    raise ValueError(line)


resize(rows, columns)
for line in sys.stdin.read().splitlines():
    if line and not play(line):
        print("not so: " + line)
        print("\n".join(screen.display))
        os.kill(pid, 9)
        sys.exit(1)
