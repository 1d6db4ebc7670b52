"""Cameras behind a URL: HTTP, MJPEG, RTSP."""
