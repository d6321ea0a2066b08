#!/usr/bin/env python3
"""Lists a tree so that two listings are equal when the trees are.

usage: tree_listing.py ROOT [--below]

One line per name, sorted by bytes: path, type, mode, owner, size, mtime in
nanoseconds, device, first name of the same file and how many the tree has (for
files with several), target, extended attributes, SHA-256 of the content.

--below leaves the root itself out: podman and docker give it a mode and a time
of their own. st_nlink is not listed: where a name of a linked file is deleted by
a later layer, the kernel's overlayfs goes on counting it. With --nlink it must
be the number of names that the tree has.
"""
import hashlib
import os
import stat
import sys


def escape(name):
    return name.decode("latin-1").encode("unicode_escape").decode("ascii").replace(" ", "\\x20")


def digest(path):
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()


def xattrs(path):
    found = []
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if name.startswith("trusted.overlay.") or name == "security.selinux":
            continue
        found.append(f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}")
    return ",".join(found) or "-"


def names_below(root):
    pending = [b"."]
    names = []
    while pending:
        directory = pending.pop()
        for entry in os.listdir(os.path.join(root, directory)):
            path = os.path.join(directory, entry)
            names.append(path)
            if stat.S_ISDIR(os.lstat(os.path.join(root, path)).st_mode):
                pending.append(path)
    return sorted(names)


def walk(root, options):
    paths = names_below(root)
    files = {}
    for path in paths:
        st = os.lstat(os.path.join(root, path))
        if not stat.S_ISDIR(st.st_mode):
            files.setdefault((st.st_dev, st.st_ino), []).append(path)
    for path in paths if "--below" in options else [b"."] + paths:
        full = os.path.join(root, path)
        st = os.lstat(full)
        is_dir, is_file = stat.S_ISDIR(st.st_mode), stat.S_ISREG(st.st_mode)
        same = files.get((st.st_dev, st.st_ino), [path])
        if "--nlink" in options and not is_dir and st.st_nlink != len(same):
            sys.exit(f"{escape(path)}: st_nlink is {st.st_nlink}, the tree has {len(same)} names of it")
        print(
            escape(path),
            stat.filemode(st.st_mode),
            f"{st.st_uid}:{st.st_gid}",
            st.st_size if not is_dir else "-",
            st.st_mtime_ns,
            f"{os.major(st.st_rdev)}:{os.minor(st.st_rdev)}" if st.st_rdev else "-",
            f"{escape(same[0])}*{len(same)}" if len(same) > 1 else "-",
            escape(os.readlink(full)) if stat.S_ISLNK(st.st_mode) else "-",
            xattrs(full),
            digest(full) if is_file else "-",
        )


walk(os.fsencode(sys.argv[1]), sys.argv[2:])
