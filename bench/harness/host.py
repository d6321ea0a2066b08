"""What the benchmark does to the machine: runs programs, makes images of filesystems, mounts them, drops caches."""

import contextlib
import os
import shutil
import subprocess
import time

from targets import Dead, mounts_below, run  # tests/suites: what the conformance suites use

__all__ = ["Dead", "Disk", "drop_caches", "emptied", "mounts_below", "run", "sync", "unmount_below"]


def sync(path):
    """What is not on the disk yet goes there: of this filesystem, whatever else the machine does."""
    run("sync", "--file-system", path)


def drop_caches(path, what="3"):
    """Pages, names and inodes (2: names and inodes alone), after a sync."""
    sync(path)
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write(what)


MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-m", "reflink=1"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}


class Disk:
    """A filesystem in a sparse file, mounted at `path`. Its loop device bypasses the page cache of the host, where that
    can be: or cold reads would be warm, and pages would be counted twice."""

    def __init__(self, folder, size=8 << 30, template=None, in_place=False, filesystem="ext4"):
        """A new one, or a copy of a template, or (`in_place`) the template itself."""
        self.image = template if in_place else os.path.join(folder, "image")
        self.path = os.path.join(folder, "host")
        os.makedirs(self.path)
        if in_place:
            pass
        elif template is None:
            with open(self.image, "wb") as image:
                image.truncate(size)
            run(*MAKE[filesystem], self.image)
        else:
            run("cp", "--sparse=always", "--reflink=auto", template, self.image)
            with open(self.image, "rb") as image:
                os.fsync(image.fileno())
        self.attach()

    def attach(self):
        find = ["losetup", "--find", "--show"]
        try:
            device = run(*find, "--direct-io=on", self.image).strip()
        except Dead:
            device = run(*find, self.image).strip()
        try:
            run("mount", device, self.path)
        finally:
            run("losetup", "--detach", device)  # when it is unmounted

    def detach(self):
        for tries in range(100):
            try:
                return run("umount", self.path)
            except Dead:  # a daemon holds what it had for a moment longer than its mount
                if tries == 99:
                    raise
                time.sleep(0.05)


def unmount_below(folder):
    for place in reversed(mounts_below(folder)):
        if subprocess.run(["umount", place], capture_output=True, check=False).returncode != 0:
            run("umount", "-l", place)


@contextlib.contextmanager
def emptied(folder):
    """A folder that is there, and gone in the end, with all that is mounted in it."""
    os.makedirs(folder)
    try:
        yield folder
    finally:
        unmount_below(folder)
        if not mounts_below(folder):
            shutil.rmtree(folder, ignore_errors=True)
