"""Message brokers that nobody here wrote, each on a free port of 127.0.0.1 and unprivileged, and `khp gateway` before them."""

import json
import os
import urllib.error
import urllib.request

from support.bench import PASSWORD, USER
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


async def rabbitmq(bench, *settings: str) -> Daemon:
    """A broker of AMQP 0-9-1, STOMP and MQTT, on its first three ports.

    Erlang's port mapper is a daemon of its own here: one that RabbitMQ starts is left behind.
    """
    mapper = bench.keep(Daemon("epmd"))
    await mapper.launch("epmd", lambda: ["-address", "127.0.0.1", "-port", str(mapper.port)])
    daemon = bench.keep(Daemon("rabbitmq"))
    folder = daemon.folder

    def configure():
        amqp, stomp, mqtt, _ = daemon.ports
        daemon.write("rabbitmq.conf", "\n".join([
            f"listeners.tcp.1 = 127.0.0.1:{amqp}", f"stomp.listeners.tcp.1 = 127.0.0.1:{stomp}",
            f"mqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}", "mqtt.allow_anonymous = true", "loopback_users.guest = true",
            "log.console = true", "log.console.level = info", "log.file = false", *settings,
        ]) + "\n")  # fmt: skip
        daemon.write("enabled_plugins", "[rabbitmq_stomp,rabbitmq_mqtt].\n")
        return []

    return await daemon.launch(
        RABBITMQ, configure, ports=4, within=240, environment={
            # Without it a shell stands before the server and takes the signals.
            "detached": "yes",
            "HOME": str(folder), "RABBITMQ_NODENAME": f"khp{os.getpid()}-{mapper.port}@localhost",
            "ERL_EPMD_PORT": str(mapper.port), "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_DIST_PORT": "{port}",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": "/nonexistent", "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins", "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log", "RABBITMQ_LOGS": "-", "LANG": "C.UTF-8",
        },
    )  # fmt: skip


# The one in /usr/sbin wants to be root or a user of its own.
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"


async def prosody(bench) -> Daemon:
    """An XMPP server with WebSocket at /xmpp-websocket, and a user joe@localhost with the password of the suite."""
    daemon = bench.keep(Daemon("prosody"))
    folder = daemon.folder

    def configure():
        accounts = folder / "data" / "localhost" / "accounts"
        accounts.mkdir(parents=True, exist_ok=True)
        (accounts / f"{USER}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}"; }};\n')
        daemon.write("prosody.cfg.lua", f"""
            daemonize = false
            data_path = "{folder}/data"
            pidfile = "{folder}/prosody.pid"
            interfaces = {{ "127.0.0.1" }}
            http_ports = {{ {daemon.port} }}
            https_ports = {{ }}
            c2s_ports = {{ }}
            s2s_ports = {{ }}
            modules_enabled = {{ "roster", "saslauth", "disco", "ping", "websocket" }}
            modules_disabled = {{ "s2s", "tls" }}
            authentication = "internal_plain"
            allow_unencrypted_plain_auth = true
            consider_websocket_secure = true
            cross_domain_websocket = true
            log = {{ info = "*console" }}
            VirtualHost "localhost"
        \n""")  # fmt: skip
        return ["--config", str(folder / "prosody.cfg.lua"), "-F"]

    return await daemon.launch("prosody", configure)


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
        # The last piece may be the beginning of a line.
        for line in bytes(self.process.err).decode(errors="replace").split("\n")[:-1]:
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
