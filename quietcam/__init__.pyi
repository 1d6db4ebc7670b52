from calibration.choose import calibrate as calibrate
from compare.api import compare as compare
from convert.api import convert as convert
from edge.cameras import open_camera as open_camera
from edge.network.denoiser import Denoiser as Denoiser
from edge.run.frame import Frame as Frame
from edge.run.options import RunOptions as RunOptions
from edge.run.session import Session as Session
from edge.run.session import open_session as open_session
from edge.sinks.base import Sink as Sink
from quietcam.data.clips.clip import load_clips as load_clips
from quietcam.data.load import load_pairs as load_pairs
from quietcam.errors import DataError as DataError
from quietcam.errors import DeviceError as DeviceError
from quietcam.errors import GateError as GateError
from quietcam.errors import JsonError as JsonError
from quietcam.errors import MissingExtraError as MissingExtraError
from quietcam.errors import ModelError as ModelError
from quietcam.errors import QuietcamError as QuietcamError
from quietcam.errors import StoppedError as StoppedError
from quietcam.errors import StorageError as StorageError
from quietcam.errors import UpdateError as UpdateError
from quietcam.errors import UsageError as UsageError
from quietcam.metrics import psnr as psnr
from quietcam.metrics import ssim as ssim
from quietcam.representative.lint import lint as lint
from train.runs.prune import prune as prune
from train.runs.train import train as train

__all__: list[str]
__version__: str
