#!/bin/sh
# quietcam: run once by the first boot of the system (cloud-init, or firstrun.sh). It installs a unit that runs
# first-boot.sh at this boot and at later ones: so an installation that a power cut interrupted goes on.
# Usage: start.sh [later]    later: at the next boot, not now.
set -eu

card=$(cd "$(dirname "$0")" && pwd)
root=${QUIETCAM_ROOT:-} # of a test; empty on a device
units=$root/etc/systemd/system
name=quietcam-first-boot.service
enable_ssh=''
# shellcheck source=/dev/null
. "$card/settings"

mkdir -p "$units/multi-user.target.wants"
sed "s|@CARD@|$card|g" "$card/$name" >"$units/.$name.new"
mv "$units/.$name.new" "$units/$name"
ln -sf "../$name" "$units/multi-user.target.wants/$name"
sync

if [ -S /run/systemd/private ] && [ -z "$root" ]; then # systemd runs here
  if [ "$enable_ssh" = yes ]; then
    systemctl enable --now --no-block ssh.service || echo "quietcam: the SSH server was not started" >&2
  fi
  systemctl daemon-reload
  if [ "${1:-}" != later ]; then
    systemctl start --no-block "$name"
  fi
fi
