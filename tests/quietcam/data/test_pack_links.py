"""A packed set with links in the place of its files: what they lead to is somebody else's."""

import pytest

from quietcam.data.packed.pack import pack
from quietcam.errors import StorageError


@pytest.mark.parametrize("name", ["shard_00000.u8", "index.jsonl"])
def test_what_a_link_leads_to_is_neither_written_nor_cut(dataset, tmp_path, name):
    """Resumed after a kill, with a link in the place of a file."""
    few = dataset({f"{i:04d}_{i:03d}_S6_00100_00060_3200_L": i for i in range(1, 4)}, height=40, width=50)
    packed, other = tmp_path / "packed", tmp_path / "other"
    pack(few, packed, patch=16)
    (packed / "complete.json").unlink()
    index = (packed / "index.jsonl").read_bytes()
    (packed / "index.jsonl").write_bytes(index[: index.index(b"\n") + 1] + b"half a line")
    (packed / name).rename(other)
    (packed / name).symlink_to(other)
    before = other.read_bytes()
    with pytest.raises(StorageError):
        pack(few, packed, patch=16)
    assert other.read_bytes() == before
