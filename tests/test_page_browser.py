"""The page in a real Chromium: sorting, sliders, curves, a phone, and names that mean harm.

Chromium is spoken to over two pipes (its DevTools protocol), so no port is opened.
"""

from __future__ import annotations

import base64
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


PICKS = {"m19": ("0000", "0002", "0004"), "m18": ("0001", "0002", "0004")}
"""The worst, median and best frames of the two best methods; the others have none."""


def _draw(folder: Path, slugs: dict[str, str]) -> None:
    """Draw flat pictures: frame f of the input is 40 + 10 f, and frame f of the film 20 + 40 f."""
    stems = ("input", *slugs.values(), "truth")
    wanted = {f"0002/{stem}": 40 + i for i, stem in enumerate(stems)}
    for slug, picks in PICKS.items():
        for frame in picks:
            sides = {f"{frame}/input": 40 + 10 * int(frame), f"{frame}/truth": 200}
            mine = {f"{frame}/{slug}": 100, f"{frame}/errors/{slug}": int(slug[1:])}
            wanted = sides | mine | wanted
    for name, level in wanted.items():
        path = folder / "v0" / f"{name}.{'webp' if 'errors' in name else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(path, np.full((90, 160, 3), level, np.uint8))
    film = np.zeros((2 * 90, 4 * 160, 3), np.uint8)
    for i in range(FRAMES):
        top, left = i // 4 * 90, i % 4 * 160
        film[top : top + 90, left : left + 160] = 20 + 40 * i
    (folder / "v0" / "loop").mkdir()
    for i, stem in enumerate(stems):
        film[-1, -1] = i  # beyond the last frame: no two files are the same
        iio.imwrite(folder / "v0" / "loop" / f"{stem}.webp", film, lossless=True)
    picks = {
        slug: {
            rank: {"frame": frame, "index": int(frame), "value": 20.0 + int(frame)}
            for rank, frame in zip(("worst", "median", "best"), found)
        }
        for slug, found in PICKS.items()
    }
    video = {"middle": "0002", "metric": "psnr", "fps": 25.0, "width": 160, "height": 90}
    video |= {"n_frames": FRAMES, "picks": picks, "loop": {"frames": FRAMES, "columns": 4}}
    about = {"schema_version": 1, "error_levels": 64, "videos": {"v0": video}}
    (folder / "shown.json").write_text(json.dumps(about))


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
    _draw(run / "pictures", slugs)
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
    side = "document.querySelector('.compare').querySelectorAll('.layer.right img')"
    assert browser.js(f"{side}.length") == 1
    assert browser.js(f"{side}[0].alt") == "video v0, frame 0002: ground truth"
    assert browser.js("document.querySelector('.compare span.right').textContent") == "ground truth"
    browser.click(".comparison input[type=checkbox]")
    blend = "getComputedStyle(document.querySelector('.compare .left')).mixBlendMode"
    assert browser.js(blend) == "difference"


def _shade(browser: Browser, selector: str, across: float) -> int:
    """Return the grey level that is on the screen at some place across the middle of an element."""
    browser.middle(selector)
    box = browser.js(
        f"(r => [r.x + scrollX, r.y + scrollY, r.width, r.height])"
        f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
    )
    clip = {"x": box[0] + box[2] * across - 2, "y": box[1] + box[3] / 4, "width": 4, "height": 4}
    clip |= {"scale": 1}
    shot = browser.send("Page.captureScreenshot", format="png", clip=clip)
    return int(iio.imread(base64.b64decode(shot["data"]))[..., :3].mean())


def test_clips_play_with_both_sides_at_one_moment_and_stop_when_told(
    browser: Browser, plain: Path
) -> None:
    browser.open(plain)
    browser.middle(".film")
    place = "document.querySelector('.player input').value"
    seen = set()
    until = time.monotonic() + 20
    while len(seen) < FRAMES and time.monotonic() < until:
        seen.add(browser.js(place))
    assert seen == {str(i) for i in range(FRAMES)}  # it goes round
    label = "document.querySelector('.player button').textContent"
    for told in ("Play", "Pause"):
        browser.click(".player button")
        assert browser.js(label) == told
    browser.js("document.querySelector('.player input').focus()")
    browser.key("ArrowRight", 39)  # whoever looks at single frames wants them to stand still
    assert browser.js(label) == "Play"
    stopped = int(browser.js(place))
    for step in range(1, FRAMES + 1):
        browser.key("ArrowRight", 39) if stopped < FRAMES - 1 else browser.key("Home", 36)
        stopped = stopped + 1 if stopped < FRAMES - 1 else 0
        assert browser.js(place) == str(stopped), step
        assert browser.js("document.querySelector('.player output').value") == f"{stopped + 1} / 5"
        for across in (0.1, 0.9):
            assert _shade(browser, ".film", across) == pytest.approx(20 + 40 * stopped, abs=3)


