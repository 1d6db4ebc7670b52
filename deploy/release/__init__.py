"""What a publisher does: a signed release of bundles on any static web server, folder or USB stick."""
