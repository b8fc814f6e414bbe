"""Servers that nobody here wrote, each on ports of its own with a configuration in a folder of its own.

Started by root, they run as nobody: none of them needs more, and Apache refuses to serve as root.
"""

import asyncio
import contextlib
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import tempfile

from support.check import Failed
from support.process import Process

# Below the range from which the system takes ports for outgoing connections, so that none of those is in the way.
PORTS = range(20000, 32000)
# How often a daemon whose port was taken between the look and its start tries another.
ATTEMPTS = 4
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that is free now and was not given before in this run."""
    for port in random.sample(PORTS, 400):
        if port in _given:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise Failed("no free port on 127.0.0.1")


def _program(name: str) -> str:
    """Where a daemon is: Debian keeps some outside a user's path."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin")
    if not found:
        raise Failed(f"{name} is not installed: scripts/setup.sh --interop sees to it")
    return found


def _unprivileged() -> dict:
    """How a process is started that must not be root."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class Daemon:
    """A running server; `ports` has those that its configuration names."""

    def __init__(self, name: str):
        self.name = name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"khp-interop-{name}-"))
        self.ports: list[int] = []
        self.environment: dict[str, str] = {}
        self.process: Process | None = None

    @property
    def port(self) -> int:
        return self.ports[0]

    def url(self, path: str = "/echo", scheme: str = "ws", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def write(self, name: str, content: str | bytes) -> str:
        """A file that the daemon can read; its path."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(errors="backslashreplace") if path.exists() else ""

    async def launch(
        self, program: str, configure, ports: int = 1, *, within: float = 10.0, environment: dict | None = None
    ) -> "Daemon":
        """Starts it and waits until each port listens. `configure` writes the files for the ports and
        returns the arguments; another go with other ports when one was taken meanwhile. `environment` holds variables
        beside PATH, and `{port}` in them is the last of the ports."""
        path = _program(program)
        for attempt in range(ATTEMPTS):
            self.ports = [free_port() for _ in range(ports)]
            arguments = configure()
            self._hand_over()
            self.environment = {"PATH": os.environ.get("PATH", "")}
            for name, value in (environment or {}).items():
                self.environment[name] = value.replace("{port}", str(self.ports[-1]))
            self.process = await Process.start(
                path, *arguments, name=program, cwd=str(self.folder), environment=self.environment, **_unprivileged()
            )
            if await self._listens(within):
                return self
            await self.process.ended(5)
            said = bytes(self.process.err + self.process.out) + self.read("error.log").encode()
            if b"ddress already in use" not in said and b"cannot bind" not in said or attempt == ATTEMPTS - 1:
                break
        raise Failed(f"{program} did not start: {said.decode(errors='replace')[-1500:]}")

    async def start_again(self) -> None:
        """Starts one that has ended, with the same arguments and so on the same ports."""
        old = self.process
        self.process = await Process.start(
            _program(old.name), *old.arguments, name=old.name, cwd=str(self.folder), environment=self.environment,
            **_unprivileged(),
        )  # fmt: skip
        await old.remove()
        if not await self._listens():
            raise Failed(f"{self.name} did not start again")

    def _hand_over(self) -> None:
        owner = _unprivileged()
        if owner:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, owner["user"], owner["group"])

    async def _listens(self, within: float = 10.0) -> bool:
        """True once all ports take connections; False when the process ended instead."""
        deadline = asyncio.get_running_loop().time() + within
        for port in self.ports:
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    if self.process.status is not None:
                        return False
                    if asyncio.get_running_loop().time() > deadline:
                        raise Failed(f"{self.process.describe()} does not listen after {within} s") from None
                    # A port tells nobody when it begins to listen; this is the look's interval, not a wait.
                    await asyncio.sleep(0.02)
        return True

    def context(self) -> str:
        if self.process is None:
            return ""
        logs = (
            f"  {name}| {line}" for name in ("error.log", "access.log") for line in self.read(name).splitlines()[-8:]
        )
        return "\n".join([self.process.context(), *logs])

    async def remove(self) -> None:
        """Ends it by its pid, with a chance to remove what it holds of the system."""
        if self.process is not None:
            if self.process.status is None:
                with contextlib.suppress(ProcessLookupError):
                    self.process.signal(signal.SIGTERM)
                with contextlib.suppress(Failed):
                    await self.process.ended(3)
            await self.process.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


