#!/usr/bin/env bash
# The device's installation and its tests on arm64. On an arm64 machine: in its own environment, as the present user.
# Elsewhere: in a Debian trixie under qemu-user, which shows whether it works, but not how fast.
#
#   make arm64                       or: PYTHON=.venv/bin/python lab/arm64.sh [--no-tests] [--dry-run] [GOLDEN]
#
# GOLDEN is a folder that `lab/golden_frame.py write` filled on another machine; under emulation it is written here.
# It installs the wheel with its extra `test-edge` from binary wheels alone, compares the pixels of the shipped models with
# the golden frame's and with those in their manifests (doctor), denoises a folder with the command line, and runs what
# `make test-edge` runs. Nothing is written into this folder.
#
# Emulation takes one to two hours the first time, and needs sudo, a network, and:
# apt-get install qemu-user-static binfmt-support debootstrap. The system stays in /var/cache/quietcam-arm64
# (ARM64_ROOT=folder selects another place, on a file system that allows devices; MIRROR=URL another Debian mirror).
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1
python=${PYTHON:-python3}
root=${ARM64_ROOT:-/var/cache/quietcam-arm64}
suite=trixie
guest_python=3.13 # trixie's
packages=python3,gcc,libc6-dev

say() { echo "arm64: $*"; }
fail() {
    echo "arm64: $*" >&2
    exit 1
}
usage() {
    echo "arm64: $*. Remedy: lab/arm64.sh [--no-tests] [--dry-run] [GOLDEN]" >&2
    exit 2
}

tests=yes dry=no golden=
for word in "$@"; do
    case $word in
        --no-tests) tests=no ;;
        --dry-run) dry=yes ;;
        -*) usage "There is no option $word" ;;
        *)
            [ -z "$golden" ] || usage "One folder of golden frames is enough. Received: $golden, $word"
            golden=$(realpath -m "$word")
            ;;
    esac
done
[ -z "$golden" ] || [ -f "$golden/noisy.png" ] ||
    usage "A folder that lab/golden_frame.py filled holds noisy.png. Received: $golden"
[ -z "${SUDO_USER:-}" ] ||
    fail "This script calls sudo itself if it needs root, so that your files stay yours. Remedy: run it without sudo"

native=no
[ "$(uname -m)" != aarch64 ] || native=yes
if [ $native = no ]; then
    for tool in debootstrap qemu-aarch64-static update-binfmts; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$tool" > /dev/null ||
            fail "$tool is missing. Remedy: apt-get install qemu-user-static binfmt-support debootstrap"
    done
fi

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

