"""Publishing: H.264 to a server that others watch, by RTSP, RTMP or SRT."""
