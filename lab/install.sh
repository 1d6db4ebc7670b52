#!/bin/sh
# Runs once inside the guest's root file system, offline: quietcam as docs/how-to/run-as-a-service.md installs it, and
# what the lab itself needs. /opt/given holds the agent, the tiny network and the wheels; without wheels the system stays
# plain, for a card that installs quietcam.
set -eu
given=/opt/given

if [ -f "$given/extras" ]; then
    python3 -m venv --system-site-packages /opt/quietcam
    /opt/quietcam/bin/pip install -q --no-index --find-links "$given" -c "$given/constraints.txt" \
        -r "$given/more.txt" "$(echo "$given"/quietcam-*.whl)[$(cat "$given/extras")]"
    /opt/quietcam/bin/python -P -m edge.service config >/etc/quietcam.toml
    /opt/quietcam/bin/python -P -m edge.service unit >/etc/systemd/system/quietcam.service
fi

mkdir -p /opt/lab /var/log/journal
cp "$given/agent.py" "$given/tiny.tflite" /opt/lab
cat >/etc/systemd/system/lab-agent.service <<'UNIT'
[Unit]
Description=The lab's agent
DefaultDependencies=no
After=local-fs.target systemd-udevd.service

[Service]
ExecStart=/usr/bin/python3 -P /opt/lab/agent.py
Restart=always
OOMScoreAdjust=-900

[Install]
WantedBy=sysinit.target
UNIT
systemctl enable -q lab-agent
systemctl mask -q apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer \
    systemd-networkd-wait-online.service 2>/dev/null || true

echo '/dev/vda / ext4 defaults,errors=remount-ro 0 1' >/etc/fstab
if [ ! -f "$given/extras" ]; then
    mkdir -p /boot/firmware
    echo 'LABEL=CIDATA /boot/firmware vfat defaults 0 2' >>/etc/fstab
fi
echo lab >/etc/hostname
echo '127.0.0.1 localhost lab' >/etc/hosts
passwd -q -d root

# A small initrd: emulation reads it byte by byte.
echo 'MODULES=list' >/etc/initramfs-tools/conf.d/lab
printf 'virtio_pci\nvirtio_blk\next4\n' >>/etc/initramfs-tools/modules
update-initramfs -u -k all >/dev/null 2>&1
rm -rf "$given" /root/.cache /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
