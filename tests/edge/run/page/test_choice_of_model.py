"""A model that a person chooses takes over as at a reload; here, one that fails."""

from __future__ import annotations

import threading

from edge.models import choices, resolve_model
from edge.network.denoiser import Denoiser
from edge.run.reloading import ReloadingDenoiser
from edge.web.controls import RunControls
from tests.small_models import picture
from tests.waiting import until


def test_a_model_that_fails_is_refused_and_the_old_one_goes_on() -> None:
    begun, ends = threading.Event(), threading.Event()

    def load(_: object) -> None:
        begun.set()
        ends.wait()
        raise ValueError("it is broken")

    with Denoiser(resolve_model("demo")) as denoiser:
        reloading = ReloadingDenoiser(denoiser, load)
        controls = RunControls(denoiser, lambda: "a camera")
        controls.offer(choices(), reloading)
        before = controls.describe()["model"]["name"]
        assert not controls.loading
        controls.set_model(controls.models[-1])
        assert controls.loading
        reloading.treat(picture(32, 32))
        reloading.done(0.0)
        begun.wait()
        assert controls.loading
        ends.set()
        until(lambda: not controls.loading)
        assert reloading.error == "it is broken"
        assert controls.describe()["model"]["name"] == before
        reloading.close()
        assert not controls.loading
