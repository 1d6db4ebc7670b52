"""The recorder: H.264 in segments, in a folder of bounded size."""
