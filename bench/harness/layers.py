"""Layers as data: tars with AUFS whiteouts, the way images have them, made the same on every run; and what becomes of
them: a stack of directories in overlayfs' form, the tree they make together, a store."""

import hashlib
import io
import os
import random
import shutil
import stat
import tarfile

from .host import run

EPOCH = 1_700_000_000
HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
IMAGE_ARCHIVE = os.path.join(SOURCE, "tests", "e2e", "image_archive.py")


class LayerTar:
    """Writes one layer; parent directories come by themselves."""

    def __init__(self, path):
        self.path = path
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)
        self.made = {""}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tar.close()

    def entry(self, name, kind, mode):
        self.directory(os.path.dirname(name))
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime = kind, mode, EPOCH
        info.uname = info.gname = "root"
        return info

    def directory(self, name):
        if name not in self.made:
            info = self.entry(name, tarfile.DIRTYPE, 0o755)
            self.made.add(name)
            self.tar.addfile(info)

    def file(self, name, content, mode=0o644):
        info = self.entry(name, tarfile.REGTYPE, mode)
        info.size = len(content)
        self.tar.addfile(info, io.BytesIO(content))

    def stream(self, name, source, size):
        info = self.entry(name, tarfile.REGTYPE, 0o644)
        info.size = size
        self.tar.addfile(info, source)

    def without(self, name):
        self.file(os.path.join(os.path.dirname(name), ".wh." + os.path.basename(name)), b"")


def text(seed, size):
    """That many bytes that compress as text does, roughly, and are never the same twice."""
    source = random.Random(seed)
    words = [source.randbytes(source.randrange(2, 6)).hex() for _ in range(min(400, size // 8 + 1))]
    made = " ".join(source.choices(words, k=size // 6 + 1)).encode()
    while len(made) < size:
        made += made
    return made[:size]


def sample_tree(layer, prefix, files, seed):
    """Files of the sizes that source trees have, twelve to a directory."""
    source = random.Random(seed)
    for number in range(files):
        where = f"{prefix}/d{number // 240:03}/s{number // 12 % 20:02}"
        size = min(200_000, int(source.lognormvariate(8.2, 1.3)))
        layer.file(f"{where}/f{number:05}.c", text(seed * 100_000 + number, size))


def unpack(tar, folder, as_overlay):
    """Unpacks one layer: into a directory of its own in overlayfs' form, or onto the layers below it."""
    run("tar", "-C", folder, "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", tar)
    whiteouts = [
        os.path.join(where, name)
        for where, _, names in os.walk(folder)
        for name in names
        if name.startswith(".wh.")
    ]
    for mark in whiteouts:
        hidden = os.path.join(os.path.dirname(mark), os.path.basename(mark)[4:])
        os.remove(mark)
        if as_overlay:
            os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0))
        elif os.path.isdir(hidden) and not os.path.islink(hidden):
            shutil.rmtree(hidden)
        else:
            os.remove(hidden)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def chain_id(layers):
    """As in the OCI image specification."""
    chain = None
    for layer in layers:
        diff_id = "sha256:" + digest(layer)
        chain = diff_id if chain is None else "sha256:" + hashlib.sha256(f"{chain} {diff_id}".encode()).hexdigest()
    return chain.removeprefix("sha256:")


def archive(layers, out, tag):
    run(IMAGE_ARCHIVE, "docker", out, tag, *layers)
