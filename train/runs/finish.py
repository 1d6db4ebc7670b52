"""Finishes a run: measures its network, and writes the config, the network and ``evaluation.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tf_keras as keras

from quietcam.evaluation import Evaluation, SetScore, Treatments, Validation, write_evaluation
from quietcam.files.atomic import atomic_path, write_text
from quietcam.quality.worse import worse_than_noisy
from quietcam.terminal.log import log
from train.config import RunConfig, dump_config
from train.evaluation.validation import Denoise, inference, validate
from train.patches.clips import ClipCrops
from train.patches.kinds import AnyCrops
from train.patches.sets import TrainingData
from train.pruning.magnitude import sparsity
from train.run_directory.chain import Beginning, tell_run
from train.run_directory.history import HistoryRow
from train.run_directory.origin import add_earlier, add_licenses
from train.run_directory.read import TrainedRun

__all__ = ["finish_run", "mean_psnr"]

_TOOLS = ("quietcam", "tensorflow", "tf_keras", "tensorflow-model-optimization")


def finish_run(
    run: Path,
    model: keras.Model,
    data: TrainingData,
    config: RunConfig,
    treatments: Treatments,
    beginning: Beginning,
    rows: Sequence[HistoryRow],
) -> None:
    """Write the config, the model and ``evaluation.json``; warn about each data set that the network makes worse.

    Args:
        model: the plain network, or the network with its ranges.
        treatments: what was done to the network.
        beginning: what the run began with. rows: its lines of ``history.csv``.

    Raises:
        StorageError: a file cannot be written.
    """
    write_text(run / "config.toml", dump_config(config))
    with atomic_path(run / "model.keras") as temporary:
        model.save(temporary, overwrite=True, save_format="keras")
    denoise = inference(model)
    scores = {
        name: SetScore(
            round(validate(denoise, crops), 3), data.origin["noisy_by_set"][name], _without_history(denoise, crops)
        )
        for name, crops in data.validation.items()
    }
    for sentence in worse_than_noisy({name: (score.psnr, score.noisy_psnr) for name, score in scores.items()}):
        log.warning(sentence)
    tools = {name: version(name) for name in _TOOLS}
    psnr = round(float(np.mean([score.psnr for score in scores.values()])), 3)
    network = TrainedRun(run).sha256
    runs = tell_run(beginning, config, rows, psnr=psnr, network=network, data=data.origin, tools=tools)
    evaluation = Evaluation(
        architecture=config.model,
        gmacs_256=round(config.model.gmacs(), 4),
        parameters=config.model.parameters,
        sparsity=round(sparsity(model), 4),
        validation=Validation(
            psnr=psnr,
            noisy_psnr=data.origin["noisy_validation_psnr"],
            crops=data.origin["validation_crops"],
            by_set=scores,
        ),
        data=add_licenses(add_earlier(data.origin, beginning.earlier), runs) | {"runs": runs},
        extra_noise=asdict(config.noise),
        tools=tools,
        treatments=treatments,
    )
    write_evaluation(run, evaluation)


def _without_history(denoise: Denoise, crops: AnyCrops) -> float | None:
    if not isinstance(crops, ClipCrops):
        return None
    frames = [each[index : index + 1] for each in crops.sequences for index in range(len(each))]
    return round(validate(denoise, ClipCrops(frames, [])), 3)


def mean_psnr(network: keras.Model | Denoise, data: TrainingData) -> float:
    """PSNR in dB on the validation crops, the mean over their sets.

    Args:
        network: a model, or its graph from ``inference``, which is faster if used repeatedly.
    """
    denoise = inference(network) if isinstance(network, keras.Model) else network
    return float(np.mean([validate(denoise, crops) for crops in data.validation.values()]))
