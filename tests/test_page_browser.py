"""The page in a real Chromium: sorting, sliders, curves, a phone, and names that mean harm.

Chromium is spoken to over two pipes (its DevTools protocol), so no port is opened.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from rvsd_bench.columns import LEADERBOARD, PER_FRAME, PER_VIDEO, csv_lines
from rvsd_bench.leaderboard.build import build

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="the page is tested in Chromium, which is missing (Debian: chromium)"
)
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>", "</title><svg onload=alert(1)>", "javascript:alert(1)",
    "{{ 7 * 7 }}", "{% include 'page.js' %}", "${alert(1)}", "&lt;b&gt;", "<!--", "]]>",
    '" autofocus onfocus="alert(1)', "</option></select><b>", "</td></tr></table><i>", "\u202eevil",
    "<iframe src=file:///etc/hostname>", "` onclick=alert(1)", "=HYPERLINK(1)", "x" * 300,
]  # fmt: skip
VIDEOS, FRAMES = 8, 5


def _row(name: str, psnr: float, lpips: float) -> dict[str, object]:
    return {
        "schema_version": 1, "method_id": name, "method_name": name, "kind": "classical",
        "protocol": "rvsd-2023", "protocol_hash": "0123456789ab", "dataset": "demo",
        "split": "test", "source": "measured", "valid": True, "psnr": psnr, "lpips": lpips,
        "psnr_snow": psnr, "psnr_clear": psnr,
        "psnr_ci_lo": psnr - 1, "psnr_ci_hi": psnr + 1, "n_sources": VIDEOS, "run_id": "r1",
        "dataset_manifest_sha256": "f" * 64, "trained": True, "predictions_sha256": "a" * 64,
    }  # fmt: skip


def _page(folder: Path, names: list[str]) -> Path:
    """Build the page of a run whose methods, first to last, are ever better by 1 dB."""
    run = folder / "run"
    run.mkdir(parents=True)
    rows = [_row(name, 20.0 + i, 0.1 * (1 + i % 3)) for i, name in enumerate(names)]
    slugs = {name: f"m{i}" for i, name in enumerate(names)}
    videos, frames = [], []
    for row in rows:
        own = {n: row[n] for n in ("run_id", "method_id", "dataset", "split")} | {"metric": "psnr"}
        for v in range(VIDEOS):
            videos.append(
                {**own, "protocol_hash": "0123456789ab", "video": f"v{v}", "n_frames": FRAMES,
                 "mean": row["psnr"], "status": "ok", "source_id": f"s{v}"}
            )  # fmt: skip
            frames += [
                {**own, "video": f"v{v}", "frame_id": f"{i:04}", "frame_index": i,
                 "value": float(row["psnr"]) + i - 2, "status": "ok"}  # type: ignore[arg-type]
                for i in range(FRAMES)
            ]  # fmt: skip
    protocol = {"average": "macro", "bootstrap_draws": 100, "hash": "0123456789ab"}
    facts = {"run_id": "r1", "slugs": slugs, "protocol": protocol, "command": f"evaluate {names}"}
    (run / "manifest.json").write_text(json.dumps(facts))
    for name, columns, table in (
        ("leaderboard", LEADERBOARD, rows),
        ("per_video", PER_VIDEO, videos),
        ("per_frame", PER_FRAME, frames),
    ):
        (run / f"{name}.csv").write_text("".join(csv_lines(columns, table)))
    pictures = run / "pictures" / "v0" / "0002"
    pictures.mkdir(parents=True)
    for i, stem in enumerate(("input", *slugs.values(), "truth")):
        iio.imwrite(pictures / f"{stem}.jpg", np.full((90, 160, 3), 40 + i, np.uint8))
    build([run], folder / "out", reported=True)
    return folder / "out" / "index.html"


def _as_pipe(reads: int, writes: int) -> None:
    """Make two files the ones that Chromium reads its commands from and answers to."""
    os.dup2(reads, 3)
    os.dup2(writes, 4)


class SilentError(Exception):
    """A browser that does not answer."""


class Browser:
    """A headless Chromium with one tab, and what happened in it."""

    def __init__(self, profile: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 50) for fd in (theirs_in, theirs_out)]
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic",
                 "--disable-dev-shm-usage"]  # fmt: skip
        self._process = subprocess.Popen(
            [CHROMIUM, *flags, "--disable-background-networking", "--remote-debugging-pipe",
             f"--user-data-dir={profile}", "about:blank"],
            close_fds=False, preexec_fn=partial(_as_pipe, *high),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for fd in (theirs_in, theirs_out, *high):
            os.close(fd)
        self._held, self._count, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to one command; what happens meanwhile goes to `events`."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._count:
            self.events.append(answer)
        assert "error" not in answer, answer
        return dict(answer["result"])

    def _receive(self) -> dict[str, Any]:
        until = time.monotonic() + 60
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            data = os.read(self._in, 1 << 20) if ready else b""
            if not data:
                raise SilentError("it does not answer")
            self._held += data
        one, self._held = self._held.split(b"\0", 1)
        return dict(json.loads(one))

    def open(self, page: Path, width: int = 1200, height: int = 900) -> None:
        """Load a page in a window of a size, with nothing of earlier pages in `events`."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.events.clear()
        self.send("Page.navigate", url=page.as_uri())
        while not self.named("Page.loadEventFired"):
            self.events.append(self._receive())

    def named(self, *names: str) -> list[dict[str, Any]]:
        """Return what events of these names carry."""
        return [event["params"] for event in self.events if event.get("method") in names]

    def js(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def middle(self, selector: str) -> tuple[float, float, float]:
        """Return the centre and the width of an element, in sight."""
        found = self.js(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
            f" return [r.x + r.width / 2, r.y + r.height / 2, r.width]; }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        return (found[0], found[1], found[2])

    def mouse(self, kind: str, x: float, y: float) -> None:
        """Press, move or release the left button."""
        button = {"button": "left", "buttons": 1, "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def click(self, selector: str) -> None:
        """Click on an element."""
        x, y, _ = self.middle(selector)
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def key(self, name: str, code: int, **more: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind, key=name, code=name, windowsVirtualKeyCode=code, **more,
            )  # fmt: skip

    def close(self) -> None:
        """End the browser that was started here."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    try:
        running = Browser(tmp_path_factory.mktemp("profile"))
    except (SilentError, OSError) as error:
        pytest.skip(f"the page is tested in Chromium, which does not start here: {error}")
    yield running
    running.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _page(tmp_path_factory.mktemp("plain"), [f"method {i}" for i in range(len(HOSTILE))])


def _order(browser: Browser, column: int) -> list[str]:
    cells = f".measured tbody tr > :nth-child({column})"
    return list(browser.js(f"[...document.querySelectorAll('{cells}')].map(c => c.dataset.sort)"))


def test_heads_sort_best_first_and_back_by_mouse_and_by_keyboard(
    browser: Browser, plain: Path
) -> None:
    browser.open(plain)
    head = ".measured th:nth-child({}) button".format
    as_built = _order(browser, 2)
    assert as_built[:2] == ["method 19", "method 18"]
    browser.click(head(4))  # LPIPS: lower is better
    values = [float(text) for text in _order(browser, 4)]
    assert values == sorted(values) and values[0] < values[-1]
    browser.click(head(4))
    assert [float(text) for text in _order(browser, 4)] == sorted(values, reverse=True)
    browser.click(head(2))
    assert _order(browser, 2) == [f"method {i}" for i in range(20)]
    browser.js(f"document.querySelector('{head(1)}').focus()")
    browser.key("Enter", 13, text="\r")
    assert _order(browser, 2) == as_built
    sorted_by = "[...document.querySelectorAll('[aria-sort]')].map(h => h.innerText)"
    assert [text.split()[0] for text in browser.js(sorted_by)] == ["Rank"]


def test_the_slider_follows_mouse_keys_and_finger(browser: Browser, plain: Path) -> None:
    browser.open(plain)
    x, y, width = browser.middle(".compare")
    cut = "getComputedStyle(document.querySelector('.compare .left')).clipPath"
    at = "parseFloat(document.querySelector('.compare').style.getPropertyValue('--at'))"
    browser.mouse("mousePressed", x, y)
    browser.mouse("mouseMoved", x + width / 4, y)
    browser.mouse("mouseReleased", x + width / 4, y)
    assert browser.js(at) == pytest.approx(75, abs=1)
    assert float(re.findall(r"([0-9.]+)%", browser.js(cut))[-1]) == pytest.approx(25, abs=1)
    for _ in range(5):
        browser.key("ArrowLeft", 37)
    assert browser.js(at) == pytest.approx(70, abs=1)
    browser.send("Emulation.setTouchEmulationEnabled", enabled=True)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x - width / 8, "y": y}]),
        ("touchMove", [{"x": x - width / 4, "y": y}]),
        ("touchEnd", []),
    ):
        browser.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    browser.send("Emulation.setTouchEmulationEnabled", enabled=False)
    assert browser.js(at) == pytest.approx(25, abs=1)


def test_either_side_shows_any_picture_and_their_difference(browser: Browser, plain: Path) -> None:
    browser.open(plain)
    choose = (
        "(s => { s.selectedIndex = s.length - 1; s.dispatchEvent(new Event('change')); })"
        "(document.querySelector('select[data-side=right]'))"
    )
    browser.js(choose)
    side = "document.querySelectorAll('.compare .right img')"
    assert browser.js(f"{side}.length") == 1
    assert browser.js(f"{side}[0].alt") == "video v0, frame 0002: ground truth"
    assert browser.js("document.querySelector('.compare span.right').textContent") == "ground truth"
    browser.click(".comparison input[type=checkbox]")
    blend = "getComputedStyle(document.querySelector('.compare .left')).mixBlendMode"
    assert browser.js(blend) == "difference"


def test_a_method_s_curves_go_and_come_with_its_box(browser: Browser, plain: Path) -> None:
    browser.open(plain)
    drawn = "[...document.querySelectorAll('.plot path')].filter(p => p.getClientRects().length)"
    assert browser.js(f"{drawn}.length") == 20 * VIDEOS
    browser.click(".curves label:nth-of-type(3) input")
    hidden = f"[...document.querySelectorAll('.plot path')].filter(p => !{drawn}.includes(p))"
    assert browser.js(f"{hidden}.map(p => p.textContent)") == ["method 17"] * VIDEOS
    browser.click(".curves label:nth-of-type(3) input")
    assert browser.js(f"{drawn}.length") == 20 * VIDEOS


def test_nothing_is_complained_of_and_no_request_leaves_the_page(
    browser: Browser, plain: Path
) -> None:
    browser.open(plain)
    browser.click(".measured th:nth-child(3) button")
    browser.js("new Promise(done => setTimeout(done, 200))")
    assert browser.named("Runtime.consoleAPICalled", "Runtime.exceptionThrown") == []
    assert browser.named("Log.entryAdded") == []
    asked = [one["request"]["url"] for one in browser.named("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [plain.as_uri()]
    assert sum(url.startswith("data:image/jpeg") for url in asked) == len(HOSTILE) + 2


def test_twenty_hostile_names_add_no_element_and_no_attribute(
    browser: Browser, plain: Path, tmp_path: Path
) -> None:
    shape = "[...document.querySelectorAll('*')].map(e => e.tagName + ' ' + e.getAttributeNames())"
    browser.open(plain)
    expected = browser.js(shape)
    browser.open(_page(tmp_path, HOSTILE))
    assert browser.js(shape) == expected
    assert sorted(_order(browser, 2)) == sorted(HOSTILE)
    browser.click(".measured th:nth-child(2) button")
    assert browser.named("Page.javascriptDialogOpening", "Runtime.exceptionThrown") == []
    assert browser.named("Log.entryAdded") == []


@pytest.mark.parametrize("names", [[f"method {i}" for i in range(20)], HOSTILE])
def test_a_phone_scrolls_tables_in_their_boxes_with_the_names_in_sight(
    browser: Browser, names: list[str], tmp_path: Path
) -> None:
    browser.open(_page(tmp_path, names), 390, 844)
    assert browser.js("document.scrollingElement.scrollWidth") <= 390
    for table, name in ((".duels", "tbody th"), (".sortable", "tbody td:nth-child(2)")):
        box = f"document.querySelector('{table}').parentElement"
        assert browser.js(f"{box}.scrollWidth > {box}.clientWidth")
        browser.js(f"{box}.scrollLeft = 500")
        left, width = browser.js(f"(r => [r.x, r.width])({box}.getBoundingClientRect())")
        cell = f"document.querySelector('{table} {name}').getBoundingClientRect()"
        assert browser.js(f"{cell}.x") == pytest.approx(left, abs=1)
        assert browser.js(f"{cell}.width") < 0.6 * width