def test_nothing_moves_by_itself_for_readers_who_prefer_less_motion(
    browser: Browser, plain: Path
) -> None:
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.send("Emulation.setEmulatedMedia", features=[still])
    try:
        browser.open(plain)
        browser.middle(".film")
        place = "document.querySelector('.player input').value"
        browser.js("new Promise(done => setTimeout(done, 600))")
        assert browser.js(place) == "0"
        assert browser.js("document.querySelector('.player button').textContent") == "Play"
        browser.click(".player button")  # who asks for it gets it
        until = time.monotonic() + 10
        while browser.js(place) == "0" and time.monotonic() < until:
            pass
        assert browser.js(place) != "0"
        assert browser.js("document.getAnimations().length") == 0
    finally:
        browser.send("Emulation.setEmulatedMedia", features=[])


def _trio(browser: Browser) -> list[list[str]]:
    """Return, of each extreme frame in sight and in its order, its captions and pictures."""
    return [
        [line for line in text if line]
        for text in browser.js(
            "[...document.querySelectorAll('.trio figure')].filter(f => f.getClientRects().length)"
            ".sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x)"
            ".map(f => [...f.querySelectorAll('p, img')].filter(e => e.getClientRects().length)"
            ".map(e => e.alt || e.textContent))"
        )
    ]


def test_the_extreme_frames_are_those_of_the_method_that_is_chosen(
    browser: Browser, plain: Path
) -> None:
    browser.open(plain)

    def expected(method: int, side: str) -> list[list[str]]:
        return [
            [
                f"video v0, frame {frame}: method {method}",
                f"video v0, frame {frame}: {side}",
                f"errors of method {method} in video v0, frame {frame}",
                f"{rank} PSNR {20 + int(frame):.2f}, frame {frame}",
            ]
            for rank, frame in zip(("worst", "median", "best"), PICKS[f"m{method}"])
        ]

    choose = (
        "((s, i) => {{ s.selectedIndex = i; s.dispatchEvent(new Event('change')); }})"
        "(document.querySelector('.extremes [data-choice={}]'), {})"
    )
    assert _trio(browser) == expected(19, "ground truth")
    browser.js(choose.format("method", 1))
    assert _trio(browser) == expected(18, "ground truth")
    browser.js(choose.format("side", 1))
    assert _trio(browser) == expected(18, "snowy input")
    assert _shade(browser, ".trio figure:not([hidden]) .compare", 0.1) == pytest.approx(100, abs=3)
    assert browser.js("document.querySelector('.trio span.right').textContent") == "snowy input"


def test_the_downloads_are_the_table_and_a_bibliography(
    browser: Browser, plain: Path, tmp_path: Path
) -> None:
    browser.open(plain)
    browser.js("1")
    browser.events.clear()
    session, browser._session = browser._session, ""
    browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser._session = session
    wanted = {
        "leaderboard.csv": (plain.parent / "leaderboard.csv").read_bytes(),
        "rvsd-bench.bib": b"@software{rvsd-bench,",
    }
    for place, (name, start) in enumerate(wanted.items(), 1):
        browser.click(f".downloads a:nth-of-type({place})")
        until = time.monotonic() + 20
        while not (tmp_path / name).is_file() and time.monotonic() < until:
            browser.js("new Promise(done => setTimeout(done, 50))")
        found = (tmp_path / name).read_bytes()
        assert found == start if name.endswith("csv") else found.startswith(start)
    assert not browser.named("Page.frameNavigated")


