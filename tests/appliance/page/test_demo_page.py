"""`appliance demo` prints where its page is, and it is there."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tests.conftest import Broker
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]


@pytest.fixture
def demo(new_broker: type[Broker]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "appliance", "demo", "--for", "60"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()
        process.wait(20)


def test_the_demo_says_where_its_page_is(demo: subprocess.Popen[str]) -> None:
    assert demo.stderr is not None
    lines = iter(demo.stderr.readline, "")
    address = next(
        found[1] for line in lines if (found := re.fullmatch(r"live page: (http://127\.0\.0\.1:\d+/)\n", line))
    )

    def there() -> bool:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return b"<title>Appliance</title>" in answer.read()
        except OSError:  # it does not listen yet
            return False

    until(there, 20)
