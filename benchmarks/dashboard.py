# ruff: noqa: T201
"""The dashboard on a store of 10,000 runs against a plain Streamlit page of as many points, in the browser.

    python benchmarks/dashboard.py TEMPLATE [--store FOLDER] [--runs 10000] [--rounds 5]

TEMPLATE is a run's folder, the demo's with 25 noise levels say: 4 models x 25 levels x 10,000 runs are a million rows.
The store is made from it (dashboard_store.py) where FOLDER isn't there yet. Each round starts both servers, one after
the other and in turns, and drives them with Chromium:

- cold start: from the start of the process to the first chart in a browser that is open already; the very first one,
  when the index is made, once by itself
- each interaction, from its last key or click, twice: **to the chart**, the last change within the page's first chart,
  which is what was asked for; and **to rest**, the last change of the page's main part, after which the script is at
  rest and nothing has changed for 0.4 s. The plain page has a chart and no more; the dashboard's pages have images,
  tables and sentences beside theirs, which come after it. The filter asks for a table, and so has no chart to wait for

Prints medians and ratios, and writes benchmarks/results/dashboard-cpu.json. Needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dashboard_store import generate, levels_file
from playwright.sync_api import Page, sync_playwright
from sigmascope.dashboards.launch import command

HERE = Path(__file__).parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
CHART = ".stMain .js-plotly-plot .main-svg"
PATIENCE_MS = 120_000
# In the page: when the last key or click came, and when its main part and each chart in it last changed.
WATCH = """() => {
    const watch = window.watch = {asked: 0, changed: 0, charts: new WeakMap()};
    watch.chart = () => watch.charts.get(document.querySelector('.stMain .stPlotlyChart')) ?? 0;
    for (const kind of ['keydown', 'click'])
        addEventListener(kind, () => { watch.asked = performance.now(); }, true);
    new MutationObserver(changes => {
        watch.changed = performance.now();
        for (const {target} of changes) {
            const chart = (target.closest ? target : target.parentElement)?.closest('.stPlotlyChart');
            if (chart) watch.charts.set(chart, watch.changed);
        }
    }).observe(
        document.querySelector('.stMain'), {subtree: true, childList: true, attributes: true, characterData: true});
}"""
RESTED = """() => watch.changed > watch.asked && performance.now() - watch.changed > 400
    && document.querySelector(".stApp[data-test-script-state='notRunning']") !== null"""
POINTS = """() => [...document.querySelectorAll('.js-plotly-plot')]
    .flatMap(plot => plot._fullData.map(trace => trace._length || 0)).reduce((a, b) => a + b, 0)"""

WAITS = ("to the chart", "to rest")

Act = Callable[[Page], None]
Command = Callable[[int], list[str]]
"""Port -> arguments of a server's process."""
Seconds = dict[str, float]


def _choose(label: str, which: int) -> Act:
    """The next-but-`which` entry of a select box, by the keyboard."""

    def act(page: Page) -> None:
        page.locator(f"input[role='combobox'][aria-label='{label}']").click()
        page.locator("[role='option']").nth(which).wait_for()
        for _ in range(which):
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")

    return act


def _filter(page: Page) -> None:
    box = page.get_by_label("Filter")
    box.fill("speech")
    box.press("Enter")


def _theme(page: Page) -> None:
    page.evaluate("watch.asked = performance.now()")
    page.emulate_media(color_scheme="dark")


def _go(title: str) -> Act:
    return lambda page: page.get_by_role("link", name=title, exact=True).first.click()


STEPS: dict[str, Act] = {
    "filter of the runs": _filter,
    "another run": _choose("Run", 3),
    "another baseline": _choose("Baseline", 2),
    "page: Noise levels": _go("Noise levels"),
    "another probe": _choose("Probe", 2),
    "another run, Noise levels": _choose("Run", 5),
    "theme": _theme,
    "page: Samplers": _go("Samplers"),
    "page: Overview": _go("Overview"),
}


