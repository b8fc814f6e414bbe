"""Headless Chromium, driven through its DevTools protocol: a page, what it evaluates, what its forms are given."""

import asyncio
import functools
import http.server
import json
import os
import pathlib
import shutil
import signal
import threading
import urllib.request

import websockets.asyncio.client

from support.check import Failed, holds

EXAMPLE = pathlib.Path(__file__).resolve().parents[3] / "Examples" / "Browser"


class Pages:
    """The files of a folder, over HTTP on a free port."""

    def __init__(self, folder: pathlib.Path):
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def context(self) -> str:
        return ""

    async def clean_up(self) -> None:
        await asyncio.to_thread(self.server.shutdown)
        self.server.server_close()


async def end(connection, process) -> None:
    """Ends a browser with its children, at the latest after five seconds."""
    await connection.close()
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    try:
        await asyncio.wait_for(process.wait(), 5)
    except asyncio.TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    process.drain.cancel()


class Browser:
    """One browser with one page."""

    def __init__(self, process, folder: str, connection):
        self.process = process
        self.folder = folder
        self.connection = connection
        self.number = 0

    @staticmethod
    async def start(folder: str, *options: str) -> "Browser":
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            raise Failed("chromium is not installed (Debian's package chromium)")
        process = await asyncio.create_subprocess_exec(
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-proxy-server",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            *options,
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # Its helpers are its children: the whole group is ended.
            start_new_session=True,
        )
        port = None
        while line := await asyncio.wait_for(process.stderr.readline(), 30):
            if b"DevTools listening on ws://" in line:
                port = int(line.split(b"DevTools listening on ws://", 1)[1].split(b":")[1].split(b"/")[0])
                break
        if port is None:
            raise Failed("chromium ended before it listened")
        process.drain = asyncio.ensure_future(_discard(process.stderr))
        url = f"http://127.0.0.1:{port}/json/list"
        targets = json.loads(await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read()))
        page = next(target for target in targets if target["type"] == "page")
        connection = await websockets.asyncio.client.connect(
            page["webSocketDebuggerUrl"], proxy=None, compression=None, max_size=1 << 24
        )
        return Browser(process, folder, connection)

    async def call(self, method: str, **parameters):
        self.number += 1
        number = self.number
        await self.connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(await asyncio.wait_for(self.connection.recv(), 20))
            if answer.get("id") == number:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']}")
                return answer["result"]

    async def open(self, url: str) -> None:
        await self.call("Page.enable")
        await self.call("Page.navigate", url=url)
        await self.wait_for("document.readyState === 'complete'")

    async def evaluate(self, expression: str):
        """The value of an expression; promises are awaited."""
        result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise Failed(f"the page threw {details.get('exception', {}).get('description', details['text'])}")
        return result["result"].get("value")

    async def wait_for(self, condition: str, within: float = 10) -> None:
        """Until the page says that the condition holds; the page looks itself, each animation frame."""
        script = (
            "new Promise((resolve) => { const end = performance.now() + %d; const look = () => "
            "(%s) ? resolve(true) : performance.now() > end ? resolve(false) : setTimeout(look, 10); look(); })"
        )
        if not await self.evaluate(script % (within * 1000, condition)):
            log = await self.evaluate("document.body ? document.body.innerText : ''")
            raise Failed(f"not so within {within} s: {condition}; the page shows {log!r}")

    def context(self) -> str:
        return ""

    async def clean_up(self) -> None:
        await end(self.connection, self.process)


async def page(bench, query: str = "") -> Browser:
    """A browser with the example's page."""
    pages = bench.keep(Pages(EXAMPLE))
    browser = bench.keep(await Browser.start(bench.unused_path(".chromium")))
    await browser.open(f"{pages.origin}/index.html{query}")
    return browser


async def log_in(browser: Browser, user: str, password: str, *, realm: str) -> None:
    """Presses "Open", waits until the person is asked, and answers."""
    await browser.evaluate("document.querySelector('#open button').click()")
    await browser.wait_for("document.getElementById('login').open")
    holds(await browser.evaluate("document.getElementById('realm').textContent"), realm, "what the person is asked")
    await browser.evaluate(
        f"document.getElementById('user').value = {json.dumps(user)};"
        f"document.getElementById('password').value = {json.dumps(password)};"
        "document.querySelector('#login button').click()"
    )


async def _discard(stream) -> None:
    while await stream.read(65536):
        pass