def _contrast(browser: Browser, selector: str) -> float:
    """Return the contrast of a text with what is behind it, as WCAG 2 defines it."""
    text, behind = browser.js(
        "(e => { const ink = getComputedStyle(e).color;"
        " while (e && /, 0\\)$/.test(getComputedStyle(e).backgroundColor)) e = e.parentElement;"
        " return [ink, e ? getComputedStyle(e).backgroundColor : 'rgb(255, 255, 255)']; })"
        f"(document.querySelector({json.dumps(selector)}))"
    )

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    dark, light = sorted((luminance(text), luminance(behind)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_the_light_and_in_the_dark(
    browser: Browser, plain: Path, scheme: str
) -> None:
    chosen = {"name": "prefers-color-scheme", "value": scheme}
    browser.send("Emulation.setEmulatedMedia", features=[chosen])
    try:
        browser.open(plain)
        ground = browser.js("getComputedStyle(document.body).backgroundColor")
        assert (int(re.findall(r"\d+", ground)[0]) < 60) == (scheme == "dark")
        for selector in ("h1", ".lead", "nav a", ".badge", "td", "td small", ".first", ".notes li",
                         ".warn", "figcaption", ".trio p", "summary", "footer", ".downloads a",
                         ".player button", "select", ".reported .sub"):  # fmt: skip
            assert _contrast(browser, selector) >= 4.5, selector
    finally:
        browser.send("Emulation.setEmulatedMedia", features=[])


def test_whoever_uses_the_keyboard_sees_where_they_are(browser: Browser, plain: Path) -> None:
    browser.open(plain)
    ringed = (
        "(e => { for (; e && e !== document.body; e = e.parentElement)"
        " if (getComputedStyle(e).outlineStyle !== 'none') return true; return false; })"
        "(document.activeElement)"
    )
    visited = set()
    for _ in range(200):
        browser.key("Tab", 9)
        what = "document.activeElement.tagName + (document.activeElement.type || '')"
        kind = browser.js(what)
        if kind == "BODY":
            break
        assert browser.js(ringed), kind
        visited.add(kind)
    assert {
        "A",
        "BUTTONbutton",
        "INPUTrange",
        "INPUTcheckbox",
        "SELECTselect-one",
        "DIV",
    } <= visited


def test_paper_holds_all_figures_and_nothing_that_wants_a_finger(
    browser: Browser, plain: Path
) -> None:
    browser.open(plain, 760, 1000)
    browser.send("Emulation.setEmulatedMedia", media="print")
    try:
        seen = "[...document.querySelectorAll('{}')].some(e => e.getClientRects().length)"
        for selector in ("nav", "select", ".player", ".film", "input[type=checkbox]", "summary"):
            assert not browser.js(seen.format(selector)), selector
        for selector in (".measured td", ".facts td", ".trio p", ".curves label", ".duels td"):
            assert browser.js(seen.format(selector)), selector
    finally:
        browser.send("Emulation.setEmulatedMedia", media="")


def test_a_method_s_curves_go_and_come_with_its_box(browser: Browser, plain: Path) -> None:
    browser.open(plain)
    drawn = "[...document.querySelectorAll('.plot path')].filter(p => p.getClientRects().length)"
    assert browser.js(f"{drawn}.length") == 20 * VIDEOS
    browser.click(".curves label:nth-of-type(3) input")
    hidden = f"[...document.querySelectorAll('.plot path')].filter(p => !{drawn}.includes(p))"
    assert browser.js(f"{hidden}.map(p => p.textContent)") == ["method 17"] * VIDEOS
    browser.click(".curves label:nth-of-type(3) input")
    assert browser.js(f"{drawn}.length") == 20 * VIDEOS


def test_what_is_left_of_the_curves_fills_the_drawing_with_its_own_scale(
    browser: Browser, plain: Path
) -> None:
    browser.open(plain)
    ends = "[...document.querySelectorAll('.plot')[0].querySelectorAll('span > span')]"
    scale = f"{ends}.slice(0, 2).map(s => s.textContent)"
    assert browser.js(scale) == ["41.00", "18.00"]  # 39 + 2 and 20 - 2
    for method in range(2, 21):
        browser.click(f".curves label:nth-of-type({method}) input")
    assert browser.js(scale) == ["41.00", "37.00"]
    box = "document.querySelector('.plot svg').getBoundingClientRect()"
    line = "document.querySelector('.plot path').getBoundingClientRect()"
    assert browser.js(f"{line}.height / {box}.height") == pytest.approx(1, abs=0.06)


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
    assert sum(url.startswith("data:image/webp") for url in asked) >= len(HOSTILE) + 2
    assert len({url for url in asked if url.startswith("data:image/jpeg")}) >= len(HOSTILE) + 2


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
