"""Videos as sinks: clips and segments on a disk, streams to a server; H.264 by PyAV, else what OpenCV can write."""
