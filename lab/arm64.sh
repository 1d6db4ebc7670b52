#!/usr/bin/env bash
# The device's installation on arm64: Debian trixie under qemu-user, right for function and useless for speed.
#
#   sudo make arm64                  or: PYTHON=.venv/bin/python lab/arm64.sh
#
# Needs root, a network, and: apt-get install qemu-user-static binfmt-support debootstrap. Takes up to an hour the first
# time; the system stays in .cache/arm64 (ARM64_ROOT=folder chooses another place, on a file system that allows devices).
# It installs the wheel with its extra `edge` from binary wheels alone, runs the shipped models on a golden frame and
# holds the pixels against this machine's, and denoises a folder with the command line.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${ARM64_ROOT:-$PWD/.cache/arm64}
python=${PYTHON:-python3}
suite=trixie
guest_python=3.13  # trixie's

say() { echo "arm64: $*"; }
fail() { echo "arm64: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "A system for another processor is set up by root. Remedy: sudo make arm64"
for tool in debootstrap qemu-aarch64-static update-binfmts; do
    command -v "$tool" > /dev/null ||
        fail "$tool is missing. Remedy: apt-get install qemu-user-static binfmt-support debootstrap"
done

if [ "$(uname -m)" != aarch64 ]; then
    mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc ||
        fail "The kernel must allow binfmt_misc. Remedy: run this outside of a container, or in a privileged one"
    update-binfmts --enable qemu-aarch64
fi

if [ ! -e "$root/.ready" ]; then
    say "a Debian $suite for arm64 in $root (minutes)"
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --foreign --arch=arm64 --variant=minbase --include=python3 "$suite" "$root" ${MIRROR:+"$MIRROR"}
    cp "$(command -v qemu-aarch64-static)" "$root/usr/bin/"
    chroot "$root" /debootstrap/debootstrap --second-stage
    touch "$root/.ready"
fi

say "the wheel and what it needs, as binary wheels for arm64"
rm -rf "$root/opt/quietcam" "$root/opt/wheel" "$root/opt/golden"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$root/opt/wheel" .
platforms=()
for glibc in 17 24 26 27 28 31 34 35; do platforms+=(--platform "manylinux_2_${glibc}_aarch64"); done
"$python" -m pip install --quiet --target "$root/opt/quietcam" "${platforms[@]}" --platform manylinux2014_aarch64 \
    --python-version "$guest_python" --implementation cp --only-binary=:all: -c constraints.txt \
    "$(echo "$root"/opt/wheel/*.whl)[edge]"

say "the golden frame"
"$python" lab/golden_frame.py write "$root/opt/golden"
cp lab/golden_frame.py "$root/opt/"
inside() { chroot "$root" /usr/bin/env PYTHONPATH=/opt/quietcam PYTHONDONTWRITEBYTECODE=1 "$@"; }
inside python3 -c 'import platform, sys; print("arm64:", platform.machine(), sys.version.split()[0])'
inside python3 /opt/golden_frame.py check /opt/golden
inside python3 -c 'import importlib.util as u, sys; sys.exit(u.find_spec("tensorflow") is not None)' ||
    fail "TensorFlow must not come with the extra edge."
inside sh -c 'cd /tmp && rm -rf in out && mkdir in && cp /opt/golden/noisy.png in/ &&
    python3 -m quietcam run --source in --sink out && ls -l out'
say "all of it holds"
