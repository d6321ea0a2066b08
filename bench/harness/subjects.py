"""What is compared: plain ext4, the kernel's overlayfs, programs that take fuse-overlayfs' options, and veneerfs.

The ways to mount are those of the conformance suites (tests/suites/targets.py); here they start on a
copy of an image's template, mount read-only where a workload asks for that, and may be unprivileged.
Workloads reach a subject through `do` and `worker` alone: an unprivileged mount is not seen from outside.
"""

import contextlib
import os
import shutil
import subprocess
import time

import targets
from targets import Dead, run

from .host import Disk, sync

MODES = ("no_passthrough", "no_uring", "no_passthrough+no_uring", "no_open", "unprivileged")
OURS = (*MODES, "share_programs")  # which only veneerfs knows; but for unprivileged


class Subject:
    """What the subjects share. `mode`: mount options, joined by "+", or "unprivileged"."""

    kind = "stack"  # of the image's template
    read_only = False
    mode = ""
    binaries = ""
    disk = None
    prefix = ()
    image = None

    def start(self, image, read_only=False, in_place=False):
        self.image = image
        self.read_only = read_only
        template = image.template(self.kind)
        self.disk = Disk(self.folder, template=template, in_place=in_place)
        for name in ("upper", "work", "merged", "upper2", "work2", "merged2", "empty"):
            shutil.rmtree(self.at(name), ignore_errors=True)  # of a run that was killed
            os.mkdir(self.at(name))
        for name in ("beside", "copy"):  # and of one before this
            self.remove(os.path.join(self.host, name))
        self.clean()
        sync(self.host)
        self.mount()

    def clean(self):
        """What workloads left outside of the upper."""

    @staticmethod
    def remove(file):
        with contextlib.suppress(FileNotFoundError):
            os.remove(file)

    def do(self, *command, **options):
        """Runs a command where the mount can be seen; what it prints."""
        return run(*self.prefix, *command, **options)

    def sh(self, script, *arguments):
        """The same, of a shell's script; the mount is the working directory."""
        return self.do("sh", "-ec", 'cd "$0"; ' + script, self.path, *arguments)

    def worker(self, *words):
        """What the worker says."""
        return self.do(os.path.join(self.binaries, "veneer_bench_worker"), *map(str, words))

    def seconds(self, workload, *words):
        return float(self.worker(workload, *words))

    def time(self, *command):
        """Seconds that a command takes, its start included."""
        return self.seconds("run", *command)

    def inside(self, name):
        return os.path.join(self.path, name)

    def daemon_pid(self):
        return None

    # Overlays
    def lowers(self):
        """As relative names in the folder `layers`: 500 of them have to fit into a page."""
        count = len(os.listdir(self.at("layers")))
        return "lowerdir=" + ":".join(str(n) for n in range(count, 0, -1))

    def layers(self, number=""):
        if self.read_only:
            return self.lowers()
        return f"{self.lowers()},upperdir={self.at('upper' + number)},workdir={self.at('work' + number)}"

    def mount_options(self, number=""):
        """All of -o."""
        words = [self.layers(number)]
        if self.mode and self.mode != "unprivileged":
            words += self.mode.split("+")
        return ",".join(words)

    @contextlib.contextmanager
    def second_mount(self):
        """One more mount of the same lower, with an upper of its own; its path."""
        yield None


class Native(Subject, targets.Target):
    """The image's files in a directory."""

    kind = "tree"

    def clean(self):
        for name in ("written", "upper-file", "copy"):
            self.remove(self.inside(name))

    @property
    def path(self):
        return self.at("tree")


class KernelOverlay(Subject, targets.KernelOverlay):
    def lowers(self):
        alone = self.read_only and len(os.listdir(self.at("layers"))) == 1  # which overlayfs refuses
        return super().lowers() + (":../empty" if alone else "")

    def mount(self):
        self.mount_at("", self.path)

    def mount_at(self, number, path):
        with contextlib.chdir(self.at("layers")):
            run("mount", "-t", "overlay", "-o", self.mount_options(number), "overlay", path)

    @contextlib.contextmanager
    def second_mount(self):
        path = self.at("merged2")
        self.mount_at("2", path)
        yield path
        run("umount", path)


