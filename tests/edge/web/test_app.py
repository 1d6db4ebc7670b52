"""The page's other answers: status, health, metrics, snapshots, controls; and access by token and cookie."""

from __future__ import annotations

import http.client
import json
import math
import threading
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from edge.network.treatment import Rung, Treatment
from edge.run.frame import Frame
from edge.web.access import HEADERS, Access
from edge.web.state import STUCK_SECONDS, State
from quietcam.data.pictures.caption import caption_of
from quietcam.files.strict_json import parse_json
from tests.edge.web.conftest import serving
from tests.edge.web.served_page import DENOISED, Served, noise
from tests.waiting import WAIT, ended, until

TOKEN = "correct horse battery"


def decoded(content: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[..., ::-1]


class TestAnswers:
    def test_the_pages_files(self, served: Served) -> None:
        for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
            status, headers, body = served.get(path)
            assert (status, headers.get_content_type()) == (200, kind)
            assert body

    def test_no_script_or_style_stands_in_the_page_itself(self, served: Served) -> None:
        """The Content-Security-Policy forbids them, so they would fail without an error."""
        for path in ("/",):
            body = served.get(path)[2].decode()
            assert "<style" not in body
            assert " style=" not in body
            assert body.count("<script") == body.count('<script src="/')
            assert " on" not in {word.split("=")[0] for word in body.split("<")}

    @pytest.mark.parametrize(
        "path", ["/", "/nope", "/stream.mjpg?view=sideways", "/healthz", "/metrics", "/snapshot.jpg"]
    )
    def test_every_answer_has_the_headers(self, served: Served, path: str) -> None:
        served.keep_feeding()
        _, headers, _ = served.get(path)
        assert {name: headers[name] for name in HEADERS} == HEADERS

    def test_status(self, served: Served) -> None:
        served.feed()
        served.report()
        status = json.loads(served.get("/status.json")[2])
        assert status["live"] is True
        assert (status["fps"], status["noise_sigma"], status["temperature_c"]) == (30.0, 7.5, 51.0)
        assert status["model"]["name"] == "demo_640x480_int8"
        assert (status["viewers"], status["strength"]) == (0, 1.0)

    def test_metrics_are_what_prometheus_reads(self, served: Served) -> None:
        for _ in range(3):
            served.feed()
        served.report(dropped=4, sinks=[{"name": "spool:/x", "frames": 3, "stored": 2, "waiting": None, "bytes": 7}])
        status, headers, body = served.get("/metrics")
        assert status == 200
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        found = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }
        assert found[("quietcam_frames_total",)] == 3
        assert found[("quietcam_frames_dropped_total",)] == 4
        assert found[("quietcam_up",)] == 1
        assert found[("quietcam_temperature_celsius",)] == 51
        assert found[("quietcam_camera_reopened_total",)] == 2
        assert found[("quietcam_sink_frames_total", ("sink", "spool:/x"))] == 3
        assert found[("quietcam_sink_events_total", ("event", "stored"), ("sink", "spool:/x"))] == 2
        model = ("name", "demo_640x480_int8"), ("recipe", "int8"), ("sha256", "")
        assert found[("quietcam_model_info", *model)] == 1

    def test_what_is_not_known_is_no_metric_and_no_error(self, served: Served) -> None:
        assert b"quietcam_temperature" not in served.get("/metrics")[2]
        served.report(temperature_c=None, noise_sigma=None, device=None)
        status, _, body = served.get("/metrics")
        assert status == 200
        assert b"quietcam_temperature" not in body

    def test_a_snapshot_is_the_pair_pixel_by_pixel(self, served: Served) -> None:
        noisy, denoised = noise(5, 40, 52), noise(6, 40, 52)
        served.keep_feeding(noisy, denoised)
        status, headers, body = served.get("/snapshot.png?download")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        assert headers["Content-Disposition"].startswith('attachment; filename="quietcam_')
        np.testing.assert_array_equal(decoded(body), np.concatenate([noisy, denoised], axis=1))
        np.testing.assert_array_equal(decoded(served.get("/snapshot.png?view=noisy")[2]), noisy)

    def test_a_snapshot_says_how_much_it_was_denoised(self, served: Served) -> None:
        some = Treatment(model="demo", gate=0.5, strength=0.74)
        served.keep_feeding(treatment=some)
        for path, name in (("/snapshot.png", "both_37percent.png"), ("/snapshot.jpg", "denoised_37percent.jpg")):
            _, headers, body = served.get(f"{path}?download")
            assert headers["Content-Disposition"].endswith(f'_{name}"')
            assert (headers["X-Share"], headers["X-Work"]) == ("0.370", "37 % denoised")
            assert json.loads(caption_of(body) or "")["quietcam"] == some.report()
        _, headers, body = served.get("/snapshot.png?view=noisy&download")
        assert "percent" not in headers["Content-Disposition"]
        assert caption_of(body) is None

    def test_a_snapshot_is_never_of_a_frame_that_got_less(self, served: Served) -> None:
        """While a snapshot is wanted, the sink asks for full treatment; frames with less are not used for it."""
        assert not served.sink.wants(Frame(np.zeros((2, 2, 3), np.uint8), 0.0, 0))
        flat = np.full((8, 8, 3), 9, np.uint8)
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.append(served.get("/snapshot.png?view=denoised")))
        thread.start()
        until(lambda: served.sink.wants(Frame(flat, 0.0, 0)))
        stream = served.watch()
        for _ in range(5):  # viewers get them
            served.feed(flat, flat, Treatment(Rung.PASS_THROUGH, why="hot"))
            stream.next()
        assert served.sink.wants(Frame(flat, 0.0, 0))
        served.feed(flat, flat + 100, DENOISED)
        ended(thread)
        ((status, headers, body),) = got
        assert (status, headers["X-Work"]) == (200, "denoised")
        np.testing.assert_array_equal(decoded(body), flat + 100)
        stream.close()

    def test_a_jpeg_snapshot_is_the_denoised_frame(self, served: Served) -> None:
        flat = np.full((40, 52, 3), 60, np.uint8)
        served.keep_feeding(flat, 255 - flat)
        status, headers, body = served.get("/snapshot.jpg")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert np.abs(decoded(body).astype(int) - 195).max() <= 1

    def test_a_snapshot_without_video_says_so(self, served: Served) -> None:
        served.report(camera={"state": "lost", "since": 5.0, "reopened": 0, "reason": "unplugged"})
        with mock.patch("edge.web.app._FIRST_FRAME_SECONDS", 0.05):
            status, _, body = served.get("/snapshot.jpg")
        assert (status, body) == (503, b"No live video: unplugged.\n")
        assert served.viewers == 0

    def test_strength(self, served: Served) -> None:
        status, _, body = served.get("/control", "POST", '{"strength": 0.25}', Content_Type="application/json")
        assert (status, json.loads(body)) == (200, {"strength": 0.25})
        assert served.controls.strength == 0.25

    @pytest.mark.parametrize(
        "body", ["", "x", "[]", "{}", '{"strength": 2}', '{"strength": true}', '{"strength": NaN}', '{"strength": "1"}',
                 '{"strength": 1, "other": 2}', "[" * 4000],
    )  # fmt: skip
    def test_a_strength_that_is_none(self, served: Served, body: str) -> None:
        status, _, said = served.get("/control", "POST", body, Content_Type="application/json")
        assert status == 400
        assert b"A change must be" in said
        assert served.controls.strength == 1.0

    def test_a_body_that_is_too_large(self, served: Served) -> None:
        status, _, _ = served.get("/control", "POST", " " * 100_000, Content_Type="application/json")
        assert status == 413