async def nginx(bench, server: str, *, http: str = "", tls: bool = False, files: dict | None = None) -> Daemon:
    """nginx with the given contents of its `server` block (and of `http` around it)."""
    daemon = bench.keep(Daemon("nginx"))
    for name, content in (files or {}).items():
        daemon.write(name, content)
    secure = ""
    if tls:
        certificate = pathlib.Path(bench.certificates.certificate()).read_bytes()
        key = pathlib.Path(bench.certificates.key()).read_bytes()
        secure = (
            f"ssl_certificate {daemon.write('server.pem', certificate)};"
            f"ssl_certificate_key {daemon.write('server.key', key)};"
        )

    def configure():
        path = daemon.folder
        temporary = "\n".join(
            f"{kind}_temp_path {path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = f"""
            daemon off;
            master_process off;
            pid {path}/nginx.pid;
            error_log {path}/error.log info;
            events {{ worker_connections 256; }}
            http {{
                access_log {path}/access.log;
                {temporary}
                map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
                {http}
                server {{
                    listen 127.0.0.1:{daemon.port}{" ssl" if tls else ""};
                    {secure}
                    {server}
                }}
            }}"""
        return ["-p", str(path), "-e", f"{path}/error.log", "-c", daemon.write("nginx.conf", configuration)]

    return await daemon.launch("nginx", configure)


async def nginx_stream(bench, server: str) -> Daemon:
    """nginx that passes TCP on, with the given contents of the `server` block of its `stream`."""
    daemon = bench.keep(Daemon("nginx"))

    def configure():
        path = daemon.folder
        configuration = f"""
            load_module /usr/lib/nginx/modules/ngx_stream_module.so;
            daemon off;
            master_process off;
            pid {path}/nginx.pid;
            error_log {path}/error.log info;
            events {{ worker_connections 256; }}
            stream {{ server {{ listen 127.0.0.1:{daemon.port}; {server} }} }}"""
        return ["-p", str(path), "-e", f"{path}/error.log", "-c", daemon.write("nginx.conf", configuration)]

    return await daemon.launch("nginx", configure)


def nginx_passes(url: str) -> str:
    """The directives with which nginx's own manual passes a WebSocket on; `url` as http:// or https://."""
    return f"""
        proxy_pass {url};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;"""


async def haproxy(bench, frontend: str, *, backend: str = "", tls: bool | str = False, settings: str = "") -> Daemon:
    """HAProxy with the given lines in its frontend, and a backend `passed` with the others; `tls` may have further words."""
    daemon = bench.keep(Daemon("haproxy"))
    secure = ""
    if tls:
        both = b"".join(
            pathlib.Path(file).read_bytes() for file in (bench.certificates.certificate(), bench.certificates.key())
        )
        secure = f" ssl crt {daemon.write('both.pem', both)}" + (f" {tls}" if isinstance(tls, str) else "")

    def configure():
        configuration = f"""
{settings}defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    timeout tunnel 20s
frontend it
    bind 127.0.0.1:{daemon.port}{secure}
{frontend}
"""
        if backend:
            configuration += f"backend passed\n{backend}\n"
        return ["-db", "-f", daemon.write("haproxy.cfg", configuration)]

    return await daemon.launch("haproxy", configure)


MODULES = (
    "mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "auth_digest", "alias", "headers",
    "proxy", "proxy_http", "proxy_wstunnel", "rewrite",
)  # fmt: skip


async def apache(bench, site: str, *, files: dict | None = None) -> Daemon:
    """Apache httpd with the given directives; `{folder}` in them is where `files` are."""
    daemon = bench.keep(Daemon("apache"))
    for name, content in (files or {}).items():
        daemon.write(name, content)

    def configure():
        path = daemon.folder
        modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in MODULES)
        configuration = f"""
ServerRoot {path}
ServerName localhost
DefaultRuntimeDir {path}
PidFile {path}/httpd.pid
Mutex file:{path} default
Listen 127.0.0.1:{daemon.port}
ErrorLog {path}/error.log
LogLevel info
{modules}
StartServers 1
ThreadsPerChild 16
MaxRequestWorkers 16
ThreadLimit 16
{site.replace("{folder}", str(path))}
"""
        # -X: one process, which is ours to end.
        return ["-X", "-d", str(path), "-f", daemon.write("httpd.conf", configuration)]

    return await daemon.launch("apache2", configure)
