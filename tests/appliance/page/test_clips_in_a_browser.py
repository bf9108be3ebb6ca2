"""A real browser plays what the recorder wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.spoken import write_spoken
from tests.appliance.page.browser import CHROMIUM, DRIVER, Browser
from tests.appliance.page.test_browser import _loaded
from tests.appliance_process import ApplianceProcess
from tests.conftest import free_port
from tests.waiting import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no browser: apt-get install chromium chromium-driver"),
]

LOADED = "document.querySelector('#player {0}')?.readyState >= 3"


def test_clips_are_listed_open_and_play(tmp_path: Path) -> None:
    port = free_port()
    words = write_spoken(tmp_path / "words.wav")
    recorder = "[pipeline.recorder]\nbefore_s = 1\nafter_s = 1\nlongest_s = 2\nleave_free_mb = 0\n"
    config = f"""
[page]
listen = "127.0.0.1:{port}"
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 8
[[microphone]]
name = "ear"
uri = "wav:{words}"
loop = true
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
{recorder}
[[pipeline]]
name = "words"
source = "ear"
model = "spoken-digits"
{recorder}
"""
    with ApplianceProcess(tmp_path, config), Browser(tmp_path / "browser") as browser:
        until(lambda: _loaded(browser, f"http://127.0.0.1:{port}/"), 30)
        for place, media in ((".clip img", "video"), (".clip .sign", "audio")):
            browser.until(f"document.querySelector('#clips {place}')", 90)
            click = f"document.querySelector('#clips {place}').closest('button').click()"
            browser.devtools("Runtime.evaluate", expression=click, userGesture=True)  # sound plays for people only
            browser.until(LOADED.format(media), 40)
            browser.until(f"document.querySelector('#player {media}').currentTime > 0", 40)
            browser.run(f"document.querySelector('#player {media}').pause()")
            seconds = browser.run(f"return document.querySelector('#player {media}').duration")
            assert 0.5 < seconds < 6, seconds
            if media == "video":
                assert browser.run("return document.querySelector('#player video').videoWidth") == 640
                browser.until("document.querySelector('#clips img').naturalWidth === 640")
            assert browser.run("return document.getElementById('player').open")
            browser.run("document.getElementById('player-close').click()")
            browser.until("!document.getElementById('player').open")
        assert browser.run("return document.getElementById('clips-standing').textContent").endswith("MB")
        assert browser.complaints() == []
