"""Ordinary HTTP on our port beside a bare NIOHTTP1, under the same load: the server's processor time for a request, its rate
and latency, and what slow readers cost its memory and the requests of others. The same over HTTP/2 beside a bare NIOHTTP2.
`./run.sh http` runs it; it needs wrk, and for HTTP/2 h2load and openssl."""

import pathlib
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time

SECONDS = 4
ROUNDS = 3
SERVERS = ["khp-http", "nio-http"]

PIPELINED = """
init = function(args)
  local all = {}
  for i = 1, 16 do all[i] = wrk.format() end
  bytes = table.concat(all)
end
request = function() return bytes end
"""
UPLOAD = 'wrk.method = "POST"\nwrk.body = string.rep("x", 1048576)\n'
SMALL_UPLOAD = 'wrk.method = "POST"\nwrk.body = string.rep("x", 1024)\n'
CLOSING = 'wrk.headers["Connection"] = "close"\n'

# Name, path, connections, wrk's script.
LOADS = [
    ("a line, 8 connections", "/", 8, ""),
    ("a line, 1,000 connections", "/", 1000, ""),
    ("a line, 16 requests in flight on each of 64", "/", 64, PIPELINED),
    ("a line, a connection for each", "/", 64, CLOSING),
    ("1 KiB up", "/upload", 64, SMALL_UPLOAD),
    ("1 MiB up", "/upload", 16, UPLOAD),
    ("1 MiB down, in 16 pieces", "/large", 16, ""),
]

# Name, connections, streams of each at a time.
STREAM_LOADS = [
    ("a line, 8 connections, a stream at a time", 8, 1),
    ("a line, 16 streams on each of 64", 64, 16),
    ("a line, 1,000 connections, a stream at a time", 1000, 1),
]


class Server:
    def __init__(self, binary, name, *arguments):
        self.process = subprocess.Popen([binary, name, *arguments, "0"], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def seconds(self):
        """Processor time."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def kibibytes(self):
        """Memory of its own."""
        return int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1])


def run_wrk(server, path, connections, script, seconds=SECONDS):
    """Requests, requests in a second, the latencies' median and 99th percentile in ms, failures."""
    arguments = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        if script:
            file.write(script)
            file.flush()
            arguments += ["-s", file.name]
        text = subprocess.run(
            arguments + [f"http://127.0.0.1:{server.port}{path}"], check=True, capture_output=True, text=True
        ).stdout
    latency = {name: milliseconds(value) for name, value in re.findall(r"^\s+(50|99)%\s+(\S+)", text, re.M)}
    failures = re.findall(r"(Socket errors.*|Non-2xx.*)", text)
    return (
        int(re.search(r"(\d+) requests in", text)[1]),
        float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        latency.get("50", 0),
        latency.get("99", 0),
        failures,
    )


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]


def loads(binary):
    names = ("khp, serveHTTP", "NIOHTTP1")
    rates = " | ".join(f"{name}, a second | {name}, p50 and p99 in ms" for name in names)
    print(f"| processor time in µs for an ordinary request | {' | '.join(names)} | khp ÷ NIOHTTP1 | {rates} |")
    print("|---|" + "---:|" * (3 * len(names) + 1))
    for name, path, connections, script in LOADS:
        best = {}
        for _ in range(ROUNDS):
            for kind in SERVERS:
                with Server(binary, kind) as server:
                    run_wrk(server, path, connections, script, 1)
                    before = server.seconds()
                    count, rate, median, late, failures = run_wrk(server, path, connections, script)
                    cost = (server.seconds() - before) / count * 1e6
                if failures and kind == "khp-http" or failures and "Non-2xx" in failures[0]:
                    print(f"http: {kind}, {name}: {failures}", file=sys.stderr)
                if kind not in best or cost < best[kind][0]:
                    best[kind] = (cost, rate, median, late)
        costs = " | ".join(f"{best[kind][0]:.1f}" for kind in SERVERS)
        rates = " | ".join("{:,.0f} | {:.1f}, {:.1f}".format(*best[kind][1:]) for kind in SERVERS)
        ratio = best["khp-http"][0] / best["nio-http"][0]
        print(f"| {name} | {costs} | {ratio:.2f} | {rates} |", flush=True)
    print()


