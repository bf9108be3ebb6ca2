"""A real appliance, a real broker, a real browser: what a person would see, measured on the canvas.

Skipped where there is no Chromium (apt-get install chromium chromium-driver). The accessibility rules are those of
axe-core, which scripts/setup.sh gets from npm with tests/node/package.json.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.page.browser import CHROMIUM, DRIVER, Browser
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import REPOSITORY, Broker, free_port
from tests.tones import TONE_HZ, write_tones
from tests.waiting import until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.system,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no browser: apt-get install chromium chromium-driver"),
]

NODE_MODULES = Path(os.environ.get("APPLIANCE_NODE_MODULES", REPOSITORY / ".node" / "node_modules"))
AXE = NODE_MODULES / "axe-core" / "axe.min.js"
FIRST_PAINT_S = 1.0
MOST_BYTES = 300_000
NEAR_PX = 2.0
"""Of the picture: how far the line of a box may be from the published box."""
ON_THE_SHAPE_PX = 4.0
"""The model's own error and JPEG's blur; in a picture at 10/s the shapes move further than that."""

MEASURE = """
const wanted = arguments[0];
const camera = [...livePage.cameras.values()][0];
const picture = camera.element.querySelector("canvas.picture"), over = camera.element.querySelector("canvas.over");
const is = {
  red: (r, g, b) => r > 140 && g < 110 && b < 110,
  green: (r, g, b) => g > 130 && r < 110 && b < 110,
  blue: (r, g, b) => b > 140 && r < 100 && g < 130,
};
function extent(canvas, scale, box, far, counts) {
  const [left, top, right, bottom] = box;
  const x0 = Math.max(0, Math.floor((left - far) * scale)), y0 = Math.max(0, Math.floor((top - far) * scale));
  const x1 = Math.min(canvas.width, Math.ceil((right + far) * scale));
  const y1 = Math.min(canvas.height, Math.ceil((bottom + far) * scale));
  const { data, width, height } = canvas.getContext("2d").getImageData(x0, y0, x1 - x0, y1 - y0);
  const columns = new Uint32Array(width), rows = new Uint32Array(height);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const at = (y * width + x) * 4;
    if (counts(data[at], data[at + 1], data[at + 2], data[at + 3])) { columns[x]++; rows[y]++; }
  }
  return { columns: [...columns], rows: [...rows], x0: x0 / scale, y0: y0 / scale, scale };
}
function middle(counts, from, scale, least, low, high) {  // the centre of the line between low and high
  let sum = 0, weight = 0;
  counts.forEach((count, index) => {
    const place = from + (index + 0.5) / scale;
    if (count >= least && place >= low && place <= high) { sum += place; weight++; }
  });
  return weight ? sum / weight : null;
}
function edges(counts, from, scale) {
  const first = counts.findIndex((count) => count > 1), last = counts.findLastIndex((count) => count > 1);
  return first < 0 ? null : [from + first / scale, from + (last + 1) / scale];
}
function rgb(colour) {
  const one = new OffscreenCanvas(1, 1).getContext("2d");
  one.fillStyle = colour;
  one.fillRect(0, 0, 1, 1);
  return one.getImageData(0, 0, 1, 1).data;
}
return import("/static/dom.js").then(({ hueOf }) => new Promise((done) => {
  const measured = [];
  let before = -1;
  const look = () => {
    const drawn = camera.drawn;
    if (drawn && drawn.seq !== before && drawn.results.length) {
      before = drawn.seq;
      const scale = over.width / drawn.width, shown = picture.width / drawn.width;
      const boxes = drawn.results[0].detections.map((each) => {
        const [left, top, right, bottom] = each.box;
        const [red, green, blue] = rgb(`hsl(${hueOf(each.label)} 90% 62%)`);  // captions are a little paler
        const near = (r, g, b) => Math.abs(r - red) + Math.abs(g - green) + Math.abs(b - blue) < 12;
        const lines = extent(over, scale, each.box, 8, (r, g, b, a) => a > 250 && near(r, g, b));
        const wide = lines.columns, high = lines.rows;
        const leastColumn = 0.7 * (bottom - top) * scale, leastRow = 0.7 * (right - left) * scale;
        const x = (low, up) => middle(wide, lines.x0, scale, leastColumn, low, up);
        const y = (low, up) => middle(high, lines.y0, scale, leastRow, low, up);
        const seen = extent(picture, shown, each.box, 14, is[each.label] ?? (() => false));
        return {
          label: each.label,
          box: each.box,
          line: [x(left - 8, left + 8), y(top - 8, top + 8), x(right - 8, right + 8), y(bottom - 8, bottom + 8)],
          shape: [edges(seen.columns, seen.x0, shown), edges(seen.rows, seen.y0, shown)],
        };
      });
      measured.push({ seq: drawn.seq, boxes });
    }
    measured.length < wanted ? requestAnimationFrame(look) : done(measured);
  };
  look();
}));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


