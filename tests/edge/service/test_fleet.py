"""The files for a fleet: alerting rules and dashboard, against promtool and a real Prometheus that scrapes a run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.run.options import RunOptions
from edge.run.session import open_session
from edge.service.__main__ import main
from tests.ports import free_ports
from tests.waiting import WAIT, until

INSTALL = "no {} (apt-get install prometheus)"
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
SINKS = {"quietcam_sink_bytes", "quietcam_temperature_celsius"}  # a run of the tests may have none


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with the files as a user prints them."""
    for kind, name in (("alerts", "alerts.yml"), ("dashboard", "dashboard.json")):
        assert main([kind]) == 0
        (tmp_path / name).write_text(capsys.readouterr().out, encoding="utf-8")
    return tmp_path


def queries(files: Path) -> list[str]:
    """Every query of the dashboard, its variables replaced."""
    panels = json.loads((files / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    for name, value in (("$__rate_interval", "1m"), ("$job", "quietcam"), ("$instance", ".*")):
        found = [each.replace(name, value) for each in found]
    assert not [each for each in found if "$" in each]
    return found


def promtool(folder: Path, *words: str) -> None:
    if PROMTOOL is None:
        pytest.skip(INSTALL.format("promtool"))
    done = subprocess.run([PROMTOOL, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules(files: Path) -> None:
    promtool(files, "check", "rules", "alerts.yml")


def test_each_rule_fires_on_the_device_that_has_the_trouble_and_on_no_other(files: Path) -> None:
    shutil.copy(Path(__file__).with_name("alerts_test.yml"), files)
    promtool(files, "test", "rules", "alerts_test.yml")


def test_the_dashboard_is_whole(files: Path) -> None:
    board = json.loads((files / "dashboard.json").read_text(encoding="utf-8"))
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & own, "two panels lie on each other"
        assert all(x < 24 for x, _ in own)
        cells |= own
    assert {each["name"] for each in board["templating"]["list"]} == {"datasource", "job", "instance"}
    assert len(queries(files)) >= len(panels)


class Prometheus:
    """A real one, that scrapes ``port`` every second."""

    def __init__(self, folder: Path, port: int, rules: Path) -> None:
        assert PROMETHEUS is not None
        self.port = free_ports(1)[0]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "quietcam", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        words = [PROMETHEUS, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        words += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error"]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=WAIT) as answer:
            return json.load(answer)["data"]

    def query(self, text: str) -> Any:
        return self.get(f"query?{urllib.parse.urlencode({'query': text})}")["result"]

    def ready(self) -> bool:
        assert self.process.poll() is None
        try:
            return bool(self.query('up{job="quietcam"} == 1 and quietcam_frames_total > 5'))
        except OSError:
            return False

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(WAIT)


@pytest.fixture
def prometheus(files: Path, small: Path) -> Iterator[Prometheus]:
    """A Prometheus and a run that it scrapes."""
    if PROMETHEUS is None:
        pytest.skip(INSTALL.format("prometheus"))
    port = free_ports(1)[0]
    options = RunOptions(
        source="synthetic:size=32x32,fps=30,rendered=2",
        sink=("web", f"spool:{files / 'spool'},every=0.1"),
        model=small,
        listen=f"127.0.0.1:{port}",
    )
    with open_session(options) as session:
        thread = threading.Thread(target=session.run)
        thread.start()
        scraper = Prometheus(files, port, files / "alerts.yml")
        try:
            yield scraper
        finally:
            scraper.close()
            session.stop()
            thread.join(WAIT)


def test_a_real_prometheus_scrapes_a_run_and_answers_every_query_of_rules_and_dashboard(
    prometheus: Prometheus, files: Path
) -> None:
    until(prometheus.ready)
    rated = 'rate(quietcam_stage_duration_seconds_count{stage="denoise"}[1m])'
    until(lambda: prometheus.query(rated))  # two scrapes
    for text in queries(files):
        found = prometheus.query(text)  # an error would be raised
        metrics = set(re.findall(r"\b(?:quietcam|process)_\w+", text))
        if not metrics & SINKS and not re.search(r"(==|>) 0", text):
            assert found, f"no data: {text}"
    known = set(prometheus.get("label/__name__/values"))
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 9
    until(lambda: all(rule["health"] == "ok" for rule in everything(prometheus)))
    used = {each for rule in rules for each in re.findall(r"\b(?:quietcam|process)_\w+", rule["query"])}
    assert used - SINKS <= known
    assert not [rule["name"] for rule in rules if rule["state"] == "firing" and rule["name"] != "FramesNotStored"]


def everything(prometheus: Prometheus) -> Iterator[Any]:
    for group in prometheus.get("rules")["groups"]:
        yield from group["rules"]


def test_what_is_printed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    words = "unit|config|update|update-timer|alerts|dashboard"
    assert capsys.readouterr().err == f"usage: python -P -m edge.service {words}\n"
