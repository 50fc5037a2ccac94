"""The services: how each is started, and what a request of it is."""

import os
import pathlib
import shutil
import socket
import struct

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT_S = 20


def _connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)


def _read_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def ask_line(port, word):
    """A line there, a line back."""
    with _connect(port) as connection:
        connection.sendall(f"{word}\n".encode())
        return _read_all(connection).decode()


class Lines:
    """A program of ours that takes a line a connection."""

    def __init__(self, program, script, light, heavy, measure):
        self.program, self.script, self.light, self.heavy = program, script, light, heavy
        self.measure = measure  # what the environment is to hold so that it tells what is live

    def missing(self):
        return None if shutil.which(self.program) else self.program

    def command(self, port, _folder):
        return [self.program, str(HERE / self.script), str(port)]

    def request(self, port, is_heavy, _random):
        return ask_line(port, self.heavy if is_heavy else self.light).startswith("done ")

    def live_bytes(self, port):
        return int(ask_line(port, "live"))


class Fpm:
    """php-fpm with four children, over FastCGI."""

    CHILDREN = 4
    measure = {}

    def __init__(self, settings):
        self.settings = settings
        self.peak_bytes = 0

    def _program(self):
        return next((str(path) for path in sorted(pathlib.Path("/usr/sbin").glob("php-fpm*"))), None)

    def missing(self):
        return None if self._program() else "php-fpm"

    def command(self, port, folder):
        config = folder / "fpm.conf"
        config.write_text(f"[global]\nerror_log = {folder}/fpm.log\ndaemonize = no\n[www]\nlisten = 127.0.0.1:{port}\n"
                          f"pm = static\npm.max_children = {self.CHILDREN}\nclear_env = no\n"
                          "php_admin_value[memory_limit] = -1\n"
                          + ("user = nobody\ngroup = nogroup\n" if os.getuid() == 0 else ""))
        settings = [f"{key}={value}" for key, value in self.settings.items()]
        return ["env"] + settings + [self._program(), "-n", "-F", "-y", str(config)]

    def _record(self, kind, content):
        return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content

    def request(self, port, is_heavy, _random):
        values = {"SCRIPT_FILENAME": str(HERE / "page.php"), "REQUEST_METHOD": "GET",
                  "QUERY_STRING": "20000" if is_heavy else "500"}
        pairs = b"".join(bytes([len(key), len(value)]) + key.encode() + value.encode() for key, value in values.items())
        with _connect(port) as connection:
            connection.sendall(self._record(1, struct.pack(">HB5x", 1, 0)) + self._record(4, pairs)
                               + self._record(4, b"") + self._record(5, b""))
            answer = _read_all(connection)
        words = answer[answer.find(b"done "):].split()
        if len(words) < 3 or words[0] != b"done":
            return False
        self.peak_bytes = max(self.peak_bytes, int(words[2]))
        return True

    def live_bytes(self, _port):
        """As if all children had their peak at the same time."""
        return self.peak_bytes * self.CHILDREN


class Redis:
    """Values of changing sizes: a heavy request writes many and deletes as many."""

    measure = {}

    def missing(self):
        return None if shutil.which("redis-server") else "redis-server"

    def command(self, port, folder):
        return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", str(folder), "--loglevel", "warning"]

    def _send(self, connection, *words):
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        connection.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded))

    def request(self, port, is_heavy, chance):
        count = 1500 if is_heavy else 10
        first = chance.randrange(20) * 1500
        with _connect(port) as connection, connection.makefile("rb") as answers:
            for i in range(count):
                self._send(connection, "SET", f"key{first + i}", b"v" * chance.randrange(200, 12000))
            for i in range(0, count, 2):
                self._send(connection, "DEL", f"key{first + i}")
            return all(answers.readline()[:1] in (b"+", b":") for _ in range(count + (count + 1) // 2))

    def live_bytes(self, port):
        with _connect(port) as connection, connection.makefile("rb") as answers:
            self._send(connection, "INFO", "memory")
            text = answers.read(int(answers.readline()[1:])).decode()
        return int(text.split("used_memory_peak:")[1].split()[0])


SERVICES = {
    "python JSON": Lines("/usr/bin/python3", "json_server.py", 200, 10000, {"PYTHONTRACEMALLOC": "1"}),
    "node Buffers": Lines("node", "buffers.js", 20, 700, {}),
    "php-fpm": Fpm({}),
    "php-fpm USE_ZEND_ALLOC=0": Fpm({"USE_ZEND_ALLOC": "0"}),
    "redis": Redis(),
    "ruby strings": Lines("ruby", "strings.rb", 100, 5000, {}),
}