class SlowReaders(threading.Thread):
    """Clients that ask for a mebibyte and take a kibibyte of it at a time. Too many of them fill what the kernel may keep
    for TCP, and then nobody gets an answer, whoever serves."""

    def __init__(self, port, count):
        super().__init__(daemon=True)
        self.sockets = []
        self.taken = 0
        self.lost = 0
        self.stopped = False
        for _ in range(count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            client.setblocking(False)
            self.sockets.append(client)

    def run(self):
        while not self.stopped:
            for client in self.sockets:
                try:
                    bytes_ = client.recv(1024)
                    self.taken += len(bytes_)
                    self.lost += not bytes_
                except BlockingIOError:
                    pass
                except OSError:
                    self.lost += 1
            time.sleep(0.5)

    def stop(self):
        self.stopped = True
        self.join()
        for client in self.sockets:
            client.close()


def slow_readers(binary, count):
    print("| | memory in MiB, before | with them | p99 of others in ms, before | with them | readers lost |")
    print("|---|---:|---:|---:|---:|---:|")
    for kind in SERVERS:
        with Server(binary, kind) as server:
            alone = run_wrk(server, "/", 8, "")
            before = server.kibibytes()
            readers = SlowReaders(server.port, count)
            readers.start()
            time.sleep(2)
            beside = run_wrk(server, "/", 8, "")
            after = server.kibibytes()
            readers.stop()
        print(
            f"| {kind} | {before / 1024:.1f} | {after / 1024:.1f} | {alone[3]:.1f} | {beside[3]:.1f} | {readers.lost} |",
            flush=True,
        )
    print()


def large_uploads(binary, gibibytes):
    """One request of that much, whose sender goes as fast as it may; then the memory that it took."""
    print("| | MiB a second | memory in MiB, before | at the most |")
    print("|---|---:|---:|---:|")
    piece = b"x" * (1 << 20)
    for kind in SERVERS:
        with Server(binary, kind) as server:
            run_wrk(server, "/", 8, "", 1)
            before = most = server.kibibytes()
            client = socket.create_connection(("127.0.0.1", server.port))
            length = gibibytes << 30
            client.sendall(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length)
            began = time.monotonic()
            for number in range(length >> 20):
                client.sendall(piece)
                if number % 64 == 0:
                    most = max(most, server.kibibytes())
            answer = client.recv(4096)
            seconds = time.monotonic() - began
            if str(length).encode() not in answer:
                sys.exit(f"http: {kind} has answered {answer!r}")
        print(f"| {kind} | {(length >> 20) / seconds:,.0f} | {before / 1024:.1f} | {most / 1024:.1f} |", flush=True)
    print()


def run_h2load(server, connections, streams):
    """Requests, requests in a second, their mean latency in ms."""
    text = subprocess.run(
        ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{SECONDS}", f"https://127.0.0.1:{server.port}/"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if "Application protocol: h2" not in text:
        sys.exit(f"http: h2load has not spoken HTTP/2: {text}")
    if not re.search(r" 0 failed, 0 errored", text):
        print(f"http: {re.search(r'requests: .*', text)[0]}", file=sys.stderr)
    return (
        int(re.search(r"(\d+) succeeded", text)[1]),
        float(re.search(r"([\d.]+) req/s", text)[1]),
        milliseconds(re.search(r"time for request:\s+\S+\s+\S+\s+(\S+)", text)[1]),
    )


def streams(binary):
    kinds = ["khp-http2", "nio-http2"]
    print(f"| | {' | '.join(f'{kind}: µs | a second | mean in ms' for kind in kinds)} | khp ÷ nio |")
    print("|---|" + "---:|" * (3 * len(kinds) + 1))
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/certificate.pem", f"{folder}/key.pem"]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            + ["-subj", "/CN=localhost", "-days", "2", "-out", files[0], "-keyout", files[1]],
            check=True,
            capture_output=True,
        )
        for name, connections, at_a_time in STREAM_LOADS:
            best = {}
            for _ in range(ROUNDS):
                for kind in kinds:
                    with Server(binary, kind, *files) as server:
                        before = server.seconds()
                        count, rate, mean = run_h2load(server, connections, at_a_time)
                        cost = (server.seconds() - before) / count * 1e6
                    if kind not in best or cost < best[kind][0]:
                        best[kind] = (cost, rate, mean)
            cells = " | ".join("{:.1f} | {:,.0f} | {:.1f}".format(*best[kind]) for kind in kinds)
            print(f"| {name} | {cells} | {best[kinds[0]][0] / best[kinds[1]][0]:.2f} |", flush=True)
    print()


def main():
    binary = sys.argv[1]
    wanted = sys.argv[2:] or ["loads", "slow", "uploads", "http2"]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    if "loads" in wanted:
        print("## Ordinary HTTP beside a bare NIOHTTP1: processor time in µs for a request\n")
        loads(binary)
    if "slow" in wanted:
        print("## 300 slow readers of a mebibyte\n")
        slow_readers(binary, 300)
    if "uploads" in wanted:
        print("## One upload of 2 GiB\n")
        large_uploads(binary, 2)
    if "http2" in wanted:
        print("## Ordinary HTTP over HTTP/2 beside a bare NIOHTTP2: processor time in µs for a request\n")
        streams(str(pathlib.Path(binary).with_name("bench-http2")))


if __name__ == "__main__":
    main()
