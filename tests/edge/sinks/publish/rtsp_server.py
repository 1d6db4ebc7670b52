"""A real RTSP server to publish to, by GStreamer: run by the system's Python. PORT LOGIN CERTIFICATE, of which the last
two may be "-". It prints a line for each frame: its width, its height, and its first pixel.
"""

import sys
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = (
    "( rtph264depay name=depay0 ! h264parse ! avdec_h264 ! videoconvert ! video/x-raw,format=RGB "
    "! fakesink name=sink signal-handoffs=true sync=false )"
)


def show(_: Any, buffer: Any, pad: Any) -> None:
    content = buffer.map(Gst.MapFlags.READ)[1]
    caps = pad.get_current_caps().get_structure(0)
    print("frame", caps.get_value("width"), caps.get_value("height"), *content.data[:3], flush=True)
    buffer.unmap(content)


def configure(_: Any, media: Any) -> None:
    media.get_element().get_by_name("sink").connect("handoff", show)


def main(port: str, login: str, certificate: str) -> None:
    Gst.init(None)
    Gst.parse_launch("avdec_h264 ! fakesink")
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(LAUNCH)
    factory.connect("media-configure", configure)
    auth = GstRtspServer.RTSPAuth()
    if login != "-":
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*login.split(":")), token)
        rights = "user, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
        factory.add_role_from_structure(Gst.Structure.from_string(rights)[0])
    if certificate != "-":
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    if (login, certificate) != ("-", "-"):
        server.set_auth(auth)
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit("the port is taken")
    print("up", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
