#!/bin/sh
# quietcam: installs this camera from the boot partition, without a network. quietcam-first-boot.service runs it as root
# at each boot; it returns at once if what this card holds is installed. It ends in a running service, or with a reason
# in first-boot.txt beside it. The LED of the board blinks fast while it works, and slowly if it failed.
set -eu
export LC_ALL=C.UTF-8 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_CONFIG_FILE=/dev/null

card=$(cd "$(dirname "$0")" && pwd)
root=${QUIETCAM_ROOT:-} # of a test; empty on a device
card_id='' packages_id='' system='' python_version='' architecture='' token_on_card=''
# shellcheck source=/dev/null
. "$card/settings" # gives these their values

home=$root/opt/quietcam    # a link to the environment in use
environment=$home-$packages_id # the one of this card
log=$root/var/log/quietcam-first-boot.log
mark=$root/var/lib/quietcam-card/installed
units=$root/etc/systemd/system
step="0 of 6"
led_before=

say() {
  echo "quietcam: $*"
  echo "quietcam: $*" >>"$log"
}

# Write a file whole or not at all. FAT knows no modes: only on other disks does the umask count.
keep() {
  cat >"$1.new"
  sync "$1.new" 2>/dev/null || sync
  mv -f "$1.new" "$1"
}

# led fast|slow|back: the activity LED, where there is one. It never fails.
led() {
  for name in ACT led0; do
    place=$root/sys/class/leds/$name
    [ -w "$place/trigger" ] || continue
    if [ -z "$led_before" ]; then
      led_before=$(sed -n 's/.*\[\([^]]*\)\].*/\1/p' "$place/trigger" 2>/dev/null) || :
    fi
    case $1 in
      fast) blink "$place" 100 ;;
      slow) blink "$place" 1000 ;;
      back) echo "${led_before:-none}" >"$place/trigger" || : ;;
    esac
    return 0
  done 2>/dev/null
}

blink() {
  echo timer >"$1/trigger" || :
  echo "$2" >"$1/delay_on" || :
  echo "$2" >"$1/delay_off" || :
}

# begin NUMBER WHAT: the step is named on the console, in the log, and on the card in case the power fails.
begin() {
  step="$1 of 6, $2"
  say "step $step"
  printf 'quietcam is being installed. Step %s.\nIf this text stays, the power failed here: the next boot goes on.\n' \
    "$step" | keep "$card/first-boot.txt"
}

# fail REASON REMEDY: end with a text that a person reads on any computer.
fail() {
  trap - EXIT
  say "not installed: $1. Remedy: $2"
  {
    printf 'quietcam is not installed.\n\nStep: %s\nReason: %s\nRemedy: %s\n\n' "$step" "$1" "$2"
    printf 'The next boot tries again. The last lines of the log:\n\n'
    tail -n 20 "$log"
  } | keep "$card/first-boot.txt" || :
  led slow
  sync
  exit 1
}

unexpected() {
  [ "$1" -eq 0 ] || fail "a command ended with code $1" "read the lines below"
}

# logged REASON REMEDY COMMAND…: run a command whose output goes into the log.
logged() {
  reason=$1 remedy=$2
  shift 2
  "$@" >>"$log" 2>&1 || fail "$reason" "$remedy"
}

