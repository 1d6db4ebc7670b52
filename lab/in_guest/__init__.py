"""What runs inside the guest. Each file stands alone there, in /opt/lab, so none imports another one of `lab`.

A probe measures and prints one line of JSON for each thing that it measured; it judges nothing.
"""
