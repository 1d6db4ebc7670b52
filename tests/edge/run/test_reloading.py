"""A model that is replaced while frames run, or refused."""

from __future__ import annotations

import threading

import pytest

from edge.run.pipeline import Pipeline
from edge.run.reloading import ReloadingDenoiser
from quietcam.errors import ModelError
from quietcam.image import Image
from tests.edge.run.parts import Collector, Endless, Numbers, PlusOne, in_background
from tests.waiting import WAIT, until

pytestmark = pytest.mark.usefixtures("nothing_is_stale", "no_thread_is_left")


def test_a_network_that_fails_right_after_a_reload_lets_live_frames_pass_too() -> None:
    class Breaks(PlusOne):
        broken = False

        def reload(self, model: object) -> None:
            if model == "crash":
                raise RuntimeError("no error of ours")
            self.broken = True

        def denoise(self, noisy: Image, out: Image | None = None) -> Image:
            if self.broken:
                raise ValueError("no error of ours")
            return super().denoise(noisy, out)

    sink = Collector()
    network = Breaks()
    reloading = ReloadingDenoiser(network, network.reload)
    pipeline = Pipeline(Endless(), reloading, [sink])
    thread = in_background(pipeline)
    until(lambda: len(sink.taken) > 3)
    reloading.request("crash")
    until(lambda: reloading.error == "no error of ours")
    reloading.request("other")
    until(lambda: any(noisy == denoised for _, noisy, denoised in list(sink.taken)))
    pipeline.stop()
    thread.join(WAIT)
    reloading.close()
    assert not thread.is_alive()


def test_a_reload_between_two_frames_and_one_that_is_refused() -> None:
    class Reloads(PlusOne):
        model: object = "one"

        def reload(self, model: object) -> None:
            if model == "garbage":
                raise ModelError("not a model")
            self.model = model

    denoiser, sink = Reloads(), Collector()
    reloading = ReloadingDenoiser(denoiser, denoiser.reload)
    pipeline = Pipeline(Endless(), reloading, [sink])
    thread = in_background(pipeline)
    reloading.request("garbage")
    until(lambda: pipeline.health.report()["reload"] == {"count": 0, "error": "not a model"})
    taken = len(sink.taken)
    until(lambda: len(sink.taken) > taken)
    reloading.request("two")
    until(lambda: pipeline.health.report()["reload"] == {"count": 1, "error": None})
    assert denoiser.model == "two"
    pipeline.stop()
    thread.join(WAIT)
    reloading.close()


@pytest.mark.parametrize("first", ["good", "bad"])
def test_a_refusal_is_shown_also_when_a_reload_that_was_asked_for_before_it_ends_after_it(first: str) -> None:
    begun, go_on = threading.Event(), threading.Event()
    ended: list[object] = []

    class Slow(PlusOne):
        def reload(self, model: object) -> None:
            begun.set()
            go_on.wait(WAIT)
            ended.append(model)
            if model == "bad":
                raise ModelError("not a model")

    network = Slow()
    reloading = ReloadingDenoiser(network, network.reload)
    pipeline = Pipeline(Endless(), reloading, [Collector()])
    thread = in_background(pipeline)
    reloading.request(first)
    assert begun.wait(WAIT)
    reloading.refuse("no such file")
    go_on.set()
    until(lambda: ended and not reloading._thread.is_alive())
    count = int(first == "good")
    assert pipeline.health.report()["reload"] == {"count": count, "error": "no such file"}
    reloading.request("next")
    until(lambda: pipeline.health.report()["reload"] == {"count": count + 1, "error": None})
    pipeline.stop()
    thread.join(WAIT)
    reloading.close()


def test_a_model_is_replaced_also_while_no_frames_come() -> None:
    loaded = threading.Event()

    def before(index: int) -> None:
        if index == 1:  # frame 0 is denoised, and no other frame comes before the model is there
            until(lambda: bool(sink.taken))
            reloading.request("another.tflite")
            assert loaded.wait(WAIT), "the reload waits for a frame"

    sink = Collector()
    reloading = ReloadingDenoiser(PlusOne(), lambda _: loaded.set())
    Pipeline(Numbers(2, before=before), reloading, [sink]).run()
    reloading.close()
    assert reloading.count == 1
