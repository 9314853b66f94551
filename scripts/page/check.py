"""Tests the status page in headless Chromium. See `scripts/test-page.sh`, which runs it.

Without an address it serves the page itself, beside answers that are made up (samples.py). With one it looks at a running
service, and compares what the page shows with what `/status` says.
"""

import argparse
import base64
import datetime
import hashlib
import http.server
import json
import pathlib
import re
import sys
import threading
import time
import urllib.request

from browser import Browser, Failed
from samples import STATES

PAGE = pathlib.Path(__file__).resolve().parents[2] / "src/web/page/index.html"


def policy(page):
    """The Content-Security-Policy that the service sends with the page (`policy` in src/web/routes.rs)."""
    def hashes(tag):
        blocks = re.findall(f"<{tag}[^>]*>(.*?)</{tag}>".encode(), page, re.DOTALL)
        check(len(blocks) == 1, f"{len(blocks)} elements <{tag}>")
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(block).digest()).decode()}'" for block in blocks)
    return (f"default-src 'none'; style-src {hashes('style')}; script-src {hashes('script')}; connect-src 'self'; "
            "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


# Sample: level, and words of the headline.
EXPECTED = {
    "flowing": ("good", "All is well"),
    "idle": ("good", "All is well"),
    "silent": ("bad", "Aerospike takes no writes"),
    "recovered": ("good", "All is well"),
    "catching-up": ("good", "All is well"),
    "one-held": ("bad", "1 partition is held"),
    "starting": ("warn", "Starting"),
    "draining": ("warn", "Stopping"),
    "no-partitions": ("warn", "no partitions"),
    "many": ("bad", "2 partitions make no progress"),
    "no-leader": ("warn", "2 partitions have no leader"),
    "behind": ("warn", "Falling behind"),
    "hostile": ("bad", "1 partition is held"),
}
MARKS = {"good": "✓", "warn": "▲", "bad": "✕", "unknown": "?"}

# Of every element with text of its own: how its colour contrasts with what is behind it.
CONTRAST = """(() => {
  const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return [m[0], m[1], m[2], m[3] ?? 1]; };
  const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const faults = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility({ visibilityProperty: true }) || element.closest('.unseen, .skip, noscript')) continue;
    const style = getComputedStyle(element);
    let behind = element, back;
    do { back = parse(getComputedStyle(behind).backgroundColor); behind = behind.parentElement; } while (back[3] < 1 && behind);
    const text = parse(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(text), light(back)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) faults.push(element.tagName + ' "' + element.textContent.slice(0, 30) + '" ' + ratio.toFixed(2));
  }
  return faults;
})()"""

# Sums the moves of the layout that no key or click has caused.
SHIFTS = """window.shifts = [];
new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifts.push(
  entry.value.toFixed(4) + ' ' + entry.sources.map((s) => s.node && (s.node.id || s.node.className || s.node.tagName)).join(','));
}).observe({ type: 'layout-shift', buffered: true });"""


def check(is_true, what):
    if not is_true:
        raise Failed(what)


def equal(left, right, what):
    check(left == right, f"{what}: {left!r}, not {right!r}")


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Pretender:
    """A server that sends the page, and answers of a service that does not exist."""

    def __init__(self):
        self.state = "flowing"
        self.change = lambda status: None
        # What it does in place of an answer: a number (HTTP status), bytes, "hang up" or "silent".
        self.fault = None
        self.stop = threading.Event()
        self.asked = 0
        outer = self
        page = PAGE.read_bytes()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == "/":
                    self.send(200, "text/html; charset=utf-8", page, {"Content-Security-Policy": policy(page)})
                elif self.path == "/status":
                    outer.asked += 1
                    outer.answer(self)
                else:
                    self.send(404, "text/plain", b"no such page\n")

            def send(self, code, kind, body, more={}):
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                for name, value in more.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        match self.fault:
            case None:
                status = STATES[self.state](now())
                self.change(status)
                request.send(200, "application/json", json.dumps(status).encode())
            case "hang up":
                request.close_connection = True
            case "silent":
                self.stop.wait(60)
            case int(code):
                request.send(code, "text/plain", b"")
            case bytes(body):
                request.send(200, "application/json", body)

    def close(self):
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()


class Suite:
    def __init__(self, browser, pictures):
        self.browser = browser
        self.pictures = pictures
        self.passed = 0
        self.failed = []

    def test(self, name, body):
        self.browser.complaints.clear()
        self.browser.requests.clear()
        try:
            body()
            self.passed += 1
            print(f"ok      {name}", flush=True)
        except Failed as failure:
            self.failed.append(name)
            print(f"FAILED  {name}: {failure}", flush=True)

    def picture(self, name, **how):
        if self.pictures:
            self.browser.picture(self.pictures / f"{name}.png", **how)

    # ---- what holds for every page

    def state(self, level, words, seconds=20):
        b = self.browser
        b.until(f"document.getElementById('headline').textContent.includes({json.dumps(words)})", words, seconds)
        equal(b.js("document.getElementById('state').className"), f"state {level}", "the state's level")
        title = b.js("document.title")
        check(title.startswith(MARKS[level]) and words in title, f"the title does not tell the state: {title}")
        check(b.js("document.getElementById('icon').href").startswith("data:image/svg+xml,"), "no icon")
        check(words in b.js("document.getElementById('announce').textContent"), "the state is not announced")
        check(b.js("document.getElementById('why').textContent").strip(), "the state has no why")
        check(b.js("document.getElementById('since').textContent").strip(), "the state has no since")

    def looks(self, name):
        """At every size and in both colours: nothing is cut off, everything can be read. Takes the pictures."""
        b = self.browser
        for width, height, dark, kind in [(1280, 800, False, "light"), (1280, 800, True, "dark"), (360, 740, False, "phone"),
                                          (1920, 1080, True, "wall")]:
            b.look(width, height, dark, reduced=True)
            equal(b.js("document.documentElement.scrollWidth"), width, f"the width of the page ({kind})")
            equal(b.js(CONTRAST), [], f"text that is hard to read ({kind})")
            self.picture(f"{name}-{kind}", whole=kind in ("light", "phone"))
        if self.pictures:
            # For documents: what is seen first.
            for width, height, kind in [(1280, 1060, "top"), (360, 740, "phone-top")]:
                b.look(width, height)
                self.picture(f"{name}-{kind}")
        b.look()

    def clean(self, url):
        b = self.browser
        b.js("1")
        equal(b.complaints, [], "complaints in the console")
        foreign = [request for request in b.requests if not request.startswith((url, "data:"))]
        equal(foreign, [], "requests to elsewhere")

    def numbers(self, status):
        """What the page shows is what the answer says."""
        b = self.browser
        parts = status["partitions"]
        equal(b.js("document.querySelectorAll('#strip .cell').length"), len(parts), "cells of the strip")
        equal(b.js("document.querySelectorAll('#rows tr').length"), len(parts), "rows of the table")
        equal(b.js("document.getElementById('count').textContent"), f"{len(parts):,}", "the number of partitions")
        trouble = [p for p in parts if p["state"] not in ("ok", "starting")]
        equal(b.js("document.querySelectorAll('.cards article').length"), len(trouble), "cards")
        head = b.js("document.querySelector('header').innerText")
        for name in status["topics"][:5] + status["sets"][:5] + [status["group"]]:
            check(name in head, f"{name} is not in the header: {head}")
        for id_, items in [("reasons", status["rejects"]), ("latest", status["recent_rejects"]), ("totals", status["totals"]),
                           ("settings", status["settings"])]:
            equal(b.js(f"document.getElementById('{id_}').children.length"), len(items), f"rows of {id_}")


# ---- without a service

def sample_test(suite, server, name):
    def body():
        b = suite.browser
        server.state, server.fault, server.change = name, None, lambda status: None
        b.look()
        b.open(server.url)
        suite.state(*EXPECTED[name])
        status = STATES[name](now())
        suite.numbers(status)
        suite.looks(name)
        suite.clean(server.url)
    suite.test(f"sample {name}", body)


def page_tests(suite, server):
    b = suite.browser

    def begin(state="flowing", before=""):
        server.state, server.fault, server.change = state, None, lambda status: None
        b.look()
        b.open(server.url, before)
        b.until("document.getElementById('rate').textContent !== '–'", "the first answer is shown")

    def test(function):
        suite.test(function.__name__.replace("_", " "), lambda: function())

    @test
    def the_page_is_small_and_loads_nothing_from_elsewhere():
        text = PAGE.read_text()
        check(len(text.encode()) < 50 * 1024, f"the page has {len(text.encode())} bytes")
        found = re.findall(r"https?://[^\"'`\s]*|\sstyle=|\son[a-z]+=|innerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        equal([word for word in found if word != "http://www.w3.org/2000/svg"], [], "what a page without dependencies has not")

    @test
    def a_database_that_falls_silent_and_recovers_is_told_as_it_happens():
        begin()
        suite.state("good", "All is well")
        server.state = "silent"
        suite.state("bad", "Aerospike takes no writes")
        check("Before: All is well, for" in b.js("document.getElementById('since').textContent"), "what was before is not told")
        check("writes fail for 1 minute 35 seconds" in b.js("document.querySelector('header').innerText"), "the header")
        server.state = "catching-up"
        suite.state("good", "All is well")
        check("Before: Not well: Aerospike" in b.js("document.getElementById('since').textContent"), "what was before is not told")
        check("fewer rows at once (1,480): timeout" in b.js("document.getElementById('notes').textContent"), "the pressure")
        check("caught up in about" in b.js("document.getElementById('lag-more').textContent"), "the trend of the lag")
        suite.clean(server.url)

    @test
    def a_service_that_is_lost_is_told_and_found_again():
        begin()
        server.fault = "hang up"
        suite.state("unknown", "No answer from the service")
        check(b.js("document.body.classList.contains('lost')"), "what is old is not grey")
        check("The last answer came at" in b.js("document.getElementById('why').textContent"), "since when is not told")
        check("the connection fails" in b.js("document.getElementById('why').textContent"), "what fails is not told")
        check(b.js("document.getElementById('rate').textContent") != "–", "what was known last is gone")
        for dark, kind in [(False, "light"), (True, "dark")]:
            b.look(dark=dark)
            suite.picture(f"lost-{kind}")
        b.look()
        for fault, words in [(503, "HTTP status 503"), (b"{", "not JSON"), (b"{}", "does not understand"), ("silent", "nothing comes within 5 s")]:
            server.fault = fault
            b.until(f"document.getElementById('why').textContent.includes('{words}')", words)
        server.fault = None
        suite.state("good", "All is well")
        check(not b.js("document.body.classList.contains('lost')"), "it is still grey")
        check("Before: No answer" in b.js("document.getElementById('since').textContent"), "the gap is not told")

    @test
    def a_service_that_never_answers_is_told():
        server.state, server.fault = "flowing", 503
        b.open(server.url)
        suite.state("unknown", "No answer from the service")
        check("since this page was opened" in b.js("document.getElementById('why').textContent"), "since when is not told")
        suite.picture("never-answered")

    @test
    def a_service_whose_main_thread_hangs_is_told():
        begin()
        server.change = lambda status: status.update(snapshot_age_s=75.0)
        suite.state("unknown", "The service hangs")
        check("1 minute 1" in b.js("document.getElementById('why').textContent"), "how old is not told")
        check(" old. Everything below is from then." in b.js("document.getElementById('why').textContent"), "how old is not told")

    @test
    def a_start_and_an_end_that_take_long_do_not_hang():
        for state, words in [("starting", "Starting"), ("draining", "Stopping")]:
            begin(state)
            server.change = lambda status: status.update(snapshot_age_s=75.0)
            asked = server.asked
            while server.asked < asked + 2:
                b.js("new Promise((go) => setTimeout(go, 200))")
            suite.state("warn", words)

    @test
    def an_update_moves_nothing():
        begin(before=SHIFTS)
        before = b.js("shifts.length")
        changes = iter([(7, 0), (1_234_567.8, 99_999_999), (0.3, 12), (99_999, 4_000_000)])

        def change(status):
            rate, lag = next(changes, (48_000, 900))
            status.update(messages_per_s=rate, lag=lag, uptime_s=rate)
            for partition in status["partitions"]:
                partition.update(lag=lag, oldest_in_hand_s=lag / 7)
        asked = server.asked
        server.change = change
        end = time.monotonic() + 30
        while server.asked < asked + 5 and time.monotonic() < end:
            b.js("new Promise((go) => setTimeout(go, 200))")
        b.look()
        equal(b.js(f"shifts.slice({before})"), [], "moves of the layout")

    @test
    def the_state_is_announced_when_it_changes_and_not_with_every_answer():
        begin()
        suite.state("good", "All is well")
        b.js("""window.said = 0; new MutationObserver(() => said++).observe(document.getElementById('announce'),
                { childList: true, characterData: true, subtree: true })""")
        server.change = lambda status: status.update(why=f"Messages flow: {time.monotonic()}.")
        asked = server.asked
        b.until("document.getElementById('why').textContent.includes('.')", "an answer")
        while server.asked < asked + 3:
            b.js("new Promise((go) => setTimeout(go, 200))")
        equal(b.js("said"), 0, "announcements without a change")
        server.state = "one-held"
        suite.state("bad", "1 partition is held")
        equal(b.js("said"), 1, "announcements of a change")
        live = b.js("[...document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=log]')].map((e) => e.id)")
        equal(live, ["announce"], "live regions")

    @test
    def the_time_since_when_stands_still():
        begin()
        began = time.monotonic() - 500
        jitter = iter([0.9, 0.0, 0.5, 0.2] * 20)
        server.change = lambda status: status.update(state_for_s=round(time.monotonic() - began + next(jitter), 1))
        b.until("document.getElementById('since').textContent.includes('8 minutes 2')", "the first such answer")
        asked, seen = server.asked, set()
        while server.asked < asked + 3:
            seen.add(b.js("document.getElementById('since').textContent.split('(')[0]"))
            b.js("new Promise((go) => setTimeout(go, 100))")
        equal(len(seen), 1, f"times since when: {seen}")

    @test
    def a_state_in_other_words_is_the_same_state():
        begin("one-held")
        b.until("document.getElementById('since').textContent.includes('(12 minutes')", "since when")

        def hold_another(status):
            status["partitions"][0].update(state="held", why="")
        server.change = hold_another
        suite.state("bad", "2 partitions are held")
        since = b.js("document.getElementById('since').textContent")
        check("(12 minutes" in since and "Before" not in since, since)

    @test
    def what_the_page_concluded_ends_when_the_page_sees_that():
        begin("behind")
        suite.state("warn", "Falling behind")
        # The service's own state has been ok for a day, and was ok meanwhile.
        server.state = "flowing"
        suite.state("good", "All is well")
        since = b.js("document.getElementById('since').textContent")
        check("day" not in since and "Before: Falling behind, for " in since, since)

    @test
    def a_service_that_waits_for_its_first_partitions_is_starting():
        begin()

        def join(status):
            status.update(state="no-partitions", partitions=[], why="Waiting for the group to give this process its partitions.")
            status["kafka"].update(joined=False)
        server.change = join
        suite.state("warn", "Starting")
        check("Waiting for the group" in b.js("document.getElementById('why').textContent"), "what it waits for")

    @test
    def everything_is_reached_by_keyboard():
        begin("one-held")
        seen = []
        for _ in range(40):
            b.key("Tab")
            seen.append(b.js("(document.activeElement.dataset.sort || document.activeElement.textContent.trim().slice(0, 20) || "
                             "document.activeElement.getAttribute('aria-label'))"))
            if seen[-1] == "JSON":
                break
        for name in ["To the state", "topic", "lag", "Totals since the sta", "Settings", "JSON"]:
            check(name in seen, f"{name} is not reached: {seen}")
        equal(b.js("document.querySelectorAll('[role=slider]').length"), 3, "charts")
        # The reader of a chart.
        b.js("document.querySelector('#chart-rate .plot').focus()")
        value = lambda: b.js("document.querySelector('#chart-rate .plot').getAttribute('aria-valuetext')")
        check(value().startswith("now: "), value())
        b.key("Home")
        first = value()
        b.key("ArrowRight")
        check(re.fullmatch(r"(\d+ \w+, )?\d\d:\d\d:\d\d: [\d,]+/s", value()), value())
        check(value() != first, "the arrow key does nothing")
        equal(b.js("document.querySelector('#chart-rate figcaption .value').textContent"), value(), "the value that is seen")
        suite.picture("chart-cursor")
        b.key("Escape")
        check(value().startswith("now: "), value())

    @test
    def the_table_sorts_and_shows_what_needs_a_person_first():
        begin("many")
        column = lambda n: b.js(f"[...document.querySelectorAll('#rows tr')].map((tr) => tr.children[{n}].textContent)")
        states = [re.sub(r"^[^a-z]*", "", state).split(":")[0] for state in column(2)]
        equal(list(dict.fromkeys(states)), ["held", "stalled", "no leader", "restarting", "starting", "ok"], "the order of states")
        equal(column(2)[0], "!held: key_missing", "a held partition tells its reason")
        b.js("document.querySelector('[data-sort=lag]').focus()")
        b.key("Enter")
        lags = [int(lag.replace(",", "")) for lag in column(3) if lag != "unknown"]
        equal(lags, sorted(lags, reverse=True), "the order by lag")
        equal(b.js("document.querySelector('[data-sort=lag]').parentElement.getAttribute('aria-sort')"), "descending", "aria-sort")
        b.key("Enter")
        lags = [int(lag.replace(",", "")) for lag in column(3) if lag != "unknown"]
        equal(lags, sorted(lags), "the order by lag, turned round")
        equal(b.js("document.querySelectorAll('#cards article').length"), 4, "cards that are not folded away")
        equal(b.js("document.getElementById('more-title').textContent"), "9 more partitions", "the others")

    @test
    def a_held_partition_tells_place_reason_and_cure():
        begin("one-held")
        card = b.js("document.querySelector('#cards article').innerText")
        for words in ["events, partition 17: held", "81338740", "key_missing", "the path user.id is not in the message",
                      "What to do", "penstock skip FILE events:17:81338740 --to-file events-17-81338740.json"]:
            check(words in card, f"{words!r} is not in {card!r}")

    @test
    def partitions_that_come_and_go_are_shown():
        begin()
        server.change = lambda status: status.update(partitions=status["partitions"][5:9])
        b.until("document.querySelectorAll('#rows tr').length === 4", "four rows")
        equal(b.js("document.querySelectorAll('#strip .cell').length"), 4, "cells")
        server.state = "no-partitions"
        server.change = lambda status: None
        b.until("!document.getElementById('no-partitions').hidden", "that it has none")

    @test
    def a_screen_reader_finds_landmarks_headings_and_headers():
        begin("one-held")
        nodes = b.call("Accessibility.getFullAXTree")["nodes"]
        named = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")]
        roles = [role for role, _ in named]
        for role, least in [("main", 1), ("banner", 1), ("contentinfo", 1), ("status", 1), ("columnheader", 13), ("slider", 3),
                            ("heading", 8), ("table", 2), ("rowheader", 0), ("image", 1)]:
            check(roles.count(role) >= least, f"{role}: {roles.count(role)}, at least {least}")
        names = [name for _, name in named]
        check(any(name.startswith("32 partitions: 1 held, 31 ok.") for name in names), "the strip has no text")
        summary = b.js("document.querySelector('#chart-latency .unseen').textContent")
        check(re.match(r"Write latency, p50, last 15 minutes: now 2.\d\sms, lowest .*, highest .*\. Write latency, p99", summary), summary)
        for role in ["button", "slider", "region", "link"]:
            check(all(name for r, name in named if r == role), f"a {role} has no name")

    @test
    def motion_is_left_out_where_the_reader_asks_for_that():
        begin()
        b.look(reduced=True)
        equal(b.js("[...document.querySelectorAll('*')].filter((e) => getComputedStyle(e).transitionDuration !== '0s' || "
                   "getComputedStyle(e).animationName !== 'none').length"), 0, "elements that move")

    @test
    def numbers_and_times_are_for_people():
        begin()
        server.change = lambda status: status.update(lag=1_234_567, messages_per_s=48_316.8)
        b.until("document.getElementById('lag').textContent === '1.2\\u00a0M'", "1.2 M")
        equal(b.js("document.getElementById('rate').textContent"), "48,317", "the rate")
        check("3 days 4 hours" not in b.js("document.getElementById('since').textContent"), "")
        check("1 day 1 hour" in b.js("document.getElementById('since').textContent"), b.js("document.getElementById('since').textContent"))
        equal(b.js("document.getElementById('uptime').textContent.replaceAll('\\u00a0', ' ')"), "3 d 4 h", "the uptime")
        equal(b.js("document.getElementById('memory-more').textContent.replaceAll('\\u00a0', ' ')"), "22 % of its bound, 1.8 GiB", "the memory")

    @test
    def what_the_service_does_not_say_since_when_the_page_says_for_itself():
        begin()
        server.change = lambda status: status.pop("state_for_s", None)
        b.open(server.url)
        suite.state("good", "All is well")
        check(b.js("document.getElementById('since').textContent").startswith("At least since "), "it may be older than the page")


# ---- with a service

SERVICE = {
    "flowing": ("good", "All is well"),
    "silent": ("bad", "Aerospike takes no writes"),
    "recovered": ("good", "All is well"),
    "held": ("bad", "held"),
    "starting": ("warn", "Starting"),
    "draining": ("warn", "Stopping"),
    "standby": ("warn", "no partitions"),
    "lost": ("unknown", "No answer from the service"),
}


def service_tests(suite, url, states, samples):
    """`states`: in this order; each is waited for. Somebody else brings them about. `samples`: how many samples the history
    has at least in the first state, and a sixth of it more in each that follows, for the pictures."""
    b = suite.browser
    b.look()
    b.open(url)
    wanted = {state: samples + number * samples // 6 for number, state in enumerate(states)}
    # What may have grown since the page asked.
    rows = lambda name: range(b.js(f"document.getElementById('{name}').children.length"))
    for state in states:
        def body():
            level, words = SERVICE[state]
            suite.state(level, words, seconds=120)
            if state in ("flowing", "recovered"):
                b.until("/[1-9]/.test(document.getElementById('rate').textContent)", "messages flow", 60)
            if state != "lost" and samples:
                b.until(f"fetch('status').then((a) => a.json()).then((s) => s.history.length >= {wanted[state]})", "samples",
                        10 * samples)
            if state != "lost":
                with urllib.request.urlopen(url + "status", timeout=10) as answer:
                    status = json.load(answer)
                suite.numbers({**status, "rejects": rows("reasons"), "recent_rejects": rows("latest")})
                rates = [sample["messages_per_s"] for sample in status["history"]]
                if rates and max(rates) > 0:
                    check(b.js("document.querySelector('#chart-rate .curve').getAttribute('d')"), "the chart has no curve")
                suite.clean(url)
            suite.looks(f"service-{state}")
        suite.test(f"service {state}", body)
        print(f"state   {state} seen", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running service, for instance http://127.0.0.1:9187")
    parser.add_argument("--states", default="flowing", help=f"with --url: what to wait for, in order: {','.join(SERVICE)}")
    parser.add_argument("--samples", type=int, default=0, help="with --url: states last until the history has so many")
    parser.add_argument("--pictures", type=pathlib.Path, help="a folder for pictures of every state")
    parser.add_argument("--only", default="", help="without --url: tests whose names contain this")
    options = parser.parse_args()
    states = options.states.split(",")
    if unknown := [state for state in states if state not in SERVICE]:
        parser.error(f"no such state: {', '.join(unknown)}")
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    browser = Browser()
    suite = Suite(browser, options.pictures)
    if options.only:
        every = suite.test
        suite.test = lambda name, body: every(name, body) if options.only in name else None
    try:
        if options.url:
            service_tests(suite, options.url.rstrip("/") + "/", states, options.samples)
        else:
            server = Pretender()
            try:
                for name in STATES:
                    sample_test(suite, server, name)
                page_tests(suite, server)
            finally:
                server.close()
    finally:
        browser.close()
    print(f"{suite.passed} passed, {len(suite.failed)} failed")
    return 1 if suite.failed or suite.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