class TestHealth:
    def test_a_lost_camera(self, served: Served) -> None:
        served.feed()
        served.report()
        assert served.get("/healthz")[0] == 200
        served.report(camera={"state": "lost", "since": 1700000000.5, "reopened": 0, "reason": "unplugged"})
        status, _, body = served.get("/healthz")
        assert status == 503
        assert json.loads(body) == {"state": "lost", "ok": False, "reason": "unplugged", "since": 1700000000.5}
        assert json.loads(served.get("/status.json")[2])["fps"] == 0.0

    def test_frames_that_get_less_are_degraded_which_is_live_all_the_same(self, served: Served) -> None:
        ladder = {"step": "pass-through", "reason": "95 °C, of at most 80", "since": 1700000000.5}
        work = Treatment(Rung.PASS_THROUGH, why="the ladder lets frames pass unchanged")
        served.report(ladder=ladder, work=work.report())
        assert json.loads(served.get("/healthz")[2]) == {"state": "starting", "ok": True, "reason": "starting"}
        served.feed(treatment=work)
        status, _, body = served.get("/healthz")
        reason = "degraded: pass-through (95 °C, of at most 80)"
        assert status == 200
        assert json.loads(body) == {"state": "degraded", "ok": True, "reason": reason, "since": 1700000000.5}
        page = json.loads(served.get("/status.json")[2])
        assert (page["live"], page["degraded"], page["work"]["share"]) == (True, True, 0.0)
        metrics = served.get("/metrics")[2].decode()
        for line in (
            "quietcam_up 1.0", "quietcam_degraded 1.0", "quietcam_network_share 0.0",
            'quietcam_ladder{step="pass-through"} 1.0', 'quietcam_ladder{step="full"} 0.0',
        ):  # fmt: skip
            assert f"\n{line}\n" in metrics
        assert "quietcam_network_info{" not in metrics, "no network runs"
        served.report()
        assert json.loads(served.get("/healthz")[2]) == {"state": "live", "ok": True, "reason": "live"}
        metrics = served.get("/metrics")[2].decode()
        assert '\nquietcam_network_info{name="demo_640x480_int8",size="whole"} 1.0\n' in metrics
        assert "\nquietcam_degraded 0.0\n" in metrics

    @pytest.mark.parametrize(
        ("told", "plain", "strict"),
        [
            ({}, 200, 200),
            ({"ladder": {"step": "pass-through", "reason": "the network fails: x", "since": 1.0}}, 200, 503),
            ({"device": {"used": "none", "reason": "unplugged", "since": 1.0}}, 200, 503),
            ({"sinks": [{"name": "s", "error": "full"}]}, 200, 503),
            ({"work": Treatment(why="the frame is clean").report()}, 200, 200),  # wanted
            ({"camera": {"state": "lost", "reason": "unplugged"}}, 503, 503),
        ],
    )
    def test_a_monitor_may_ask_for_full_treatment_too(
        self, served: Served, told: dict[str, Any], plain: int, strict: int
    ) -> None:
        served.feed()
        served.report(**told)
        assert served.get("/healthz")[0] == plain
        assert served.get("/healthz?strict")[0] == strict
        assert served.get("/healthz?strict")[2] == served.get("/healthz")[2]

    def test_frames_that_a_sink_does_not_keep_are_said_and_no_name_of_a_file_to_strangers(self, served: Served) -> None:
        served.report(sinks=[{"name": "spool:/home/me/spool", "error": None, "waiting": "Cannot write /home/me/spool"}])
        served.feed()
        status, _, body = served.get("/healthz")
        reason = "degraded: 1 of 1 sinks keeps no frames"
        assert (status, json.loads(body)) == (200, {"state": "degraded", "ok": True, "reason": reason, "since": None})
        assert json.loads(served.get("/status.json")[2])["degraded"] is True
        assert "\nquietcam_degraded 1.0\n" in served.get("/metrics")[2].decode()

    def test_a_camera_that_is_stuck_without_saying_so(self) -> None:
        now = [100.0]
        state = State(clock=lambda: now[0], wall=lambda: 1000.0 + now[0])
        state.frame()
        now[0] += STUCK_SECONDS - 0.1
        assert state.verdict().ok
        now[0] += 0.2
        reason = "no frame came for some seconds"
        assert state.verdict() == {"state": "lost", "ok": False, "reason": reason, "since": 1100.0}
        state.frame()
        assert state.verdict().ok

    def test_a_clock_that_jumps_changes_nothing(self) -> None:
        wall = [1000.0]
        state = State(clock=lambda: 100.0, wall=lambda: wall[0])
        state.frame()
        for jump in (1e9, -1e9):
            wall[0] += jump
            assert state.verdict().ok

    def test_files_may_end(self) -> None:
        now = [100.0]
        state = State(clock=lambda: now[0], wall=lambda: 0.0, live=False)
        state.frame()
        now[0] += 1000
        assert state.verdict().ok


