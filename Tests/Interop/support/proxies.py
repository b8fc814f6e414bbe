"""Proxies that nobody here wrote: squid, tinyproxy, microsocks, Dante."""

import asyncio

from support.bench import PASSWORD, USER
from support.daemons import Daemon
from support.digest import secret

REALM = "the way out"


async def _crypted(password: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "openssl", "passwd", "-6", "-stdin", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(password.encode())
    return output.decode().strip()


async def squid(bench, auth: str | None = None, *, tls: bool = False) -> Daemon:
    """squid, for everyone or for joe with Basic or Digest; with `tls` it is spoken to over TLS."""
    daemon = bench.keep(Daemon("squid"))
    secure = ""
    if tls:
        files = [daemon.write(name, open(path, "rb").read()) for name, path in (
            ("server.pem", bench.certificates.certificate()), ("server.key", bench.certificates.key()))]  # fmt: skip
        secure = f" tls-cert={files[0]} tls-key={files[1]}"
    if auth == "basic":
        users = daemon.write("users", f"{USER}:{await _crypted(PASSWORD)}\n")
        access = f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {users}\n"
    elif auth == "digest":
        users = daemon.write("users", f"{USER}:{REALM}:{secret(USER, REALM, PASSWORD)}\n")
        access = f"auth_param digest program /usr/lib/squid/digest_file_auth -c {users}\n"
    else:
        access = "http_access allow all\n"
    if auth:
        access += f"""auth_param {auth} children 1 startup=1
auth_param {auth} realm {REALM}
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
"""

    def configure():
        path = daemon.folder
        configuration = f"""
{"https_port" if tls else "http_port"} 127.0.0.1:{daemon.port}{secure}
{access}
pid_filename {path}/squid.pid
cache_log {path}/error.log
access_log stdio:{path}/access.log
cache deny all
memory_cache_shared off
coredump_dir {path}
visible_hostname localhost
pinger_enable off
shutdown_lifetime 0 seconds
"""
        return ["-N", "-n", f"khp{daemon.port}", "-f", daemon.write("squid.conf", configuration)]

    return await daemon.launch("squid", configure)


async def tinyproxy(bench, auth: bool = False) -> Daemon:
    daemon = bench.keep(Daemon("tinyproxy"))

    def configure():
        path = daemon.folder
        configuration = f"Port {daemon.port}\nListen 127.0.0.1\nTimeout 30\nMaxClients 20\nPidFile \"{path}/pid\"\n"
        configuration += f"LogFile \"{path}/error.log\"\nLogLevel Connect\n"
        if auth:
            configuration += f"BasicAuth {USER} {PASSWORD}\n"
        return ["-d", "-c", daemon.write("tinyproxy.conf", configuration)]

    return await daemon.launch("tinyproxy", configure)


async def microsocks(bench, auth: bool = False) -> Daemon:
    """SOCKS5, for everyone or for joe. It logs to standard error whom it serves."""
    daemon = bench.keep(Daemon("microsocks"))

    def configure():
        return ["-i", "127.0.0.1", "-p", str(daemon.port), *(["-u", USER, "-P", PASSWORD] if auth else [])]

    return await daemon.launch("microsocks", configure)


async def dante(bench) -> Daemon:
    """SOCKS4 and SOCKS5, for everyone."""
    daemon = bench.keep(Daemon("dante"))

    def configure():
        configuration = f"""
logoutput: {daemon.folder}/error.log
internal: 127.0.0.1 port = {daemon.port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 command: connect }}
"""
        return ["-N", "1", "-p", f"{daemon.folder}/pid", "-f", daemon.write("danted.conf", configuration)]

    return await daemon.launch("danted", configure)