@contextmanager
def serving(command: Command, port: int) -> Iterator[float]:
    """A server that answers; gives when its process was started."""
    arguments = command(port)
    began = time.perf_counter()
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while True:
                assert server.poll() is None, f"stopped: {arguments}"
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                        break
                except OSError:
                    time.sleep(0.02)
            yield began
        finally:
            server.terminate()
            server.wait(timeout=30)


def free_port() -> int:
    """One that no server before has used: a connection left open to it would be answered by the next."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def drive(browser: Any, command: Command) -> tuple[Seconds, Seconds, dict[str, int]]:
    """Seconds of the cold start and of each step, to the chart and to rest, and the points on the page after it."""
    chart: Seconds = {}
    rest: Seconds = {}
    points = {}
    port = free_port()
    page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme="light")
    page.set_default_timeout(PATIENCE_MS)
    with serving(command, port) as began:
        page.goto(f"http://127.0.0.1:{port}")
        page.locator(CHART).first.wait_for()
        chart["cold start"] = time.perf_counter() - began
        page.evaluate(WATCH)
        page.evaluate("watch.asked = performance.now()")
        page.wait_for_timeout(3000)
        points["cold start"] = page.evaluate(POINTS)
        for name, act in STEPS.items():
            act(page)
            page.wait_for_function(RESTED)
            rest[name] = page.evaluate("(watch.changed - watch.asked) / 1000")
            if page.evaluate("watch.chart() > watch.asked"):
                chart[name] = page.evaluate("(watch.chart() - watch.asked) / 1000")
            points[name] = page.evaluate(POINTS)
        assert page.locator(".stException").count() == 0
        page.close()
    return chart, rest, points


def contestants(store: Path) -> dict[str, Command]:
    """What starts each, given a port."""

    def plain(port: int) -> list[str]:
        ours = command(store, port)
        app = ours.index("run") + 1
        return [*ours[:app], str(HERE / "dashboard_plain.py"), *ours[app + 1 : -1], str(levels_file(store))]

    return {"dashboard": partial(command, store), "plain": plain}


def measure(store: Path, rounds: int) -> dict[str, Any]:
    """Seconds by what is waited for, contestant and step, a number a round; of the filter only to rest."""
    seconds: dict[str, Any] = {wait: {name: defaultdict(list) for name in ("dashboard", "plain")} for wait in WAITS}
    points: dict[str, dict[str, int]] = {}
    load = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        (store / ".index.parquet").unlink(missing_ok=True)
        both = contestants(store)
        first = drive(browser, both["dashboard"])[0]["cold start"]
        print(f"first start of all, the index made: {first:.2f} s")
        for turn in range(rounds):
            for name in list(both)[:: 1 if turn % 2 else -1]:
                *waits, points[name] = drive(browser, both[name])
                for wait, found in zip(WAITS, waits, strict=True):
                    for step, value in found.items():
                        seconds[wait][name][step].append(value)
            load.append(os.getloadavg()[0])
        browser.close()
    return {"first_start": first, "seconds": seconds, "points": points, "load": load}


def report(found: dict[str, Any]) -> dict[str, Any]:
    """Prints a line a step; the ratio is the median of the rounds' own."""
    steps: dict[str, Any] = {wait: {} for wait in WAITS}
    for wait in WAITS:
        print(wait)
        for step, theirs in found["seconds"][wait]["plain"].items():
            ours = found["seconds"][wait]["dashboard"][step]
            ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            middle = {"dashboard": statistics.median(ours), "plain": statistics.median(theirs), "ratio": ratio}
            steps[wait][step] = middle
            counts = "{} points against {}".format(*(found["points"][name][step] for name in ("dashboard", "plain")))
            print(
                "  {:28s}{dashboard:6.3f} s   plain {plain:6.3f} s   {ratio:5.2f} x   {}".format(step, counts, **middle)
            )
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("template", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "dashboard-cpu.json")
    options = parser.parse_args()
    store = options.store or Path(tempfile.mkdtemp()) / "store"
    if not store.exists():
        generate(store, options.template, options.runs)
    found = measure(store, options.rounds)
    result = {
        "title": "Dashboard against a plain Streamlit page",
        "runs": options.runs,
        "rounds": options.rounds,
        "steps": report(found),
        **found,
        "device": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in ("streamlit", "plotly")}},
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