check() {
  [ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "this script needs root" "sudo sh $card/first-boot.sh"
  command -v python3 >/dev/null || fail "the system has no python3" "use Raspberry Pi OS"
  found=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  [ "$found" = "$python_version" ] ||
    fail "the card is for $system with Python $python_version, this system has $found" \
      "on the desktop: quietcam card fetch and quietcam card prepare for this system"
  if command -v dpkg >/dev/null; then
    found=$(dpkg --print-architecture)
    [ "$found" = "$architecture" ] ||
      fail "the card is for $system ($architecture), this system is $found" \
        "on the desktop: quietcam card fetch and quietcam card prepare for this system"
  fi
  python3 -c 'import ensurepip, venv' 2>/dev/null ||
    fail "python3 lacks the module venv" "use Raspberry Pi OS, or install python3-venv"
  if [ -e "$home" ] && [ ! -L "$home" ]; then
    fail "$home exists, and this card did not make it" "move it away: mv $home $home.old"
  fi
}

install_packages() {
  begin 2 "make an environment that sees the system's picamera2"
  rm -rf "$environment"
  logged "python3 -m venv failed" "is the disk full? The lines below say more" \
    python3 -m venv --system-site-packages "$environment"
  begin 3 "install the packages"
  logged "pip did not install the packages" "is the disk full, or the card damaged? The lines below say more" \
    "$environment/bin/python" -m pip install --no-index --find-links "$card/wheels" --no-cache-dir --no-deps \
    --ignore-installed --require-hashes --requirement "$card/requirements.txt"
  logged "quietcam does not start" "the lines below say why" "$environment/bin/python" -P -m quietcam --version
  sync
  touch "$environment/.complete"
}

write_settings() {
  config=$root/etc/quietcam.toml
  if [ -f "$config" ] && ! cmp -s "$config" "$card/quietcam.toml"; then
    cp -p "$config" "$config.before-card"
  fi
  keep "$config" <"$card/quietcam.toml"
  chmod 644 "$config"

  secrets=$root/etc/quietcam.env
  if ! grep -q '^QUIETCAM_TOKEN=.' "$secrets" 2>/dev/null; then
    token=$("$environment/bin/python" -P -c 'from edge.web.access import new_token; print(new_token())')
    (
      umask 077
      rm -f "$secrets.new"
      { [ ! -f "$secrets" ] || cat "$secrets"; } >"$secrets.new"
      printf 'QUIETCAM_TOKEN=%s\n' "$token" >>"$secrets.new"
      mv -f "$secrets.new" "$secrets"
    )
  fi
  chmod 600 "$secrets"
  if [ "$token_on_card" = yes ]; then
    sed -n 's/^QUIETCAM_TOKEN=//p' "$secrets" | keep "$card/token.txt"
  fi
}

# What the device asks for newer models, and whose signatures count. Both may be public.
write_release() {
  [ -f "$card/root.json" ] || return 0
  keep "$root/etc/quietcam-root.json" <"$card/root.json"
  sed "s|@CARD@|$card|g" "$card/update.env" | keep "$root/etc/quietcam-update.env"
  chmod 644 "$root/etc/quietcam-root.json" "$root/etc/quietcam-update.env"
}

write_unit() {
  unit=$("$home/bin/python" -P -m edge.service "$1")
  printf '%s\n' "$unit" | keep "$units/$2"
}

install_unit() {
  ln -sfn "$(basename "$environment")" "$home.new"
  mv -fT "$home.new" "$home"
  write_unit unit quietcam.service
  mkdir -p "$units/multi-user.target.wants"
  ln -sf ../quietcam.service "$units/multi-user.target.wants/quietcam.service"
  if [ -f "$card/root.json" ]; then
    write_unit update quietcam-update.service
    write_unit update-timer quietcam-update.timer
    mkdir -p "$units/timers.target.wants"
    ln -sf ../quietcam-update.timer "$units/timers.target.wants/quietcam-update.timer"
  fi
}

# Wait until the service runs. It asks systemd for more time by itself while it loads.
start_service() {
  systemctl daemon-reload
  systemctl restart --no-block quietcam.service
  waited=0
  until [ "$(systemctl is-active quietcam.service)" = active ]; do
    restarts=$(systemctl show --property NRestarts --value quietcam.service)
    if [ "${restarts:-0}" -ge 2 ] || [ "$waited" -ge 1800 ]; then
      journalctl --unit quietcam.service --lines 20 --no-pager --output cat >>"$log" 2>&1 || :
      fail "the service does not start" "the lines below say why; on the device: journalctl -u quietcam"
    fi
    sleep 2
    waited=$((waited + 2))
  done
  if [ -f "$card/root.json" ]; then # the first look for newer models is now, and in the background
    systemctl start --no-block quietcam-update.timer quietcam-update.service
  fi
}

finish() {
  mkdir -p "$(dirname "$mark")"
  echo "$card_id" | keep "$mark"
  for old in "$home"-????????????????; do
    [ "$old" = "$environment" ] || [ ! -d "$old" ] || rm -rf "$old"
  done
  {
    printf 'quietcam is installed.\n\nService: %s\n' "$1"
    printf 'Token of the page: %s\n' "$2"
    printf '\nWhat quietcam doctor says about this device:\n\n'
    timeout 300 "$home/bin/python" -P -m quietcam doctor 2>&1 | tail -n 40 || :
  } | keep "$card/first-boot.txt"
  say "installed: $1"
  led back
  sync
}

if [ -d "$home" ] && [ "$(cat "$mark" 2>/dev/null)" = "$card_id" ]; then
  echo "quietcam: installed already"
  exit 0
fi
mkdir -p "$(dirname "$log")" "$root/etc" "$root/opt" "$units"
: >"$log"
trap 'unexpected $?' EXIT
led fast

begin 1 "check this system"
check
if [ -f "$environment/.complete" ]; then
  say "the packages are installed already"
else
  install_packages
fi
begin 4 "write the configuration and the token"
write_settings
write_release
begin 5 "install the service"
install_unit
begin 6 "start the service"
if [ -S /run/systemd/private ] && [ -z "$root" ]; then # systemd runs here
  start_service
  service="running: $(systemctl show --property StatusText --value quietcam.service)"
else
  service="installed; it starts with the next boot, since systemd does not run here"
fi
if [ "$token_on_card" = yes ]; then
  place="in token.txt beside this file; delete that file once you have read it"
else
  place="on the device: sudo cat /etc/quietcam.env"
fi
finish "$service" "$place"
trap - EXIT