def configuration(broker: Broker, folder: Path, port: int) -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[page]
listen = "127.0.0.1:{port}"
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 10
masks = [[[0, 0], [90, 0], [0, 60]]]
[[microphone]]
name = "ear"
uri = "wav:{write_tones(folder)}"
loop = true
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
[[pipeline.zones]]
name = "gate"
polygon = [[420, 40], [620, 40], [620, 320], [420, 320]]
[[pipeline]]
name = "tones"
source = "ear"
model = "tones"
"""


@pytest.fixture
def scene(broker: Broker, tmp_path: Path) -> Iterator[tuple[ApplianceProcess, str]]:
    """An appliance with a page, and where that is."""
    port = free_port()
    with ApplianceProcess(tmp_path, configuration(broker, tmp_path, port)) as appliance:
        yield appliance, f"http://127.0.0.1:{port}/"


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    with Ear(broker.port) as ear:
        yield ear


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path) as browser:
        yield browser


def opened(browser: Browser, url: str) -> None:
    """On the page, with a picture and its boxes."""

    until(lambda: _loaded(browser, url), 20)
    browser.complaints()
    browser.until("[...livePage.cameras.values()].some((each) => each.drawn?.results.length)")


def _loaded(browser: Browser, url: str) -> bool:
    try:
        browser.go(url)
    except AssertionError:  # the appliance does not listen yet
        return False
    return True


def test_boxes_lie_where_they_were_published_on_the_picture_they_are_about(
    ear: Ear, scene: tuple[ApplianceProcess, str], browser: Browser
) -> None:
    opened(browser, scene[1])
    browser.devtools("Runtime.evaluate", expression="document.documentElement.scrollTop = 0")
    measured = browser.run(MEASURE, 25)
    assert len({each["seq"] for each in measured}) == 25
    published = {each["seq"]: each for each in ear.documents("pipeline/shapes/result")}
    lines = shapes = 0
    for picture in measured:
        boxes = [tuple(each["box"]) for each in published[picture["seq"]]["detections"]]
        for each in picture["boxes"]:
            assert tuple(each["box"]) in boxes
            lines += check_lines(each)
            shapes += check_shape(each)
    assert lines > 100
    assert shapes > 20


def test_boxes_of_digits_that_stand_close_lie_where_they_were_published(
    broker: Broker, ear: Ear, tmp_path: Path, browser: Browser
) -> None:
    """The demo's own scene: numbers of several digits, some of them turned."""
    port = free_port()
    config = (
        configuration(broker, tmp_path, port)
        .replace("scene:shapes", "scene:digits")
        .replace('model = "shapes"', 'model = "digits"')
    )
    with ApplianceProcess(tmp_path, config):
        opened(browser, f"http://127.0.0.1:{port}/")
        measured = browser.run(MEASURE, 15)
    published = {each["seq"]: each for each in ear.documents("pipeline/shapes/result")}
    lines = 0
    for picture in measured:
        boxes = [tuple(each["box"]) for each in published[picture["seq"]]["detections"]]
        for each in picture["boxes"]:
            assert tuple(each["box"]) in boxes
            if not any(_of_one_colour_and_near(each, other) for other in picture["boxes"]):
                lines += check_lines(each)
    assert lines > 30


def _of_one_colour_and_near(each: dict[str, Any], other: dict[str, Any]) -> bool:
    """Then it cannot be told whose line is where."""
    if other is each or other["label"] != each["label"]:
        return False
    (left, top, right, bottom), (left2, top2, right2, bottom2) = each["box"], other["box"]
    return bool(left2 < right + 16 and left < right2 + 16 and top2 < bottom + 16 and top < bottom2 + 16)


CAPTIONS = """
return import("/static/overlay.js").then(({ captions }) => {
  const context = new OffscreenCanvas(640, 360).getContext("2d");
  const at = (n) => [100 + 34 * n, 80, 130 + 34 * n, 130];
  const row = [0, 1, 2, 3, 4].map((n) => ({ label: String(n), track: 40 + n, score: 0.93, box: at(n) }));
  const alone = { label: "person", track: 7, score: 0.5, box: [400, 200, 450, 300] };
  return captions(context, [...row, alone], 1, 1).map(({ words, x, y, width, height }) => [words, x, y, width, height]);
});
"""


