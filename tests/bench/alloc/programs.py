"""The real programs that allocators are measured with: each is a function of a folder for its
files that yields the command to run, and for redis of what to do to it meanwhile."""

import pathlib
import random
import subprocess
import sys
import time

JSON = """
import json, random
random.seed(1)
rows = [{'id': i, 'name': 'user%d' % i, 'tags': ['t%d' % random.randrange(999) for _ in range(8)],
         'score': random.random(), 'about': 'x' * random.randrange(200)} for i in range(12000)]
for _ in range(4):
    text = json.dumps(rows)
    rows = json.loads(text)
"""

DICT = """
import random
random.seed(2)
table = {}
for i in range(900000):
    key = 'key%d' % random.randrange(200000)
    if i % 3 == 2:
        table.pop(key, None)
    else:
        table[key] = [i, str(i)]
words = {}
for i in range(300000):
    words.setdefault('w%d' % random.randrange(20000), []).append((i, i + 1))
"""

SQL = """
create table person(id integer primary key, name text, city text, born integer, note text);
create index person_city on person(city, born);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 120000)
insert into person select i, 'name ' || (i * 7919 % 120000), 'city ' || (i * 31 % 997),
  1900 + i % 120, printf('%.*c', i * 13 % 200, 'x') from n;
select count(*), sum(length(note)) from person where city between 'city 1' and 'city 5';
select city, count(*) as people, avg(born) from person group by city order by people desc limit 5;
update person set note = note || name where id % 3 = 0;
delete from person where id % 5 = 0;
select p.name, q.name from person p join person q on q.id = p.id * 2 + 1 order by p.name limit 3;
"""


def c_source():
    """A large C file: functions over structs, switches and arrays, as generated code looks."""
    draw = random.Random(3)
    lines = ["#include <stddef.h>", "#include <stdint.h>", "#include <string.h>"]
    for i in range(160):
        fields = [f"int{draw.choice((8, 16, 32, 64))}_t f{k};" for k in range(draw.randrange(4, 14))]
        lines.append(f"struct s{i} {{ {' '.join(fields)} struct s{i} *next; }};")
        lines.append(f"static int64_t work{i}(struct s{i} *s, unsigned n)\n{{\n\tint64_t sum = 0;")
        lines.append("\tfor (unsigned i = 0; i < n && s != NULL; i++, s = s->next) {\n\t\tswitch (i % 7) {")
        for case in range(6):
            a, b = draw.randrange(len(fields)), draw.randrange(len(fields))
            lines.append(f"\t\tcase {case}: sum += s->f{a} * {draw.randrange(1, 99)} - (s->f{b} ^ (int64_t)i);"
                         f" if (sum & {1 << case}) s->f{a} = s->f{b}; break;")
        lines.append("\t\tdefault: memset(s, 0, offsetof(struct s%d, f1)); break;\n\t\t}\n\t}\n\treturn sum;\n}" % i)
        lines.append(f"int64_t call{i}(struct s{i} *s)\n{{\n\treturn work{i}(s, {draw.randrange(2, 60)});\n}}")
    return "\n".join(lines) + "\n"


def python_json(_):
    return ["env", "PYTHONMALLOC=malloc", "PYTHONHASHSEED=0", sys.executable, "-S", "-c", JSON]


def python_dict(_):
    return ["env", "PYTHONMALLOC=malloc", "PYTHONHASHSEED=0", sys.executable, "-S", "-c", DICT]


def gcc(folder):
    source = folder / "large.c"
    if not source.exists():
        source.write_text(c_source())
    return ["gcc", "-O2", "-S", "-o", "/dev/null", str(source)]


def sqlite(folder):
    script = folder / "script.sql"
    script.write_text(SQL)
    return ["sqlite3", ":memory:", f".read {script}"]


def stl(folder):
    program = folder / "stl"
    source = pathlib.Path(__file__).with_name("stl.cc")
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["g++", "-std=c++17", "-O2", "-o", program, source], check=True)
    return [str(program)]


def redis(folder):
    return ["redis-server", "--port", "0", "--unixsocket", str(folder / "redis.sock"), "--save", "",
            "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"]


def redis_load(folder):
    """Requests of several kinds against the server, which then ends."""
    socket = str(folder / "redis.sock")

    def ask(*words):
        return subprocess.run(["redis-cli", "-s", socket, *words], capture_output=True, text=True)

    deadline = time.monotonic() + 10
    while ask("ping").stdout.strip() != "PONG":
        if time.monotonic() > deadline:
            raise RuntimeError("redis-server does not answer")
        time.sleep(0.02)
    for size in ("30", "900"):
        subprocess.run(["redis-benchmark", "-s", socket, "-q", "-n", "100000", "-r", "60000", "-P", "16",
                        "-d", size, "-t", "set,get,lpush,lpop,sadd,hset,zadd"],
                       check=True, stdout=subprocess.DEVNULL)
    ask("shutdown", "nosave")


PROGRAMS = {
    "redis": (redis, redis_load),
    "python-json": (python_json, None),
    "python-dict": (python_dict, None),
    "gcc": (gcc, None),
    "sqlite": (sqlite, None),
    "stl": (stl, None),
}
