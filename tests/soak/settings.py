"""The configuration file of the soak's supervisor, and how reloads change it."""

from services import Burst

EXTRAS_MOST = 3


class Settings:
    def __init__(self, ini, services, memory, folder):
        self.ini, self.services, self.memory, self.folder = ini, services, memory, folder
        # With a hold a level that has changed often stays for up to a minute, and so long the soak would have to rest.
        self.policy = {"hold": "off", "brake_hold": "1s"}
        self.rounds, self.limits = {}, {}
        self.made = 0

    def text(self):
        policy = "".join(f"{key} = {value}\n" for key, value in self.policy.items())
        sections = [service.section(self.rounds.get(service.name, 0), self.limits.get(service.name))
                    for service in self.services]
        return "[policy:default]\n" + policy + "".join(sections)

    def write(self):
        new = self.ini.with_suffix(".new")
        new.write_text(self.text())
        new.replace(self.ini)

    def change(self, random):
        """Changes something; what, in words."""
        return random.choice([self._policy, self._limit, self._limit, self._process, self._extra])(random)

    def _policy(self, random):
        self.policy = {
            "hold": random.choice(["off"] * 4 + ["500ms", "3s"]),
            "brake_hold": random.choice(["200ms", "1s", "3s"]),
            "scavenge": random.choice(["adaptive", "off", "go1.13", "decay"]),
            "madvise": random.choice(["auto", "dontneed"]),
            "gate_wait": random.choice(["50ms", "200ms"]),
            "lazy_pressure": random.choice(["some 5% 2s", "some 10% 2s", "off"]),
        }
        return "policy " + " ".join(self.policy.values())

    def _limit(self, random):
        service = random.choice([service for service in self.services if isinstance(service, Burst)])
        # From 1.4 of what it fills; python has as much again of its own.
        least = 16 + service.peak_mib * 14 // 10
        self.limits[service.name] = random.choice([None, least, least * 2, least * 3])
        return f"memory_max of {service.name} {self.limits[service.name]}"

    def _process(self, random):
        service = random.choice(self.services)
        self.rounds[service.name] = self.rounds.get(service.name, 0) + 1
        return f"{service.name} is another process"

    def _extra(self, random):
        extras = [service for service in self.services if service.name.startswith("extra")]
        if extras and (len(extras) >= EXTRAS_MOST or random.random() < 0.5):
            service = random.choice(extras)
            self.services.remove(service)
            return f"without {service.name}"
        self.made += 1
        self.services.append(Burst(f"extra{self.made}", f"{self.memory} idle 6 1 100", 6, self.folder))
        return f"with {self.services[-1].name}"
