"""How long from a clone to a working hand-over, cold and warm, and what each process weighs at rest.

    python -m bench.start [--save]

Cold: a fresh clone without a virtual environment (the package cache may be warm). Warm: the same
folder again. A hand-over works when the example product has sent its user into the portal.
"""

import http.cookiejar
import json
import re
import signal
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.report import Options, Row, row, run

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 300
REST_SECONDS = 5


def table(options: Options) -> Iterable[Row]:
    """Measure one clone, whatever the size of the run."""
    with tempfile.TemporaryDirectory(prefix="keystead-bench-") as folder:
        clone = Path(folder) / "keystead"
        started = time.monotonic()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        cold, _ = hand_over_seconds(clone, started)
        warm, weights = hand_over_seconds(clone, time.monotonic(), rest=True)
    return [
        row("P17 clone to hand-over, cold (s)", cold, at_most=60),
        row("P17 start to hand-over, warm (s)", warm, at_most=5),
        *(row(f"PSS of {name} at rest (MiB)", mib) for name, mib in weights.items()),
        row("P18 PSS of all at rest (MiB)", sum(weights.values()), at_most=350),
    ]


def hand_over_seconds(clone: Path, started: float, *, rest: bool = False) -> tuple[float, dict[str, float]]:
    """Start Keystead, hand a user over, stop it; return the seconds it took and, if asked, the weights."""
    ready = clone.parent / "ready.json"
    ready.unlink(missing_ok=True)
    command = [str(clone / "keystead"), "up", "--port", "0", "--gateway-port", "0", "--ready-file", str(ready)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        while not ready.exists():
            if process.poll() is not None or time.monotonic() - started > START_SECONDS:
                raise SystemExit("Keystead did not start")
            time.sleep(0.02)
        facts = json.loads(ready.read_text())
        hand_over(facts["product_url"])
        taken = time.monotonic() - started
        weights = {}
        if rest:
            time.sleep(REST_SECONDS)  # what is measured is rest itself, not the wait for an event
            weights = weigh(facts["pids"])
        return taken, weights
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def hand_over(product_url: str) -> None:
    """Do in plain HTTP what a user's browser does from the product's page into the portal."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    page = opener.open(product_url, timeout=10).read().decode()
    page = submit(opener, product_url, page, "Dana")
    page = submit(opener, product_url, page, "Manage API keys")
    page = submit(opener, opener.address, page, "Continue")  # type: ignore[attr-defined]  # set by submit
    if "Overview" not in page:
        raise SystemExit("the hand-over did not reach the portal")


def submit(opener: urllib.request.OpenerDirector, address: str, page: str, button: str) -> str:
    """Submit the form of a page that holds a button with this text."""
    form = next(form for form in re.findall(r"<form.*?</form>", page, re.DOTALL) if button in form)
    action = re.search(r'action="([^"]*)"', form)
    tags = re.findall(r"<input[^>]*>", form)
    tags += [tag for tag, text in re.findall(r"(<button[^>]*>)(.*?)</button>", form, re.DOTALL) if button in text]
    fields = {attribute(tag, "name"): attribute(tag, "value") for tag in tags if attribute(tag, "name")}
    target = urllib.parse.urljoin(address, action[1] if action else "")
    request = urllib.request.Request(target, urllib.parse.urlencode(fields).encode())  # loopback alone
    origin = urllib.parse.urlsplit(target)
    request.add_header("Origin", f"{origin.scheme}://{origin.netloc}")
    with opener.open(request, timeout=10) as answer:
        opener.address = answer.url  # type: ignore[attr-defined]  # where the last form led
        return answer.read().decode()


def attribute(tag: str, name: str) -> str:
    """Return an attribute of a tag, or nothing."""
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return found[1] if found else ""


def weigh(pids: dict[str, Any]) -> dict[str, float]:
    """Return the proportional set size in MiB of each part with its children, PostgreSQL apart."""
    flat = {name: value if isinstance(value, list) else [value] for name, value in pids.items() if value}
    roots = {pid for group in flat.values() for pid in group}
    weights = {}
    for name, group in flat.items():
        if name != "postgres":
            weights[name] = round(sum(family_pss(pid, roots - {pid}) for pid in group) / 1024, 1)
    return weights


def family_pss(pid: int, others: set[int]) -> int:
    """Return the PSS in KiB of a process and its children, parts that are counted on their own left out."""
    if pid in others:
        return 0
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1])  # type: ignore[index]  # always there
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(family_pss(int(child), others) for child in children if int(child) not in others)


if __name__ == "__main__":
    run("start", table, __doc__)
