"""Measures `khp gateway` beside HAProxy in TCP mode, which is the floor, websockify, websocat, and
mosquitto's own WebSocket listener.

    gateway.py load     processor time of the relay for a message there and back, in rounds over all relays
    gateway.py memory   what a session takes that has nothing to say, with its connection to the backend
    gateway.py brokers  MQTT through the gateway beside mosquitto's own WebSocket listener
    gateway.py all

Behind each relay stands the same server of plain TCP, `bench-server tcp-echo`; before it the same load, `bench-load`. The bar
for a message of 1 KiB: one and a half times HAProxy's processor time and what our own echo costs beyond plain TCP, which is
the framing that HAProxy does not do. Valgrind does not run the gateway's threads, so instructions are not counted. KHP names the
gateway, a release build; BENCH_BIN the folder of the other two programs; ROUNDS and SECONDS_EACH say how long.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("BENCH_BIN", HERE / ".build/release"))
KHP = os.environ.get("KHP", str(HERE.parent / ".build/khp"))
ROUNDS = int(os.environ.get("ROUNDS", 5))
SECONDS = os.environ.get("SECONDS_EACH", "1.5")
LOADS = [
    # Name, options of bench-load.
    ("125 B", ["--size", "125"]),
    ("1 KiB", ["--size", "1024"]),
    ("1 KiB, 32 deep", ["--size", "1024", "--depth", "32"]),
    ("64 KiB", ["--size", "65536"]),
]
BAR = 1.5
BAR_MEMORY = 25


def say(text: str) -> None:
    print(f"gateway: {text}", file=sys.stderr)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Programs:
    """Processes that end with the run."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="khp-bench-"))
        # The daemons of others run as nobody when root measures.
        self.folder.chmod(0o755)
        self.running: list[subprocess.Popen] = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            self.end(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def start(
        self, *arguments, port: int | None = None, pattern: str | None = None, within: float = 60
    ) -> subprocess.Popen:
        """Starts a program and waits until it listens at `port`, or says so; then `port` is set on the process."""
        out = open(self.folder / f"out{len(self.running)}", "w+")
        process = subprocess.Popen(
            [str(part) for part in arguments], stdout=out, stderr=subprocess.STDOUT, cwd=self.folder
        )
        process.said = out.name
        self.running.append(process)
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            if pattern:
                if found := re.search(pattern, pathlib.Path(out.name).read_text(errors="replace")):
                    process.port = int(found[1])
                    return process
            else:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    process.port = port
                    return process
                except OSError:
                    pass
            time.sleep(0.05)
        raise SystemExit(f"{arguments[0]} did not start:\n{pathlib.Path(out.name).read_text()[-2000:]}")

    def end(self, process: subprocess.Popen) -> str:
        """Ends one; what it has said."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return pathlib.Path(process.said).read_text(errors="replace")


def configuration(programs: Programs, backend: int, frames: str = "binary") -> str:
    return programs.write(
        f"gateway-{backend}.yaml",
        "version: 1\nlisteners: {public: {listen: 127.0.0.1:0, connections: 12000}}\n"
        f'pools: {{p: {{backends: ["tcp://127.0.0.1:{backend}"], check: off}}}}\n'
        "defaults: {limits: {sessions: 12000, perAddress: 12000, acceptRate: 20000/s}}\n"
        f"services: {{echo: {{path: /, pool: p, frames: {frames}}}}}\nshutdown: {{announce: 0s, drain: 0s}}\n",
    )


def haproxy(programs: Programs, backend: int) -> tuple[list[str], int]:
    port = free_port()
    file = programs.write(
        f"haproxy-{port}.cfg",
        f"""global
    nbthread 1
    maxconn 2000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen relay
    bind 127.0.0.1:{port}
    server backend 127.0.0.1:{backend}
""",
    )
    return ["haproxy", "-db", "-f", file], port


GATEWAY = r"public ws://127\.0\.0\.1:(\d+)"


def relays(programs: Programs, backend: int) -> dict[str, tuple[subprocess.Popen, list[str]]]:
    """Each with the options that it needs of the load."""
    found = {
        "khp gateway": (
            programs.start(KHP, "gateway", "--config", configuration(programs, backend), pattern=GATEWAY),
            ["--stream"],
        )
    }
    if shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin"):
        command, port = haproxy(programs, backend)
        command[0] = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
        found["HAProxy, TCP"] = (programs.start(*command, port=port), ["--raw"])
    if websockify := shutil.which("websockify"):
        port = free_port()
        found["websockify"] = (
            programs.start(websockify, f"127.0.0.1:{port}", f"127.0.0.1:{backend}", port=port),
            ["--stream"],
        )
    if websocat := shutil.which("websocat"):
        port = free_port()
        found["websocat"] = (
            programs.start(websocat, "--binary", f"ws-l:127.0.0.1:{port}", f"tcp:127.0.0.1:{backend}", port=port),
            ["--stream"],
        )
    for name, program, options in (("our echo", "khp-sync", []), ("echo of plain TCP", "tcp-echo", ["--raw"])):
        found[name] = (programs.start(BIN / "bench-server", program, "0", pattern=r"listening (\d+)"), options)
    return found


def children(pid: int) -> list[int]:
    """A process and all that it has begun: websockify has one for each connection."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += children(int(child))
    return found


def processor_time(pid: int) -> float:
    seconds = 0.0
    for process in children(pid):
        for task in pathlib.Path(f"/proc/{process}/task").iterdir():
            seconds += int((task / "schedstat").read_text().split()[0]) / 1e9
    return seconds


def load() -> bool:
    """Prints the table; False where the bar is missed."""
    with Programs() as programs:
        backend = programs.start(BIN / "bench-server", "tcp-echo", "0", pattern=r"listening (\d+)")
        running = relays(programs, backend.port)
        seen: dict[tuple[str, str], list[tuple[float, float]]] = {}
        # The relays that fail under a load.
        lost: set[tuple[str, str]] = set()
        for number in range(ROUNDS):
            say(f"under load, round {number + 1} of {ROUNDS}")
            for name, options in LOADS:
                for relay, (process, how) in running.items():
                    if (name, relay) in lost:
                        continue
                    command = [
                        BIN / "bench-load",
                        "echo",
                        str(process.port),
                        *options,
                        *how,
                        "--connections",
                        "8",
                        "--seconds",
                        SECONDS,
                    ]
                    measured = subprocess.Popen(
                        [str(part) for part in command] + ["--pid", str(process.pid)], stdout=subprocess.PIPE, text=True
                    )
                    if relay == "websockify":
                        # Its connections are processes that end with them: looked at before that, and without the warm-up.
                        time.sleep(float(SECONDS) * 0.4)
                        first, began = processor_time(process.pid), time.monotonic()
                        time.sleep(float(SECONDS) * 0.7)
                        spent, took = processor_time(process.pid) - first, time.monotonic() - began
                    figures = measured.communicate()[0].split()
                    if len(figures) != 3:
                        say(f"{relay} loses a connection under {name}")
                        lost.add((name, relay))
                        continue
                    operations, seconds, cpu = (float(part) for part in figures)
                    if relay == "websockify":
                        cpu, operations, seconds = spent, operations / seconds * took, took
                    seen.setdefault((name, relay), []).append((cpu / operations * 1e6, operations / seconds))
        print("## A relay under load: eight connections, messages there and back\n")
        print(
            f"Processor time of the relay in µs for a message (the median of {ROUNDS} rounds), and messages a second.\n"
        )
        names = list(running)
        print("| message | " + " | ".join(names) + " | bar | gateway ÷ bar |\n|---|" + "---:|" * (len(names) + 2))
        met = True
        for name, _ in LOADS:
            done = [relay for relay in names if (name, relay) not in lost]
            cost = {relay: statistics.median(one for one, _ in seen[name, relay]) for relay in done}
            rate = {relay: statistics.median(rate for _, rate in seen[name, relay]) for relay in done}
            bar = BAR * cost.get("HAProxy, TCP", 0) + cost["our echo"] - cost["echo of plain TCP"]
            cells = " | ".join(f"{cost[relay]:.1f} ({rate[relay]:,.0f}/s)" if relay in done else "-" for relay in names)
            print(f"| {name} | {cells} | {bar:.1f} | {cost['khp gateway'] / bar:.2f} |")
            met = met and (name != "1 KiB" or "HAProxy, TCP" not in cost or cost["khp gateway"] <= bar)
        print()
        return met


def resident(pid: int) -> int:
    """Bytes of its own: pages of files do not count."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def memory() -> bool:
    """10,000 idle sessions, or as many as this process and the gateway may open; False where one takes too much."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10_000, (hard - 200) // 2)
    request = (
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    print("## A session's memory, with its connection to the backend\n")
    print("| | sessions | KiB each |\n|---|---:|---:|")
    met = True
    for name, payload in (
        ("open, nothing said", 0),
        ("after a message of 1 KiB each way", 1024),
        ("after 64 KiB each way", 65_536),
    ):
        say(f"memory: {name}")
        with Programs() as programs:
            backend = programs.start(BIN / "bench-server", "tcp-echo", "0", pattern=r"listening (\d+)")
            process = programs.start(KHP, "gateway", "--config", configuration(programs, backend.port), pattern=GATEWAY)
            clients = []
            for number in range(count):
                if number == 200:
                    before = resident(process.pid)
                client = socket.create_connection(("127.0.0.1", process.port))
                client.sendall(request)
                answer = b""
                while not answer.endswith(b"\r\n\r\n"):
                    answer += client.recv(4096)
                if not answer.startswith(b"HTTP/1.1 101"):
                    raise SystemExit(answer)
                if payload:
                    head = (
                        struct.pack("!BBH", 0x82, 0xFE, payload)
                        if payload < 65_536
                        else struct.pack("!BBQ", 0x82, 0xFF, payload)
                    )
                    client.sendall(head + b"\0\0\0\0" + b"x" * payload)
                    taken = 0
                    while taken < payload:
                        taken += len(client.recv(1 << 20))
                clients.append(client)
            # Connections give back the memory of their traffic once they have been quiet.
            time.sleep(8)
            each = (resident(process.pid) - before) / (count - 200) / 1024
            met = met and (payload != 0 or each <= BAR_MEMORY)
            print(f"| {name} | {count:,} | {each:.1f} |")
            for client in clients:
                client.close()
    print()
    return met


def brokers() -> None:
    """MQTT over mosquitto's own WebSocket listener, and through the gateway to its listener of TCP."""
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program:
        return say("no mosquitto here")
    print("## MQTT: a publish of 1 KiB that comes back, 16 in flight\n")
    print(
        "| way | processor time of mosquitto in µs | of the gateway | together | messages a second |\n|---|---:|---:|---:|---:|"
    )
    with Programs() as programs:
        tcp, ws = free_port(), free_port()
        file = programs.write(
            "mosquitto.conf",
            f"listener {tcp} 127.0.0.1\nlistener {ws} 127.0.0.1\nprotocol websockets\nallow_anonymous true\npersistence false\n"
            "set_tcp_nodelay true\n",
        )
        broker = programs.start(program, "-c", file, port=tcp)
        process = programs.start(KHP, "gateway", "--config", configuration(programs, tcp), pattern=GATEWAY)
        for name, port, path in (("mosquitto's own listener", ws, "/mqtt"), ("khp gateway", process.port, "/")):
            results = [_publish(port, path, broker.pid, process.pid) for _ in range(3)]
            own, gateway, rate = (statistics.median(values) for values in zip(*results))
            print(f"| {name} | {own:.1f} | {gateway:.1f} | {own + gateway:.1f} | {rate:,.0f} |")
    print()


def _publish(
    port: int, path: str, broker: int, gateway: int, count: int = 20_000, depth: int = 16
) -> tuple[float, float, float]:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n".encode()
    )  # fmt: skip
    text = b""
    while b"\r\n\r\n" not in text:
        text += sock.recv(4096)

    def frame(payload: bytes) -> bytes:
        length = len(payload)
        head = struct.pack("!BB", 0x82, 0x80 | length) if length < 126 else struct.pack("!BBH", 0x82, 0xFE, length)
        return head + b"\0\0\0\0" + payload

    # CONNECT, SUBSCRIBE, and a PUBLISH of 1,024 bytes to the same topic.
    sock.sendall(frame(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05bench"))
    sock.sendall(frame(b"\x82\x06\x00\x01\x00\x01t\x00"))
    time.sleep(0.3)
    sock.recv(4096)
    body = b"\x00\x01t" + b"x" * 1021
    publish = b"\x30" + bytes([0x80 | len(body) % 128, len(body) // 128]) + body

    def round_() -> None:
        sock.sendall(frame(publish) * depth)
        wanted, taken = depth * len(publish), 0
        while taken < wanted:
            # Heads of frames are counted too: they are few bytes beside a kilobyte each.
            taken += len(sock.recv(1 << 20))

    for _ in range(50):
        round_()
    first, second, began = processor_time(broker), processor_time(gateway), time.monotonic()
    for _ in range(count // depth):
        round_()
    took = time.monotonic() - began
    own, other = processor_time(broker) - first, processor_time(gateway) - second
    sock.close()
    return own / count * 1e6, other / count * 1e6, count / took


def main() -> int:
    what = sys.argv[1] if len(sys.argv) > 1 else "all"
    known = {"load": load, "memory": memory, "brokers": brokers}
    if what != "all" and what not in known:
        print(__doc__)
        return 64
    met = True
    for name, work in known.items():
        if what in ("all", name):
            met = work() is not False and met
    if not met:
        say("a bar is missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
