"""A real RTSP server, by GStreamer: run by the system's Python, which has its bindings. PORT CODEC WIDTH."""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

CODECS = {
    "h264": "x264enc tune=zerolatency key-int-max=10 ! rtph264pay name=pay0 pt=96",
    "jpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}


def main(port: str, codec: str, width: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=red "
        f"! video/x-raw,format=I420,width={width},height=48,framerate=30/1 ! {CODECS[codec]} )"
    )
    factory.set_shared(True)
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        sys.exit("the port is taken")
    # Only the first client would show that a stream cannot be made.
    Gst.parse_launch(f"videotestsrc num-buffers=1 ! {CODECS[codec]} ! fakesink")
    print("up", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
