"""The images that are measured: ten layers of Debian, and files of many sizes.

An image is made once in the folder --cache gives: its layers as tars, and for each kind of lower an
ext4 image that has it (`tree`: everything in one directory; `stack`: a directory for each layer; `store`:
loaded by `veneer load`). A run copies these: each measurement starts on a filesystem that nobody used.
"""

import json
import os
import random
import shutil

from . import layers as layer_tools
from .host import Dead, Disk, emptied, run
from .layers import EPOCH, SOURCE, LayerTar, sample_tree, text

TAG = "bench/image:latest"


class Image:
    """`path/N.tar`: layers, the lowest first; `path/KIND.img`: templates. A subclass makes the layers."""

    name = ""
    version = 1  # of what a subclass makes
    size = 8 << 30  # of the filesystem
    filesystem = "ext4"

    def __init__(self, cache, binaries):
        self.path = os.path.join(cache, f"{self.name}-{self.version}")
        self.binaries = binaries

    def make_layers(self, folder):
        raise NotImplementedError

    def layer_files(self):
        names = [name for name in os.listdir(self.path) if name.endswith(".tar") and name[0].isdigit()]
        return [os.path.join(self.path, name) for name in sorted(names, key=lambda n: int(n[:-4]))]

    def provide(self):
        """The layers are there after this."""
        if os.path.exists(os.path.join(self.path, "complete")):
            return self
        print(f"making {self.name}, once, in {self.path}", flush=True)
        shutil.rmtree(self.path, ignore_errors=True)
        os.makedirs(self.path)
        self.make_layers(self.path)
        layer_tools.archive(self.layer_files(), os.path.join(self.path, "image.archive"), TAG)
        with open(os.path.join(self.path, "complete"), "w", encoding="ascii") as file:
            json.dump({"chain": layer_tools.chain_id(self.layer_files())}, file)
        return self

    @property
    def archive(self):
        return os.path.join(self.path, "image.archive")

    @property
    def chain(self):
        with open(os.path.join(self.path, "complete"), encoding="ascii") as file:
            return json.load(file)["chain"]

    def template(self, kind):
        """A filesystem with this kind of lower. Stores are remade for another build of veneer: its formats may differ."""
        self.provide()
        made = os.path.join(self.path, kind + ".img")
        program = os.path.join(self.binaries, "veneer")
        stale = kind == "store" and os.path.exists(made) and os.path.getmtime(made) < os.path.getmtime(program)
        if os.path.exists(made) and not stale:
            return made
        print(f"making the {kind} of {self.name}, once", flush=True)
        scratch = made + ".new"
        shutil.rmtree(scratch, ignore_errors=True)
        with emptied(scratch):
            disk = Disk(scratch, self.size, filesystem=self.filesystem)
            getattr(self, "fill_" + kind)(disk.path)
            disk.detach()
            os.replace(disk.image, made)
        return made

    def fill_tree(self, root):
        os.mkdir(os.path.join(root, "tree"))
        for layer in self.layer_files():
            layer_tools.unpack(layer, os.path.join(root, "tree"), as_overlay=False)

    def fill_stack(self, root):
        for number, layer in enumerate(self.layer_files(), 1):
            folder = os.path.join(root, "layers", str(number))
            os.makedirs(folder)
            layer_tools.unpack(layer, folder, as_overlay=True)

    def fill_store(self, root):
        store, folder = os.path.join(root, "store"), os.path.join(root, "merged")
        veneer = os.path.join(self.binaries, "veneer")
        os.mkdir(folder)
        run(veneer, "--root", store, "load", "-i", self.archive)
        # The chain's tree is made when it is first mounted.
        run(veneer, "--root", store, "mount", "--read-only", TAG, folder)
        run(veneer, "--root", store, "umount", folder)


