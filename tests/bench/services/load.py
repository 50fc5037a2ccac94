"""Requests on loopback: waves of heavy ones, and light ones in between."""

import random
import threading
import time

WAVES, HEAVY, LIGHT, CONNECTIONS = 2, 5, 20, 4


class Load:
    """What came of the requests that were made."""

    def __init__(self):
        self.lock = threading.Lock()
        self.took_s, self.lost, self.wall_s = [], 0, 0.0

    def _one(self, service, port, is_heavy, chance):
        began = time.monotonic()
        try:
            answered = service.request(port, is_heavy, chance)
        except (OSError, ValueError):
            answered = False
        with self.lock:
            self.took_s.append(time.monotonic() - began)
            self.lost += not answered

    def _some(self, service, port, is_heavy, count):
        """Shared among the connections; ends early when requests are lost."""
        def work(number):
            chance = random.Random(number)
            for _ in range(count // CONNECTIONS):
                if self.lost == 0:
                    self._one(service, port, is_heavy, chance)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def run(self, service, port, waves=WAVES):
        began = time.monotonic()
        for _ in range(waves):
            self._some(service, port, True, HEAVY * CONNECTIONS)
            self._some(service, port, False, LIGHT * CONNECTIONS)
        self.wall_s = time.monotonic() - began
        return self

    def rate(self):
        return len(self.took_s) / self.wall_s

    def p99_ms(self):
        return sorted(self.took_s)[int(len(self.took_s) * 0.99)] * 1000
