# ruff: noqa: T201
"""The dashboard on a store of 10,000 runs against a plain Streamlit page of as many points, in the browser.

    python benchmarks/dashboard.py TEMPLATE [--store FOLDER] [--runs 10000] [--rounds 5]

TEMPLATE is a run's folder, the demo's with 25 noise levels say: 4 models x 25 levels x 10,000 runs are a million rows.
The store is made from it (dashboard_store.py) where FOLDER isn't there yet. Each round starts both servers, one after
the other and in turns, and drives them with Chromium:

- cold start: from the start of the process to the first chart in a browser that is open already; the very first one,
  when the index is made, once by itself
- each interaction: from the last key or click to the last change of the page's main part, after which the script is
  at rest and nothing has changed for 0.4 s

Prints medians and the ratio, and writes benchmarks/results/dashboard-cpu.json. Needs playwright and Chromium.
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
# In the page: when the last key or click came, and when its main part last changed.
WATCH = """() => {
    const watch = window.watch = {asked: 0, changed: 0};
    for (const kind of ['keydown', 'click'])
        addEventListener(kind, () => { watch.asked = performance.now(); }, true);
    new MutationObserver(() => { watch.changed = performance.now(); }).observe(
        document.querySelector('.stMain'), {subtree: true, childList: true, attributes: true, characterData: true});
}"""
RESTED = """() => watch.changed > watch.asked && performance.now() - watch.changed > 400
    && document.querySelector(".stApp[data-test-script-state='notRunning']") !== null"""
POINTS = """() => [...document.querySelectorAll('.js-plotly-plot')]
    .flatMap(plot => plot._fullData.map(trace => trace._length || 0)).reduce((a, b) => a + b, 0)"""

Act = Callable[[Page], None]


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
def serving(arguments: list[str], port: int) -> Iterator[float]:
    """A server that answers; gives when its process was started."""
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


def drive(browser: Any, arguments: list[str], port: int) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds of the cold start and of each step, and the points on the page after it. A page may lack a widget."""
    seconds, points = {}, {}
    page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme="light")
    page.set_default_timeout(PATIENCE_MS)
    with serving(arguments, port) as began:
        page.goto(f"http://127.0.0.1:{port}")
        page.locator(CHART).first.wait_for()
        seconds["cold start"] = time.perf_counter() - began
        page.evaluate(WATCH)
        page.evaluate("watch.asked = performance.now()")
        page.wait_for_timeout(3000)
        points["cold start"] = page.evaluate(POINTS)
        for name, act in STEPS.items():
            if name.startswith("filter") and page.get_by_label("Filter").count() == 0:
                continue
            act(page)
            page.wait_for_function(RESTED)
            seconds[name] = page.evaluate("(watch.changed - watch.asked) / 1000")
            points[name] = page.evaluate(POINTS)
        assert page.locator(".stException").count() == 0
        page.close()
    return seconds, points


def contestants(store: Path) -> dict[str, tuple[list[str], int]]:
    """Command lines and ports."""
    ports = []
    for _ in range(2):
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    ours = command(store, ports[0])
    app = ours.index("run") + 1
    plain = [*ours[:app], str(HERE / "dashboard_plain.py"), *ours[app + 1 : -1], str(levels_file(store))]
    plain = [part.replace(f"port={ports[0]}", f"port={ports[1]}") for part in plain]
    return {"dashboard": (ours, ports[0]), "plain": (plain, ports[1])}


def measure(store: Path, rounds: int) -> dict[str, Any]:
    seconds: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in ("dashboard", "plain")}
    points: dict[str, dict[str, int]] = {}
    load = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        (store / ".index.parquet").unlink(missing_ok=True)
        both = contestants(store)
        first = drive(browser, *both["dashboard"])[0]["cold start"]
        print(f"first start of all, the index made: {first:.2f} s")
        for turn in range(rounds):
            for name in list(both)[:: 1 if turn % 2 else -1]:
                found, points[name] = drive(browser, *both[name])
                for step, value in found.items():
                    seconds[name][step].append(value)
            load.append(os.getloadavg()[0])
        browser.close()
    return {"first_start": first, "seconds": seconds, "points": points, "load": load}


def report(found: dict[str, Any]) -> dict[str, Any]:
    """Prints a line a step; the ratio is the median of the rounds' own."""
    steps = {}
    for step, theirs in found["seconds"]["plain"].items():
        ours = found["seconds"]["dashboard"].get(step)
        if ours:
            ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            steps[step] = {"dashboard": statistics.median(ours), "plain": statistics.median(theirs), "ratio": ratio}
            counts = "{} points against {}".format(*(found["points"][name][step] for name in ("dashboard", "plain")))
            middle = f"{steps[step]['dashboard']:6.3f} s   plain {steps[step]['plain']:6.3f} s   {ratio:5.2f} x"
            print(f"  {step:28s}{middle}   {counts}")
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
