"""A plugin: the tiny network as a run, as a QAT model and converted, and pairs to compare on.

Tests of convert, compare and quietcam.tflite share it. Without TensorFlow each test that asks for one of these skips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from quietcam.data.pictures.files import write_picture
from quietcam.evaluation import Evaluation, Validation, write_evaluation
from quietcam.representative.set import RepresentativeSet
from tests.tiny_network import SIZE, TINY, VIDEO, build_tiny, build_video, noisy_pictures, set_of, with_history

if TYPE_CHECKING:
    from convert.converter import Conversion
    from convert.sources.loaded_model import LoadedModel


def tensorflow() -> Any:
    """TensorFlow; where it is not installed, the test that asks for it skips."""
    return pytest.importorskip("tensorflow", reason="needs the extra 'train'")


@pytest.fixture(scope="session")
def representative() -> RepresentativeSet:
    return set_of(noisy_pictures(16, 32)[0])


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory as training leaves it, as far as conversion reads it."""
    tensorflow()
    run = tmp_path_factory.mktemp("runs") / "tiny"
    run.mkdir()
    build_tiny().save(run / "model.keras")
    validation = Validation(31.5, 25.0, 4)
    data = {"data": "pairs", "licence": "MIT (SIDD)"}
    write_evaluation(run, Evaluation(TINY, round(TINY.gmacs(), 4), TINY.parameters, 0.0, validation, data))
    return run


@pytest.fixture(scope="session")
def loaded(run_folder: Path) -> LoadedModel:
    from convert.sources.keras_model import load_keras

    return load_keras(run_folder)


@pytest.fixture(scope="session")
def conversions(loaded: LoadedModel, representative: RepresentativeSet) -> Mapping[str, Conversion]:
    """By recipe, at 64x64; each is made when it is first asked for."""
    return _conversions(loaded, representative)


@pytest.fixture(scope="session")
def video_set() -> RepresentativeSet:
    """Noisy patches, with the clean ones as their history; in every fourth another scene."""
    noisy, clean = noisy_pictures(16, 32)
    clean[::4] = clean[1::4]
    return with_history(noisy, clean)


@pytest.fixture(scope="session")
def video_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of the tiny video network."""
    tensorflow()
    run = tmp_path_factory.mktemp("runs") / "video"
    run.mkdir()
    build_video().save(run / "model.keras")
    evaluation = Evaluation(VIDEO, round(VIDEO.gmacs(), 4), VIDEO.parameters, 0.0, Validation(31.5, 25.0, 4), {})
    write_evaluation(run, evaluation)
    return run


@pytest.fixture(scope="session")
def video_loaded(video_run: Path) -> LoadedModel:
    from convert.sources.keras_model import load_keras

    return load_keras(video_run)


@pytest.fixture(scope="session")
def video_conversions(video_loaded: LoadedModel, video_set: RepresentativeSet) -> Mapping[str, Conversion]:
    """The tiny video network by recipe, at 64x64; each is made when it is first asked for."""
    return _conversions(video_loaded, video_set)


def _conversions(loaded: LoadedModel, representative: RepresentativeSet) -> Mapping[str, Conversion]:
    from convert.converter import convert_model
    from convert.recipes import get_recipe

    class Conversions(dict[str, "Conversion"]):
        def __missing__(self, name: str) -> Conversion:
            recipe = get_recipe(name)
            self[name] = convert_model(loaded, recipe, width=SIZE, height=SIZE, representative=representative)
            return self[name]

    return Conversions()


@pytest.fixture(scope="session")
def model_files(
    conversions: Mapping[str, Conversion],
    loaded: LoadedModel,
    representative: RepresentativeSet,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Model files with manifests, by recipe."""
    from convert.converter import describe
    from convert.files import write_model

    folder = tmp_path_factory.mktemp("models")
    return {
        name: write_model(
            folder, conversions[name].content, describe(conversions[name], loaded, "tiny", representative)
        )
        for name in ("float32", "int8")
    }


@pytest.fixture(scope="session")
def pair_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pairs of 64x64."""
    folder = tmp_path_factory.mktemp("pairs")
    for index, (noisy, clean) in enumerate(zip(*noisy_pictures(5, SIZE, seed=3), strict=True)):
        write_picture(folder / "noisy" / f"p{index}.png", noisy)
        write_picture(folder / "clean" / f"p{index}.png", clean)
    return folder


@pytest.fixture(scope="session")
def qat_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network with TensorFlow's fake quantization on every activation, and no clip, as QAT is exported."""
    tf = tensorflow()
    import tf_keras as keras

    def at(low: float, high: float) -> Callable[[Any], Any]:
        return lambda x: tf.quantization.fake_quant_with_min_max_args(x, low, high)

    ranges = {"denoise": at(0.0, 1.0), "join0": at(-6.0, 6.0), "rise0": at(-4.0, 4.0), "residual": at(-1.0, 1.0)}

    def wrap(layer: Any) -> Any:
        if layer.name == "clip":
            return lambda x: x
        after = ranges.get(layer.name) or (at(0.0, 6.0) if layer.name.endswith("_relu") else None)
        return (lambda x: after(layer(x))) if after else layer

    inner = build_tiny(wrap)
    noisy = keras.Input((None, None, 3))
    path = tmp_path_factory.mktemp("qat") / "qat.keras"
    keras.Model(noisy, inner(at(0.0, 1.0)(noisy))).save(path)
    return path