class TestToken:
    def test_without_it_nothing_is_shown(self) -> None:
        with serving(TOKEN) as served:
            served.keep_feeding()
            for path in ("/", "/page.js", "/stream.mjpg", "/snapshot.jpg", "/snapshot.png", "/status.json", "/metrics"):
                status, headers, body = served.get(path)
                assert status == 401, path
                assert headers["WWW-Authenticate"] == "Bearer"
                assert b"A token is needed" in body
            assert served.get("/control", "POST", "{}", Content_Type="application/json")[0] == 401
            assert served.get("/healthz")[0] == 200
            assert served.encoded == 0

    def test_a_browser_gets_a_form(self) -> None:
        with serving(TOKEN) as served:
            status, _, body = served.get("/", Accept="text/html,*/*")
            assert status == 401
            assert b'action="/login"' in body
            assert served.get("/page.css")[0] == 200
            form = {"Content_Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{served.port}"}
            assert served.get("/login", "POST", "token=wrong", **form)[0] == 401
            status, headers, _ = served.get("/login", "POST", f"token={TOKEN.replace(' ', '+')}", **form)
            assert (status, headers["Location"]) == (303, "/")
            assert served.get("/", Cookie=headers["Set-Cookie"].split(";")[0])[0] == 200

    def test_it_goes_from_the_address_into_a_cookie(self) -> None:
        with serving(TOKEN) as served:
            status, headers, _ = served.get(f"/?token={TOKEN.replace(' ', '%20')}")
            assert (status, headers["Location"]) == (303, "/")
            cookie = headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Lax" in cookie
            assert TOKEN.split()[0] not in cookie
            served.keep_feeding()
            for path in ("/", "/snapshot.jpg", "/status.json"):
                assert served.get(path, Cookie=cookie.split(";")[0])[0] == 200
            assert served.get("/", Cookie=cookie.split(";")[0][:-1] + "x")[0] == 401

    def test_programs_send_it_as_bearer_or_in_the_address(self) -> None:
        with serving(TOKEN) as served:
            assert served.get("/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
            assert served.get(f"/status.json?token={TOKEN.replace(' ', '+')}")[0] == 200
            assert served.get("/metrics", Authorization="Bearer nonsense")[0] == 401
            assert served.get("/metrics", Authorization=f"Basic {TOKEN}")[0] == 401

    def test_a_wrong_one_a_thousand_times(self, caplog: pytest.LogCaptureFixture) -> None:
        with serving(TOKEN) as served:
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=WAIT)
            codes = []
            for number in range(1000):
                connection.request("GET", f"/status.json?token=guess{number}guess")
                answer = connection.getresponse()
                answer.read()
                codes.append(answer.status)
            assert codes == [401] * 10 + [429] * 990
            # A client with the cookie is let in anyway: only guesses are refused.
            access = Access(TOKEN, served.port)
            assert served.get("/", Cookie=f"{access.cookie_name}={access.cookie}")[0] == 200
            assert served.get("/healthz")[0] == 200
            connection.close()
        said = caplog.text
        assert said.count("Too many wrong tokens from 127.0.0.1") == 1
        assert "guess" not in said
        assert TOKEN not in said

    def test_strangers_cannot_fill_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        with serving() as served:
            served.sink._controls.describe = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
            caplog.clear()
            assert {served.get("/status.json")[0] for _ in range(40)} == {500}
        assert caplog.text.count("ZeroDivisionError") == 10

    @given(st.text(max_size=300))
    def test_only_the_token_is_the_token(self, guess: str) -> None:
        access = Access(TOKEN, 1)
        assert access.token_is_right(guess) == (guess == TOKEN)
        assert access.cookie_is_right(guess) == (guess == access.cookie)

    def test_the_cookie_stays_good_over_a_restart_and_differs_by_token(self) -> None:
        assert Access(TOKEN, 1).cookie == Access(TOKEN, 1).cookie != Access(TOKEN + "!", 1).cookie


def test_a_report_with_odd_names_and_secrets_is_told_as_text_without_them(served: Served) -> None:
    served.report(
        sinks=[{"name": 'caf\udce9"\n\\ rtsp://u:qxzjvkqx@h/a', "frames": 3}],
        work={"model": "m\udce9\x1b", "size": "64x48", "share": math.nan},
        camera={"state": "lost", "reason": "rtsp://u:qxzjvkqx@h/a is lost\udce9", "password": "qxzjvkqx"},
        fps_now=math.inf,
    )
    for path in ("/status.json", "/metrics", "/healthz"):
        code, _, body = served.get(path)[:3]
        assert code in (200, 503), path
        assert b"qxzjvkqx" not in body
        assert body.decode()
    status = parse_json(served.get("/status.json")[2])
    assert status["sinks"][0]["name"].startswith('caf\\xe9"')
    assert status["work"]["share"] is None
    assert b'quietcam_sink_frames_total{sink="caf\\\\xe9\\"\\n\\\\ rtsp://***@h/a"} 3.0' in served.get("/metrics")[2]
