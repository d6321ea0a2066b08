#!/usr/bin/env python3
"""Writes a docker-archive, e2e/many:1, of one layer with a great many entries to standard output.

    many_entries.py COUNT

A thousand names a folder; of ten files one has content, one of a hundred contents that there are.
The layer is made as it is written: neither memory nor disk ever holds it.
"""

import hashlib
import json
import sys
import tarfile

PER_FOLDER = 1000
BLOCK = 512


def padded(content):
    return content + bytes(-len(content) % BLOCK)


CONTENTS = [f"content number {i}\n".encode() * (1 + i % 20) for i in range(100)]
PADDED = [padded(content) for content in CONTENTS]


def header(name, size, kind=tarfile.REGTYPE):
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.mtime = kind, size, 1700000000
    entry.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return entry.tobuf(tarfile.USTAR_FORMAT)


class Template:
    """A header made once, to put names in: tarfile would take a minute for a million."""

    def __init__(self, size, kind=tarfile.REGTYPE):
        block = header("", size, kind)
        self.before, self.after = block[100:148], block[156:]
        self.sum = sum(self.before) + sum(self.after) + 8 * ord(" ")

    def named(self, name):
        name = name.encode()
        return b"".join(
            (name, bytes(100 - len(name)), self.before, b"%06o\0 " % (self.sum + sum(name)), self.after)
        )


def content_of(number):
    """Which content the entry has; None for folders and empty files."""
    return None if number % 10 or number % PER_FOLDER == 0 else number // 10 % len(CONTENTS)


def layer_size(count):
    with_content = (content_of(number) for number in range(0, count, 10))
    return (count + 2) * BLOCK + sum(len(PADDED[which]) for which in with_content if which is not None)


def entries(count):
    folder, empty = Template(0, tarfile.DIRTYPE), Template(0)
    full = [Template(len(content)) for content in CONTENTS]
    for number in range(count):
        parent = f"many/{number // PER_FOLDER:06d}/"
        which = content_of(number)
        if number % PER_FOLDER == 0:
            yield folder.named(parent)
        elif which is None:
            yield empty.named(f"{parent}file-{number:07d}")
        else:
            yield full[which].named(f"{parent}file-{number:07d}") + PADDED[which]


def main():
    count = int(sys.argv[1])
    out = sys.stdout.buffer
    digest = hashlib.sha256()
    out.write(header("layer.tar", layer_size(count)))
    pending = []
    for entry in entries(count):
        pending.append(entry)
        if len(pending) == PER_FOLDER:
            piece = b"".join(pending)
            digest.update(piece)
            out.write(piece)
            pending = []
    piece = b"".join(pending) + bytes(2 * BLOCK)
    digest.update(piece)
    out.write(piece)

    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest.hexdigest()]},
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": ["e2e/many:1"], "Layers": ["layer.tar"]}]
    for name, content in (("config.json", config), ("manifest.json", json.dumps(manifest).encode())):
        out.write(header(name, len(content)) + padded(content))
    out.write(bytes(2 * BLOCK))


main()
