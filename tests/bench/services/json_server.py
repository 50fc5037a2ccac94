"""A service in Python: each request parses a document of records and writes a part of it again.

  json_server.py PORT

A connection is one request: a line with the number of records; the answer is a line.  "live" is
answered with the highest sum of bytes that tracemalloc knows of, where that runs.
"""

import gc
import json
import socketserver
import sys
import threading
import tracemalloc

kept = {}


def document(records):
    return json.dumps([{"id": i, "name": f"user{i}", "tags": [f"a{i % 97}", f"b{i % 89}"], "value": i * 1.5,
                        "nested": {"x": i, "y": [i, i + 1, i + 2]}} for i in range(records)])


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        word = self.rfile.readline().decode().strip()
        if word == "live":
            self.wfile.write(f"{tracemalloc.get_traced_memory()[1]}\n".encode())
            return
        records = json.loads(document(int(word)))
        kept[threading.get_ident() % 8] = records[::50]
        text = json.dumps(records)
        self.wfile.write(f"done {len(text)}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


gc.collect()
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