def test_captions_of_neighbours_leave_each_other_room(scene: tuple[ApplianceProcess, str], browser: Browser) -> None:
    opened(browser, scene[1])
    placed = browser.run(CAPTIONS)
    assert [words[0] for words, *_ in placed[:5]] == list("01234")
    assert placed[5][0] == "person #7 50%"
    for index, (_, x, y, width, height) in enumerate(placed):
        for _, x2, y2, width2, height2 in placed[index + 1 :]:
            assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y


def test_the_page_is_small_and_there_at_once(scene: tuple[ApplianceProcess, str], browser: Browser) -> None:
    opened(browser, scene[1])
    paints, sizes = [], []
    for _ in range(5):  # a busy machine spoils one; nothing is taken from the cache
        browser.devtools("Network.clearBrowserCache")
        opened(browser, scene[1])
        paints.append(browser.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"))
        sizes.append(
            browser.run(
                "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
                ".filter((each) => !each.name.includes('/api/')).reduce((sum, each) => sum + each.transferSize, 0)"
            )
        )
    assert min(paints) < FIRST_PAINT_S
    assert 30_000 < max(sizes) < MOST_BYTES


def check_lines(each: dict[str, Any]) -> int:
    """How many sides could be measured; a caption or another line may lie over one."""
    found = [(place, edge) for place, edge in zip(each["line"], each["box"], strict=True) if place is not None]
    for place, edge in found:
        assert abs(place - edge) <= NEAR_PX, each
    return len(found)


def check_shape(each: dict[str, Any]) -> int:
    """Whether the shape in the picture is inside the box; those that leave the picture or meet another are left out."""
    left, top, right, bottom = each["box"]
    if left < 16 or right > 624 or top < 16 or bottom > 344 or None in each["shape"]:
        return 0
    (x0, x1), (y0, y1) = each["shape"]
    assert abs(x0 - left) <= ON_THE_SHAPE_PX, each
    assert abs(x1 - right) <= ON_THE_SHAPE_PX, each
    assert abs(y0 - top) <= ON_THE_SHAPE_PX, each
    assert abs(y1 - bottom) <= ON_THE_SHAPE_PX, each
    return 1


def test_everything_moves_and_the_console_is_silent(scene: tuple[ApplianceProcess, str], browser: Browser) -> None:
    opened(browser, scene[1])
    seq = browser.run("return livePage.cameras.get('dock').drawn.seq")
    bars = browser.run("return livePage.latency.bars")
    columns = browser.run("return livePage.microphones.get('ear').columns")
    browser.until(f"livePage.cameras.get('dock').drawn.seq > {seq + 10}")
    browser.until(f"livePage.latency.bars > {bars + 2}")
    browser.until(f"livePage.microphones.get('ear').columns > {columns + 25}")
    browser.until("document.querySelectorAll('.words li:not(.none)').length >= 2")
    words = browser.run("return [...document.querySelectorAll('.words li')].map((each) => each.textContent)")
    assert set(words) <= set(TONE_HZ)
    browser.until("document.querySelectorAll('#events img').length > 0")
    browser.until("document.getElementById('standing').textContent === 'all is well'")
    assert browser.complaints() == []


def test_a_switch_is_a_command_and_moves_when_the_appliance_says_so(
    ear: Ear, scene: tuple[ApplianceProcess, str], browser: Browser
) -> None:
    opened(browser, scene[1])
    browser.run("document.querySelector('[data-source=dock] details').open = true")
    switch = "document.querySelector('[data-source=dock] fieldset input[role=switch]')"
    browser.until(f"{switch}.checked")
    browser.run(f"{switch}.click()")
    ear.await_document("pipeline/shapes/state", enabled=False)
    browser.until("livePage.cameras.get('dock').drawn.results.length === 0")
    seq = browser.run("return livePage.cameras.get('dock').drawn.seq")
    browser.until(f"livePage.cameras.get('dock').drawn.seq > {seq + 10}", 10)  # the picture goes on without boxes
    browser.run(f"{switch}.click()")
    ear.await_document("pipeline/shapes/state", enabled=True)
    browser.until("livePage.cameras.get('dock').drawn.results.length > 0")
    assert browser.complaints() == []


def test_a_page_says_that_the_appliance_is_gone_and_finds_it_again(
    scene: tuple[ApplianceProcess, str], browser: Browser
) -> None:
    appliance, url = scene
    opened(browser, url)
    appliance.send(signal.SIGTERM)
    assert appliance.ends() == 0
    browser.until("document.getElementById('standing').textContent === 'connection lost'")
    browser.until("document.querySelector('[data-source=dock] .veil').textContent.startsWith('connection lost')")
    browser.until("!document.getElementById('trouble').hidden")
    appliance.start()
    browser.until("livePage.state === 'open'")
    browser.until("document.getElementById('standing').textContent === 'all is well'")
    browser.until("livePage.cameras.get('dock').drawn.seq < 100 && livePage.cameras.get('dock').drawn.results.length")
    browser.until("document.querySelector('[data-source=dock] .veil').hidden")
    assert [each for each in browser.complaints() if "ERR_CONNECTION_REFUSED" not in each] == []


def test_a_camera_that_is_lost_is_said_to_be(broker: Broker, tmp_path: Path, browser: Browser) -> None:
    port = free_port()
    lost = '[[camera]]\nname = "yard"\nuri = "rtsp://127.0.0.1:9/none"\n'
    with ApplianceProcess(tmp_path, configuration(broker, tmp_path, port) + lost):
        opened(browser, f"http://127.0.0.1:{port}/")
        browser.until("document.querySelector('[data-source=yard] .badge').textContent === 'offline'")
        browser.until("document.querySelector('[data-source=yard] .veil').textContent.startsWith('no picture: ')")
        browser.until("document.getElementById('standing').textContent === 'degraded'")
        browser.until("document.getElementById('trouble').textContent.includes('yard')")


def test_with_a_password_the_page_asks_for_it_and_then_opens(broker: Broker, tmp_path: Path, browser: Browser) -> None:
    port = free_port()
    (tmp_path / "password").write_text("correct horse\n")
    config = configuration(broker, tmp_path, port).replace(
        "[[camera]]", f'password_file = "{tmp_path / "password"}"\n[[camera]]', 1
    )
    with ApplianceProcess(tmp_path, config):
        until(lambda: _loaded(browser, f"http://127.0.0.1:{port}/"), 20)
        browser.until("!document.getElementById('login').hidden && document.getElementById('main').hidden")
        give = "document.getElementById('password').value = arguments[0];"
        browser.run(give + "document.querySelector('#login button').click()", "a guess")
        browser.until("document.getElementById('login-trouble').textContent === 'this is not the password'")
        browser.run(give + "document.querySelector('#login button').click()", "correct horse")
        browser.until("[...livePage.cameras.values()].some((each) => each.drawn?.results.length)")
        assert browser.run("return document.cookie") == ""
        browser.run("document.getElementById('logout').click()")
        browser.until("!document.getElementById('login').hidden")


def test_by_keyboard_everything_is_reached_and_the_theme_changes(
    scene: tuple[ApplianceProcess, str], browser: Browser
) -> None:
    browser.theme("light")
    opened(browser, scene[1])
    assert browser.run("return document.documentElement.dataset.theme") == "light"
    browser.press("t")
    browser.until("document.documentElement.dataset.theme === 'dark'")
    unreachable = browser.run(
        "return [...document.querySelectorAll('button, input, summary, a')].filter((each) => each.tabIndex < 0).length"
    )
    assert unreachable == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_axe_has_nothing_to_say_and_nothing_is_wider_than_the_screen(
    scene: tuple[ApplianceProcess, str], browser: Browser, scheme: str, width: int, height: int
) -> None:
    if not AXE.exists():
        pytest.skip("needs axe-core, which tests/node/package.json names: see setup_node in scripts/setup.sh")
    browser.theme(scheme)
    browser.screen(width, height, mobile=width < 600)
    browser.devtools("Page.setBypassCSP", enabled=True)
    opened(browser, scene[1])
    browser.until("document.querySelectorAll('.words li:not(.none)').length >= 2")
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    browser.devtools("Runtime.evaluate", expression=AXE.read_text(encoding="utf-8"))
    passed, found = browser.run(
        "return axe.run().then(({passes, violations}) =>"
        " [passes.length, violations.map(({id, nodes}) => [id, nodes[0].html])])"
    )
    assert found == []
    assert passed > 20, "hardly a rule had anything to look at"
    assert browser.run("return document.documentElement.scrollWidth") <= width
