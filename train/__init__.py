"""Training and pruning of the denoiser, with tf_keras."""

import os

# Before TensorFlow is imported: its chatter helps nobody, and tfmot must find tf_keras, not Keras 3.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