class Fuse(Subject, targets.Fuse):
    """A program that takes fuse-overlayfs' options."""

    program = ""

    def __init__(self, name, folder, program):
        targets.Fuse.__init__(self, name, folder, program)

    def start_in(self):
        return self.at("layers")

    def mount(self):
        if self.mode == "unprivileged":
            self.mount_unprivileged()
        else:
            self.daemon = self.mount_at("", self.path)

    def mount_at(self, number, path):
        before = os.stat(path).st_dev
        with open(os.path.join(self.folder, "log"), "ab") as log:
            daemon = subprocess.Popen(
                [self.program, "-f", "-o", self.mount_options(number), path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.start_in(),
            )  # fmt: skip
        for _ in range(20000):
            if os.stat(path).st_dev != before:
                return daemon
            if daemon.poll() is not None:
                break
            time.sleep(0.001)
        self.complain()

    def complain(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
            raise Dead(f"{self.program} does not mount: {log.read()[-500:].strip()}")

    @contextlib.contextmanager
    def second_mount(self):
        path = self.at("merged2")
        if self.mode == "unprivileged":
            yield None
            return
        daemon = self.mount_at("2", path)
        try:
            yield path
        finally:
            run("umount", path)
            daemon.wait(30)

    # As root of a user namespace that has all of this one's users. The namespace is kept by a shell, which starts
    # the daemon and is the one to end.
    def mount_unprivileged(self):
        script = 'read -r _; cd "$0"; "$@" >&2 || exit; echo mounted; read -r _; umount "$MERGED"; echo gone'
        with open(os.path.join(self.folder, "log"), "ab") as log:
            keeper = subprocess.Popen(
                ["unshare", "--user", "--mount", "sh", "-c", script, self.start_in(),
                 self.program, "-o", self.mount_options(), self.path],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=dict(os.environ, MERGED=self.path),
            )  # fmt: skip
        self.daemon = keeper
        own = os.readlink("/proc/self/ns/user")
        deadline = time.monotonic() + 10
        while os.readlink(f"/proc/{keeper.pid}/ns/user") == own:
            if time.monotonic() > deadline:
                raise Dead("there are no user namespaces")
            time.sleep(0.01)
        for table in ("uid_map", "gid_map"):
            with open(f"/proc/{keeper.pid}/{table}", "w", encoding="ascii") as file:
                file.write("0 0 65536\n")
        keeper.stdin.write("go\n")
        keeper.stdin.flush()
        if keeper.stdout.readline() != "mounted\n":
            self.complain()
        self.prefix = ("nsenter", "--target", str(keeper.pid), "--user", "--mount", "--")

    def unmount(self):
        if self.mode != "unprivileged":
            super().unmount()
        elif self.daemon is not None:
            daemon = self.daemon_pid()
            self.daemon.stdin.close()
            said = self.daemon.stdout.readline()
            self.daemon.wait(30)
            self.daemon = None
            if said != "gone\n":
                raise Dead("it cannot be unmounted")
            while daemon is not None and os.path.exists(f"/proc/{daemon}"):
                time.sleep(0.01)

    def daemon_pid(self):
        if self.daemon is None:
            return None
        return self.daemon.pid if self.mode != "unprivileged" else find_daemon(self.path)


class VeneerStack(Fuse):
    def __init__(self, name, folder):
        super().__init__(name, folder, os.path.join(self.binaries, "veneerfs"))

    def mount_options(self, number=""):
        options = super().mount_options(number)
        # As in the host's mount namespace; with privileges, this one's mounts are gone before it ends.
        return options if self.mode == "unprivileged" else options + ",uring"


class VeneerStore(VeneerStack):
    kind = "store"

    def start_in(self):
        return self.host

    def lowers(self):
        return f"chain={self.at('store')}/chains/{self.image.chain},objects={self.at('store')}/objects"


def find_daemon(path):
    """The process whose last word is the mount point."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
                if len(words) > 2 and words[-2] == path.encode() and words[0] not in (b"unshare", b"sh"):
                    return int(name)
    return None


def all_subjects(binaries, peers, modes):
    """{name: how to make it in a folder}, in the order of the tables."""
    Subject.binaries = binaries

    def fuse(program):
        return lambda name, folder: Fuse(name, folder, program)

    kinds = {"ext4": Native, "overlayfs": KernelOverlay, "fuse-overlayfs": fuse("fuse-overlayfs")}
    for peer in peers:
        name, _, program = peer.partition("=")
        kinds[name] = fuse(os.path.abspath(program))
    kinds |= {"veneerfs-store": VeneerStore, "veneerfs-stack": VeneerStack}
    made = dict(kinds)
    for mode in modes:
        for name, kind in kinds.items():
            if name == "ext4" or (name == "overlayfs" and mode in OURS):
                continue
            if not name.startswith("veneerfs") and mode in OURS and mode != "unprivileged":
                continue
            made[f"{name}/{mode}"] = in_mode(kind, mode)
    return made


def in_mode(kind, mode):
    def make(name, folder):
        subject = kind(name, folder)
        subject.mode = mode
        return subject

    return make
