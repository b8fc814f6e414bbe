"""Certificates made with openssl: an authority, and leaves for good and bad cases."""

import asyncio
import pathlib
import ssl

from support.check import Failed

LEAVES = {
    # name: (subject, subjectAltName, days)
    "server": ("/CN=khp test server", "DNS:localhost,IP:127.0.0.1", 30),
    "elsewhere": ("/CN=elsewhere.example", "DNS:elsewhere.example", 30),
    "client": ("/CN=joe", "DNS:joe.example", 30),
}


class Certificates:
    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def file(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def authority(self) -> str:
        return self.file("authority.pem")

    def certificate(self, name: str = "server") -> str:
        return self.file(f"{name}.pem")

    def key(self, name: str = "server") -> str:
        return self.file(f"{name}.key")

    def server_context(self, name: str = "server", *, client_authority: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate(name), self.key(name))
        if client_authority:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.authority)
        return context

    def client_context(self, name: str | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority)
        if name:
            context.load_cert_chain(self.certificate(name), self.key(name))
        return context

    async def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        await self._authority("authority", "/CN=khp test authority")
        await self._authority("stranger", "/CN=khp unknown authority")
        for name, (subject, names, days) in LEAVES.items():
            await self._leaf(name, subject, names, days, "authority")
        await self._leaf("impostor", "/CN=joe", "DNS:joe.example", 30, "stranger")

    async def _authority(self, name: str, subject: str) -> None:
        await self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-keyout", self.key(name), "-out", self.certificate(name), "-subj", subject,
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    async def _leaf(self, name: str, subject: str, names: str, days: int, authority: str) -> None:
        request, extensions = self.file(f"{name}.csr"), self.folder / f"{name}.ext"
        extensions.write_text(
            f"subjectAltName={names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        await self._openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", self.key(name), "-out", request, "-subj", subject,
        )  # fmt: skip
        await self._openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate(authority), "-CAkey", self.key(authority),
            "-CAcreateserial", "-days", str(days), "-out", self.certificate(name), "-extfile", str(extensions),
        )  # fmt: skip

    async def _openssl(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "openssl", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise Failed(f"openssl {arguments[0]} failed: {output.decode(errors='replace')}")
