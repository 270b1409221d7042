"""Folders that people pass."""

import os

from affecthub.datasets_scripts.files import fingerprint


def test_a_fingerprint_follows_tables_media_and_code(tmp_path):
    table, clip = tmp_path / "rows.csv", tmp_path / "clip.mp4"
    table.write_bytes(b"x")
    clip.write_bytes(b"x")

    def now(code="a", media=(clip,)):
        return fingerprint(tmp_path, [table], media, code)

    seen = [now()]
    assert now() == seen[0]
    seen.append(now(code="b"))
    state = table.stat()
    table.write_bytes(b"y")
    os.utime(table, ns=(state.st_atime_ns, state.st_mtime_ns))  # the same size and time, other bytes
    seen.append(now())
    os.utime(clip, (1, 1))
    seen.append(now())
    seen.append(now(media=()))
    gone, other = tmp_path / "gone.mp4", tmp_path / os.fsdecode(b"J\xf6rg.mp4")
    gone.symlink_to("nowhere")
    other.write_bytes(b"x")
    seen += [now(media=(gone,)), now(media=(other,))]
    assert len(set(seen)) == len(seen)