class Debian(Image):
    """minbase, and nine layers on top that change some files, remove some, and bring what the workloads need."""

    name = "debian"
    small = False

    def base(self, folder):
        base, parts = os.path.join(folder, "base.archive"), os.path.join(folder, "parts")
        make = [os.path.join(SOURCE, "scripts", "make-base-image"), *(["--small"] if self.small else [])]
        run(*make, base, env=dict(os.environ, SOURCE_DATE_EPOCH=str(EPOCH)))
        run(layer_tools.IMAGE_ARCHIVE, "extract", base, parts)
        os.rename(os.path.join(parts, "1.tar"), os.path.join(folder, "1.tar"))
        shutil.rmtree(parts)
        os.remove(base)

    def make_layers(self, folder):
        self.base(folder)
        docs = []
        listed = run("tar", "-tf", os.path.join(folder, "1.tar")).splitlines()
        for name in listed:
            name = name.removeprefix("./")
            if name.startswith("usr/share/doc/") and name.endswith(("copyright", "changelog.Debian.gz")):
                docs.append(name)
        for number in range(2, 11):
            with LayerTar(os.path.join(folder, f"{number}.tar")) as layer:
                layer.file("etc/motd", f"layer {number}\n".encode())
                for i in range(100):
                    layer.file(f"opt/layer{number}/part{i % 10}/file{i:03}", text(number * 1000 + i, 4000))
                layer.file(f"opt/all/of-{number}", text(number, 2000))
                for name in docs[number::20]:
                    layer.file(name, text(number, 3000))
                for name in docs[number + 10 :: 20]:
                    layer.without(name)
                if number == 8:
                    sample_tree(layer, "data/tree", 600 if self.small else 6000, 1)
                if number == 9:
                    source_code(layer, "src/project")
                if number == 10:
                    source = random.Random(10)
                    layer.file("data/file64M", source.randbytes((1 if self.small else 64) << 20))


class SmallDebian(Debian):
    """Of busybox: for the tests of the benchmark."""

    name = "busybox"
    small = True


def source_code(layer, prefix):
    """A small C project: sixteen files that include what most C programs do."""
    headers = ("stdio.h", "stdlib.h", "string.h", "unistd.h", "errno.h", "sys/stat.h", "time.h")
    calls = []
    for number in range(16):
        lines = [f"#include <{name}>" for name in headers] + ['#include "all.h"']
        for i in range(20):
            name = f"part{number}_{i}"
            lines += [
                f"int {name}(int n) {{",
                "  int sum = 0;",
                f"  for (int i = 0; i < n; i++) sum += (i * {i + 3}) ^ {number};",
                '  if (sum < 0) fprintf(stderr, "%d\\n", sum);',
                "  return sum;",
                "}",
            ]
            calls.append(name)
        layer.file(f"{prefix}/part{number}.c", "\n".join(lines).encode() + b"\n")
    layer.file(f"{prefix}/all.h", "".join(f"int {name}(int n);\n" for name in calls).encode())
    main = '#include "all.h"\nint main(void) {\n  int sum = 0;\n'
    main += "".join(f"  sum += {name}(3);\n" for name in calls) + "  return sum == 42;\n}\n"
    layer.file(f"{prefix}/main.c", main.encode())
    build = "set -e\nfor f in *.c; do cc -O1 -c $f; done\ncc -o program *.o\n"
    layer.file(f"{prefix}/build.sh", build.encode())


class Sizes(Image):
    """One layer of files of many sizes: what is copied up."""

    name = "sizes"
    size = 32 << 30

    def __init__(self, cache, binaries, sizes):
        super().__init__(cache, binaries)
        self.sizes = sizes
        self.path += "-" + size_name(max(sizes))

    def make_layers(self, folder):
        with LayerTar(os.path.join(folder, "1.tar")) as layer:
            for size in self.sizes:
                layer.stream("sizes/" + size_name(size), RandomBytes(size), size)
            for i in range(20):
                layer.file(f"other/dir{i}/file", text(i, 1000))
            for i in range(1000):
                layer.file(f"directory/sub{i % 20}/file{i}", text(i, 2000))


class Cloning(Sizes):
    """One large file on a filesystem whose files can share blocks."""

    size = 8 << 30

    def __init__(self, cache, binaries, filesystem, size):
        self.name = "sizes-" + filesystem
        super().__init__(cache, binaries, (size,))
        self.filesystem = filesystem


class RandomBytes:
    """A file to read."""

    def __init__(self, size):
        self.left = size
        self.source = random.Random(size)

    def read(self, size):
        size = min(size, self.left)
        self.left -= size
        return self.source.randbytes(size)


def size_name(size):
    for unit in ("", "K", "M", "G"):
        if size < 1024:
            return f"{size}{unit}"
        size //= 1024
    raise Dead("too large")
