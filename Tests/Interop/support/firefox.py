"""Headless Firefox, driven through WebDriver BiDi, its own protocol for programs: a page, and what it evaluates."""

import asyncio
import json
import os
import pathlib
import re
import shutil
import signal

import websockets.asyncio.client

from support.browser import end
from support.check import Failed

PREFERENCES = """
user_pref("app.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.proxy.type", 0);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
"""


class Firefox:
    """One browser with one page."""

    def __init__(self, process, connection, context: str):
        self.process = process
        self.connection = connection
        self.page = context
        self.number = 0

    @staticmethod
    async def start(folder: str) -> "Firefox":
        program = shutil.which("firefox-esr") or shutil.which("firefox")
        if program is None:
            raise Failed("firefox is not installed (Debian's package firefox-esr)")
        path = pathlib.Path(folder)
        path.mkdir()
        (path / "user.js").write_text(PREFERENCES)
        process = await asyncio.create_subprocess_exec(
            program, "--headless", "--no-remote", "--remote-debugging-port=0", "--profile", folder, "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "HOME": folder, "MOZ_CRASHREPORTER_DISABLE": "1", "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
            # Its helpers are its children: the whole group is ended.
            start_new_session=True,
        )  # fmt: skip
        url = None
        while line := await asyncio.wait_for(process.stderr.readline(), 40):
            if match := re.search(rb"WebDriver BiDi listening on (ws://\S+)", line):
                url = match[1].decode()
                break
        if url is None:
            raise Failed("firefox ended before it listened")
        process.drain = asyncio.ensure_future(_discard(process.stderr))
        connection = await websockets.asyncio.client.connect(
            f"{url}/session", proxy=None, compression=None, max_size=1 << 24
        )
        browser = Firefox(process, connection, "")
        await browser.call("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        tree = await browser.call("browsingContext.getTree")
        browser.page = tree["contexts"][0]["context"]
        return browser

    async def call(self, method: str, **parameters):
        self.number += 1
        number = self.number
        await self.connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(await asyncio.wait_for(self.connection.recv(), 30))
            if answer.get("id") == number:
                if answer["type"] == "error":
                    raise Failed(f"{method}: {answer['error']}: {answer['message']}")
                return answer["result"]

    async def open(self, url: str) -> None:
        await self.call("browsingContext.navigate", context=self.page, url=url, wait="complete")

    async def evaluate(self, expression: str):
        """The value of an expression; promises are awaited."""
        result = await self.call(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then((value) => JSON.stringify(value))",
            target={"context": self.page},
            awaitPromise=True,
        )
        if result["type"] == "exception":
            raise Failed(f"the page threw {result['exceptionDetails']['text']}")
        value = result["result"].get("value")
        return None if value is None else json.loads(value)

    def context(self) -> str:
        return ""

    async def clean_up(self) -> None:
        await end(self.connection, self.process)


async def _discard(stream) -> None:
    while await stream.read(65536):
        pass
