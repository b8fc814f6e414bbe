"""Message brokers that nobody here wrote, each on a free port of 127.0.0.1 and unprivileged, and `khp gateway` before them."""

import json
import urllib.error
import urllib.request

from support.daemons import Daemon


async def mosquitto(bench, *settings: str) -> Daemon:
    """An MQTT broker without WebSocket."""
    daemon = bench.keep(Daemon("mosquitto"))

    def configure():
        lines = [f"listener {daemon.port} 127.0.0.1", "allow_anonymous true", "persistence false", *settings]
        return ["-c", daemon.write("mosquitto.conf", "\n".join(lines) + "\n")]

    return await daemon.launch("mosquitto", configure)


async def redis(bench, *settings: str) -> Daemon:
    """A server that speaks RESP, also at a Unix domain socket in its folder."""
    daemon = bench.keep(Daemon("redis"))

    def configure():
        lines = [
            f"port {daemon.port}", "bind 127.0.0.1", f"unixsocket {daemon.folder}/redis.sock", "unixsocketperm 777",
            'save ""', "daemonize no", *settings,
        ]  # fmt: skip
        return [daemon.write("redis.conf", "\n".join(lines) + "\n")]

    # The folder of a daemon is its own: the socket in it is for the gateway as well.
    daemon.folder.chmod(0o755)
    return await daemon.launch("redis-server", configure)


async def nats(bench) -> Daemon:
    """A broker that speaks first."""
    daemon = bench.keep(Daemon("nats"))

    def configure():
        return ["-c", daemon.write("nats.conf", f'host: "127.0.0.1"\nport: {daemon.port}\n')]

    return await daemon.launch("nats-server", configure)


class Gateway:
    """`khp gateway` with a configuration, listening at `ws` and answering operators at `admin`."""

    def __init__(self, process, file: str, addresses: dict[str, str]):
        self.process = process
        self.file = file
        self.ws = addresses["public"]
        self.admin = addresses["admin"]

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        """The admin address's status and body."""
        request = urllib.request.Request(self.admin + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def lines(self, event: str) -> list[dict]:
        """The lines of the log for an event."""
        found = []
        for line in bytes(self.process.err).decode().splitlines():
            if line.startswith("{"):
                entry = json.loads(line)
                if entry["event"] == event:
                    found.append(entry)
        return found


async def gateway(bench, services: str, pools: str, more: str = "") -> Gateway:
    """`khp gateway` with these lines of YAML below `services:` and `pools:`."""
    file = bench.file(
        "version: 1\n"
        "instance: test\n"
        "listeners: {public: {listen: 127.0.0.1:0}}\n"
        "admin: {listen: 127.0.0.1:0}\n"
        f"pools:\n{pools}\nservices:\n{services}\n{more}\n",
        ".yaml",
    )
    process = await bench.start("gateway", "--config", file)
    match = await process.see(r"^listening: (.*)$", on="out")
    addresses = dict(entry.split(" ", 1) for entry in match[1].decode().split(", "))
    return Gateway(process, file, addresses)
