"""Training and pruning of the denoiser, with tf_keras."""

import os

# Set before TensorFlow is imported: its log messages are of no use here, and tfmot must find tf_keras, not Keras 3.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
