"""The filesystems that scripts/conformance compares.

Each target lives in a folder of its own, on a fresh ext4 image: `start` makes the image and mounts,
`remount` unmounts and mounts again (daemons end and start), `stop` takes everything away. `path` is
where the suites work. All of them begin with the same tree, which for the overlays is the lower.
"""

import copy
import hashlib
import os
import shutil
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGE_ARCHIVE = os.path.join(HERE, "..", "e2e", "image_archive.py")
IMAGE_SIZE = 8 << 30  # sparse


class Dead(Exception):
    """The filesystem cannot be mounted, or does not answer."""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Dead(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def mounts_below(folder):
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        places = [line.split()[1] for line in file]
    return [place for place in places if place.startswith(folder + "/")]


class Target:
    """Plain ext4, and what the others build on."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.host = os.path.join(folder, "host")
        self.daemon = None
        self.devices = []

    @property
    def path(self):
        return os.path.join(self.host, "lower")

    def at(self, name):
        return os.path.join(self.host, name)

    def start(self, populate):
        os.makedirs(self.host)
        with open(os.path.join(self.folder, "image"), "wb") as image:
            image.truncate(IMAGE_SIZE)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", image.name)
        self.attach()
        os.mkdir(self.at("lower"))
        populate(self.at("lower"))
        self.prepare()
        self.mount()

    def twin(self, folder):
        """One more of the kind, which has not been started."""
        other = copy.copy(self)
        other.folder, other.host, other.devices = folder, os.path.join(folder, "host"), []
        os.mkdir(folder)
        return other

    def device(self):
        """The image, as a block device that is not mounted."""
        image = os.path.join(self.folder, "image")
        self.devices.append(run("losetup", "--find", "--show", image).strip())
        return self.devices[-1]

    def attach(self):
        run("mount", "-o", "loop", os.path.join(self.folder, "image"), self.host)

    def prepare(self):
        """After the lower is there, before the first mount."""

    def mount(self):
        pass

    def unmount(self):
        pass

    def remount(self):
        self.unmount()
        # Nothing of the suites' pages, names or inodes may survive on the host either.
        run("umount", self.host)
        self.attach()
        self.mount()

    def stop(self):
        try:
            self.unmount()
        except Dead:
            self.abandon()
        for place in reversed(mounts_below(self.folder)):
            if subprocess.run(["umount", place], capture_output=True, check=False).returncode != 0:
                run("umount", "-l", place)
        for device in self.devices:
            run("losetup", "--detach", device)
        if mounts_below(self.folder):
            raise Dead(f"something is mounted below {self.folder}: left as it is")
        shutil.rmtree(self.folder)

    def abandon(self):
        """Ends a mount that does not answer."""


class Mounted(Target):
    """An overlay of `lower` at `merged`."""

    @property
    def path(self):
        return self.at("merged")

    def prepare(self):
        for name in ("upper", "work", "merged"):
            os.mkdir(self.at(name))

    def layers(self):
        return f"lowerdir={self.at('lower')},upperdir={self.at('upper')},workdir={self.at('work')}"

    def unmount(self):
        if os.path.ismount(self.path):
            run("umount", self.path)
        self.await_daemon()

    def await_daemon(self):
        if self.daemon is None:
            return
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired as late:
            raise Dead("the daemon outlives its mount") from late
        self.daemon = None

    def abandon(self):
        if self.daemon is not None:
            self.daemon.send_signal(signal.SIGKILL)
            self.daemon.wait()
            self.daemon = None
        if os.path.ismount(self.path):
            run("umount", "-l", self.path)


class KernelOverlay(Mounted):
    def mount(self):
        run("mount", "-t", "overlay", "-o", self.layers(), "overlay", self.path)


class Fuse(Mounted):
    """A program that takes fuse-overlayfs' options, in the foreground."""

    def __init__(self, name, folder, program, options=""):
        super().__init__(name, folder)
        self.program = program
        self.options = options

    def mount(self):
        options = self.layers() + ("," + self.options if self.options else "")
        before = os.stat(self.path).st_dev
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.daemon = subprocess.Popen(
                [self.program, "-f", "-o", options, self.path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        for _ in range(200):
            if os.stat(self.path).st_dev != before:
                return
            if self.daemon.poll() is not None:
                break
            time.sleep(0.05)
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
            raise Dead(f"{self.program} does not mount: {log.read()[-500:].strip()}")


class VeneerChain(Fuse):
    """veneerfs on a chain of a store that `veneer load` made of the lower."""

    def __init__(self, name, folder, binaries, options=""):
        super().__init__(name, folder, os.path.join(binaries, "veneerfs"), options)
        self.veneer = os.path.join(binaries, "veneer")
        self.chain = None

    def prepare(self):
        super().prepare()
        layer, archive, store = self.at("layer.tar"), self.at("image.tar"), self.at("store")
        run("tar", "-C", self.at("lower"), "--format=posix", "--sparse", "--numeric-owner",
            "--xattrs", "--xattrs-include=*", "-cf", layer, ".")  # fmt: skip
        run(IMAGE_ARCHIVE, "docker", archive, "suites/lower:latest", layer)
        run(self.veneer, "--root", store, "load", "-i", archive)
        with open(layer, "rb") as file:
            self.chain = hashlib.file_digest(file, "sha256").hexdigest()  # of one layer: its DiffID
        # Chains are made when they are first mounted.
        run(self.veneer, "--root", store, "mount", "--read-only", "suites/lower", self.path)
        run(self.veneer, "--root", store, "umount", self.path)
        shutil.rmtree(self.at("lower"))
        os.remove(layer)
        os.remove(archive)

    def layers(self):
        store = self.at("store")
        return (
            f"chain={store}/chains/{self.chain},objects={store}/objects,"
            f"upperdir={self.at('upper')},workdir={self.at('work')}"
        )
