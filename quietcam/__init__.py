"""quietcam: the floor that all stages stand on."""

from quietcam.limits import limit_opencv

limit_opencv()  # before anything imports OpenCV
