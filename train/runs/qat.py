"""Quantization-aware training of a run's network, so that it is ready for int8."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tf_keras as keras

from quietcam.evaluation import QuantizationAwareTraining
from train.config import RunConfig
from train.patches.dark_flats import dark_flats
from train.patches.measured import patches_to_measure
from train.patches.sets import TrainingData
from train.precision import choose_precision
from train.qat import export, fit_ranges, quantizable
from train.run_directory.read import TrainedRun
from train.runs.even_phases import even_phases
from train.runs.fine_tune import FineTuning, fine_tune
from train.runs.finish import mean_psnr

__all__ = ["train_for_int8"]


def train_for_int8(
    source: Path, config: RunConfig, data: TrainingData, run: Path, *, resume: bool = False, overwrite: bool = False
) -> keras.Model:
    """Train the network of the run ``source`` further with fake quantization, into the run directory ``run``.

    Weights that are zero in ``source`` stay zero. ``history.csv`` has the PSNR of the averaged weights, rounded with
    the steps of the current weights; ``evaluation.json`` has that of the written network, whose weights are in whole
    steps.

    Returns:
        The network that was written: the plain network with its ranges.

    Raises:
        UsageError, ModelError, StorageError: as ``fine_tune``.
    """

    def prepare(begun: TrainedRun, model: keras.Model) -> FineTuning:
        before = round(mean_psnr(model, data), 3)
        seed = config.training.seed + 4
        keras.utils.set_random_seed(seed)
        measured = patches_to_measure(data, config, model)
        scaled, ranges = fit_ranges(config.model, model, measured.crops.noisy, measured.history)
        precision = choose_precision(config.training.precision)
        quantized = quantizable(config.model, scaled, ranges, precision)

        def finish() -> keras.Model:
            plain = export(config.model, quantized, ranges)
            even_phases(config.model, plain, dark_flats(config.model.channels, config.model.stem))
            return plain

        return FineTuning(
            "qat",
            "qat",
            config,
            quantized,
            export=finish,
            treatments=replace(
                begun.evaluation.treatments, quantization_aware_training=QuantizationAwareTraining(ranges, before)
            ),
            seed=seed,
            precision=precision,
            average=config.training.average,
            # Muon would fill the weights that are zero, whose gradients are zero, too.
            optimizer=keras.optimizers.Adam,
        )

    return fine_tune(source, data, run, prepare, resume=resume, overwrite=overwrite)
