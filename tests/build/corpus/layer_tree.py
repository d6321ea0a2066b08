"""The tree that an image's layers make, and how one tree differs from another.

A tree is a dict of absolute paths. An entry is told in one line, so that expectations can be read
and compared as text:

    f 644 0:0 "text"             a file: mode, owner, content (or SHA-256 and size)
    d 1777 0:0                   a directory
    l 0:0 -> ../target           a symlink
    p 644 0:0                    a FIFO
    c 600 0:0 1:3, b …           a device
    gone                         a name of the base that is not there

busybox, which is another on every machine, is `f 755 0:0 busybox`, and only two of its names are told;
then, where there are any: @SECONDS, the modification time, if it is older than the build;
name="value" of extended attributes; =PATH, the first of the other names of the same file.
"""

import hashlib
import json
import re
import tarfile

with open("/bin/busybox", "rb") as program:
    BUSYBOX = program.read()
BUSYBOX_NAMES = ("busybox", "sh")

KINDS = {
    tarfile.REGTYPE: "f",
    tarfile.AREGTYPE: "f",
    tarfile.CONTTYPE: "f",
    tarfile.GNUTYPE_SPARSE: "f",
    tarfile.DIRTYPE: "d",
    tarfile.SYMTYPE: "l",
    tarfile.FIFOTYPE: "p",
    tarfile.CHRTYPE: "c",
    tarfile.BLKTYPE: "b",
}


class Node:
    def __init__(self, member, content):
        self.kind = KINDS[member.type]
        self.mode = member.mode & 0o7777
        self.owner = f"{member.uid}:{member.gid}"
        self.mtime = int(member.mtime // 1)
        self.target = member.linkname
        self.device = f"{member.devmajor}:{member.devminor}"
        self.xattrs = {
            name.removeprefix("SCHILY.xattr."): value.encode("utf-8", "surrogateescape")
            for name, value in member.pax_headers.items()
            if name.startswith("SCHILY.xattr.")
        }
        self.content = content

    def tell(self):
        mode = "" if self.kind == "l" else f" {self.mode:o}"
        told = f"{self.kind}{mode} {self.owner}"
        if self.kind == "f":
            told += " " + tell_content(self.content)
        elif self.kind == "l":
            told += f" -> {self.target}"
        elif self.kind in "cb":
            told += " " + self.device
        return told


def tell_content(content):
    if content == BUSYBOX:
        return "busybox"
    if len(content) <= 200:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = None
        if text is not None and all(c.isprintable() or c in "\n\t" for c in text):
            return json.dumps(text, ensure_ascii=False)
    return f"sha256:{hashlib.sha256(content).hexdigest()[:16]} {len(content)}"


def tell_xattr(value):
    if value and all(32 < byte < 127 for byte in value):
        return json.dumps(value.decode())
    return "0x" + value.hex()


def clean(name):
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "/" + "/".join(parts)


class Layer:
    """A layer's changes, read once."""

    def __init__(self, file):
        self.removed, self.opaque, self.members = [], [], []
        with tarfile.open(fileobj=file) as tar:
            for member in tar:
                path = clean(member.name)
                folder, _, name = path.rpartition("/")
                if name == ".wh..wh..opq":
                    self.opaque.append(folder or "/")
                elif name.startswith(".wh..wh."):
                    continue  # what AUFS keeps for itself
                elif name.startswith(".wh."):
                    self.removed.append(f"{folder}/{name[4:]}")
                elif member.islnk():
                    self.members.append((path, None, clean(member.linkname)))
                elif path != "/":
                    content = tar.extractfile(member).read() if member.isreg() else b""
                    self.members.append((path, Node(member, content), None))

    def apply(self, tree):
        for folder in self.opaque:
            remove_below(tree, folder)
        for path in self.removed:
            remove_below(tree, path)
            tree.pop(path, None)
        for path, node, link in self.members:
            if link is not None:
                node = tree[link]
            if path in tree and not (tree[path].kind == "d" == node.kind):
                remove_below(tree, path)
            tree[path] = node


def remove_below(tree, folder):
    prefix = folder.rstrip("/") + "/"
    for path in [path for path in tree if path.startswith(prefix)]:
        del tree[path]


class Layers:
    """Layers by the digest of their tar: bases come again and again."""

    def __init__(self):
        self.known = {}

    def tree(self, files):
        """The tree of layers, given as open files, lowest first."""
        tree = {}
        for file in files:
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0)
            layer = self.known.get(digest)
            if layer is None:
                layer = self.known[digest] = Layer(file)
            layer.apply(tree)
        return tree


def tell(tree, now):
    """Path: line. Times from `now` on are left out: they are those of the build."""
    tree = {
        path: node
        for path, node in tree.items()
        if node.content != BUSYBOX or path.rpartition("/")[2] in BUSYBOX_NAMES
    }
    names = {}
    for path in sorted(tree):
        names.setdefault(id(tree[path]), []).append(path)
    told = {}
    for path, node in tree.items():
        line = node.tell()
        if node.mtime < now:
            line += f" @{node.mtime}"
        for name, value in sorted(node.xattrs.items()):
            line += f" {name}={tell_xattr(value)}"
        others = [other for other in names[id(node)] if other != path]
        if others:
            line += f" ={others[0]}"
        told[path] = line
    return told


TIME = re.compile(r" @-?\d+(?= [a-z.]+=| =/|$)")


def without_time(line):
    return TIME.sub("", line)


def changes(base, told):
    """What is in `told` and not in `base`; of what is gone, the topmost names."""
    changed = {}
    for path in sorted(set(base) | set(told)):
        if path not in told:
            if path.rpartition("/")[0] in told or path.count("/") == 1:
                changed[path] = "gone"
        elif base.get(path) != told[path]:
            line = told[path]
            # A directory that only got a name or lost one: its time tells nothing.
            if line.startswith("d ") and not TIME.search(line) and without_time(base.get(path, "")) == line:
                continue
            changed[path] = line
    return changed


def compare(wanted, got, base, directory_times=True):
    """Lines that tell how `got`, as changes() gives it, is not as `wanted` is, both of them changes of
    `base`. A line of `wanted` without a time leaves the time open."""
    different = []
    for path in sorted(set(wanted) | set(got)):
        want, have = wanted.get(path, base.get(path, "nothing")), got.get(path, base.get(path, "nothing"))
        if want.startswith("d ") and not directory_times:
            want = without_time(want)
        if not TIME.search(want):
            have = without_time(have)
        if want != have:
            different.append(f"{path}: {have}, not {want}")
    return different
