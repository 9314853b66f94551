"""Headless Chromium, driven over the pipe of its DevTools protocol. Needs nothing but Python's standard library."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


class Failed(Exception):
    """Something is not as it must be. Its text is for a person."""


class Browser:
    """One Chromium process with one page. What its console says, and what it asks the network for, is kept."""

    def __init__(self):
        program = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
        if program is None:
            raise Failed("no chromium on the PATH (scripts/setup.sh page installs it)")
        self.profile = tempfile.mkdtemp(prefix="penstock-page-")
        # The protocol: Chromium reads file descriptor 3 and writes 4; messages end with a zero byte.
        to_chromium, self.to = os.pipe()
        self.from_, from_chromium = os.pipe()

        def descriptors():
            # Twice: the numbers of the pipe may be 3 and 4 themselves.
            a, b = os.dup(to_chromium), os.dup(from_chromium)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe",
                "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={self.profile}", "about:blank",
            ],
            preexec_fn=descriptors, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_chromium)
        os.close(from_chromium)
        self.buffer = b""
        self.last_id = 0
        self.session = None
        self.complaints = []
        self.requests = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"]:
            self.call(f"{domain}.enable")

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, **params):
        """Sends a command and waits for its answer, 30 seconds at most. Events on the way are kept."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + 30
        while True:
            while b"\0" in self.buffer:
                one, self.buffer = self.buffer.split(b"\0", 1)
                answer = json.loads(one)
                if answer.get("id") == self.last_id:
                    if "error" in answer:
                        raise Failed(f"{method}: {answer['error']}")
                    return answer["result"]
                self.note(answer)
            if not select.select([self.from_], [], [], max(0, end - time.monotonic()))[0]:
                raise Failed(f"{method}: Chromium does not answer")
            read = os.read(self.from_, 1 << 20)
            if not read:
                raise Failed(f"{method}: Chromium has ended")
            self.buffer += read

    def note(self, event):
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description") or details["text"])
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled":
                self.complaints.append(str(params["args"]))
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])

    def open(self, url, before=""):
        """Goes to an address. `before`: a script that runs before those of the page."""
        script = self.call("Page.addScriptToEvaluateOnNewDocument", source=before)["identifier"]
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'", "the page is loaded")
        self.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)

    def js(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failed(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression, what, seconds=20):
        """Waits until an expression is true."""
        end = time.monotonic() + seconds
        while not self.js(f"Promise.resolve({expression}).then(Boolean)"):
            if time.monotonic() > end:
                seen = self.js("document.title + ' | ' + (document.querySelector('#state') || document.body).innerText")
                raise Failed(f"not within {seconds} s: {what}; the page says: {seen}")
            self.js("new Promise((go) => setTimeout(go, 100))")

    def look(self, width=1280, height=800, dark=False, reduced=False):
        """Sets the size of the window and what the reader prefers."""
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced else "no-preference"},
        ])
        # Two frames: the charts draw themselves when their size changes.
        self.js("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")

    def key(self, key):
        code = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}[key]
        text = {"Enter": "\r"}.get(key, "")
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, path, whole=False):
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **(
            {"clip": {"x": 0, "y": 0, "width": self.js("innerWidth"), "height": self.js("document.documentElement.scrollHeight"),
                      "scale": 1}} if whole else {}))
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))