work=$(mktemp -d)
mounts=()
end() {
    for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do as_root umount "${mounts[i]}" || as_root umount --lazy "${mounts[i]}"; done
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM

# What is tested: the files that git knows or would take, as they are now.
tree() { git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar --null --files-from=- -cf -; }

wheel() {
    say "the wheel and what it needs, as binary wheels"
    mkdir -p "$work/source" "$work/wheel"
    tree | tar -xf - -C "$work/source"
    "$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/wheel" "$work/source"
    wanted=$(echo "$work"/wheel/*.whl)
}

on_this_machine() {
    say "this is an arm64 machine: no emulation"
    [ $dry = no ] || return 0
    wheel
    "$python" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --only-binary=:all: -c constraints.txt "${wanted}[test-edge]"
    mkdir "$work/run"
    cp -r "$work/source/tests" "$work/source/lab" "$work/source/pyproject.toml" "$work/run"
    [ -z "$golden" ] || cp -r "$golden" "$work/golden"
    inside() { (cd "$work/run" && PATH=$work/venv/bin:$PATH exec "$@"); }
    place=$work
    check
}

emulated() {
    say "this is $(uname -m): a Debian $suite for arm64 in $root"
    [ $dry = no ] || return 0
    mountpoint -q /proc/sys/fs/binfmt_misc || as_root mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc ||
        fail "The kernel must allow binfmt_misc. Remedy: run this outside of a container, or in a privileged one"
    as_root update-binfmts --enable qemu-aarch64
    if [ ! -e "$root/.ready" ]; then
        say "the system itself (minutes)"
        as_root rm -rf "$root"
        as_root mkdir -p "$root"
        as_root debootstrap --foreign --arch=arm64 --variant=minbase --include=$packages "$suite" "$root" ${MIRROR:+"$MIRROR"}
        as_root cp "$(command -v qemu-aarch64-static)" "$root/usr/bin/"
        as_root chroot "$root" /debootstrap/debootstrap --second-stage
        as_root touch "$root/.ready"
    fi
    wheel
    platforms=()
    for glibc in 17 24 26 27 28 31 34 35; do platforms+=(--platform "manylinux_2_${glibc}_aarch64"); done
    "$python" -m pip install --quiet --target "$work/packages" "${platforms[@]}" --platform manylinux2014_aarch64 \
        --python-version "$guest_python" --implementation cp --only-binary=:all: -c constraints.txt "${wanted}[test-edge]"
    mkdir "$work/run"
    cp -r "$work/source/tests" "$work/source/lab" "$work/source/pyproject.toml" "$work/run"
    if [ -n "$golden" ]; then
        cp -r "$golden" "$work/golden"
    else
        say "the golden frame, on this machine"
        PYTHONPATH=. "$python" lab/golden_frame.py write "$work/golden"
    fi
    as_root rm -rf "$root/opt/quietcam"
    as_root cp -r "$work" "$root/opt/quietcam"
    mounted proc -t proc
    # Older qemu shows the host's processor there, and LiteRT, which looks for arm64's features, ends with SIGSEGV.
    processor 0 > "$work/cpuinfo"
    processor 1 >> "$work/cpuinfo"
    as_root mount --bind "$work/cpuinfo" "$root/proc/cpuinfo"
    mounts+=("$root/proc/cpuinfo")
    mounted sys -t sysfs -o ro
    mounted tmp -t tmpfs
    mounted dev/shm -t tmpfs
    inside() {
        as_root chroot "$root" /usr/bin/env --chdir=/opt/quietcam/run QEMU_CPU=cortex-a76 HOME=/root PYTHONPATH=/opt/quietcam/packages:. \
            PYTHONDONTWRITEBYTECODE=1 "${@/#python/python3}"
    }
    place=/opt/quietcam
    check
}

# A core of /proc/cpuinfo, as a Raspberry Pi 5 shows it (Cortex-A76). Its number.
processor() {
    printf '%s\t: %s\n' processor "$1" 'CPU implementer' 0x41 'CPU architecture' 8 'CPU variant' 0x4 'CPU part' 0xd0b \
        'CPU revision' 1 Features 'fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp'
    echo
}

mounted() {
    as_root mkdir -p "$root/$1"
    as_root mount "${@:2}" "quietcam-$(basename "$1")" "$root/$1"
    mounts+=("$root/$1")
}

check() {
    inside python -c 'import platform, sys; print("arm64:", platform.machine(), sys.version.split()[0])'
    inside python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("tensorflow") is not None)' ||
        fail "TensorFlow must not come with the extra edge."
    if [ -d "$work/golden" ]; then
        inside python lab/golden_frame.py check "$place/golden"
    else
        say "no golden frame of another machine was given; those in the models' manifests are checked by doctor"
    fi
    # Exit code 1 of doctor: something is broken, as no camera in a container. The pixels must be right.
    inside python -P -m quietcam doctor --json "$place/doctor.json" || [ $? = 1 ]
    inside python -c 'import json, sys; found = json.load(open(sys.argv[1]))["findings"]
sys.exit(not [each for each in found if each["subject"] == "models" and each["severity"] == "ok"])' "$place/doctor.json" ||
        fail "doctor must find that the models give the pixels that they should."
    inside python -c 'import sys; from quietcam.data.generated import write_pairs; from pathlib import Path
write_pairs(Path(sys.argv[1]), count=2, size=256)' "$place/pairs"
    inside python -P -m quietcam run --source "$place/pairs/noisy" --sink "$place/denoised"
    inside ls -l "$place/denoised"
    [ $tests = no ] || inside python -m pytest -p no:cacheprovider -m 'not slow' tests/edge tests/quietcam
}

if [ $native = yes ]; then on_this_machine; else emulated; fi
if [ $dry = yes ]; then say "all that it needs is here"; else say "all of it holds"; fi
