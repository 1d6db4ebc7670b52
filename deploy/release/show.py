"""What a release holds, as plain values: roles, bundles, channels."""

from __future__ import annotations

from typing import Any

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from deploy.release.repository import ROLES, Repository
from edge.update.channel import parse_channel

__all__ = ["describe_release"]

_KINDS: dict[str, Any] = {"root": Root, "targets": Targets, "snapshot": Snapshot, "timestamp": Timestamp}


def describe_release(repository: Repository) -> dict[str, Any]:
    """Roles with version, end and keys; bundles; the offers of each channel and device.

    Drafts are described where there are some: ``missing`` is the number of signatures that they lack.
    """
    root = repository.root
    roles = []
    for role in ROLES:
        metadata = repository.newest(role, _KINDS[role])
        is_draft = repository.draft(role, _KINDS[role]) is not None
        roles.append(
            {
                "role": role,
                "version": metadata.signed.version,
                "expires": f"{metadata.signed.expires:%Y-%m-%d}",
                "keys": list(root.roles[role].keyids),
                "threshold": root.roles[role].threshold,
                "draft": is_draft,
                "missing": repository.missing(role) if is_draft else 0,
            }
        )
    targets = repository.targets.targets
    bundles = [
        {"bundle": path.removeprefix("bundles/").removesuffix(".tar"), "bytes": target.length, **target.hashes}
        for path, target in sorted(targets.items())
        if path.startswith("bundles/")
    ]
    audiences = []
    for path in sorted(targets):
        kind, _, name = path.partition("/")
        if kind in ("channels", "devices"):
            content = repository.read_target(path)
            assert content is not None
            channel = parse_channel(content)
            audiences.append(
                {
                    kind.removesuffix("s"): name.removesuffix(".json"),
                    "paused": channel.is_paused,
                    "offers": [
                        {"bundle": each.bundle, "tags": list(each.tags), "share": each.share} for each in channel.offers
                    ],
                }
            )
    return {"roles": roles, "bundles": bundles, "audiences": audiences}
