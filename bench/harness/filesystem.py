"""The workloads on ten layers of Debian."""

import os
import shutil

from .host import run, sync
from .layers import LayerTar, sample_tree, text
from .workload import Workload, cold, warm

NAMES = 5000


class Materials:
    """Files that workloads read from outside of the mount, in a folder of the cache."""

    version = 1

    def __init__(self, cache, small):
        self.files = 600 if small else 6000
        self.path = os.path.join(cache, f"materials-{self.version}-{self.files}")

    def at(self, name):
        return os.path.join(self.path, name)

    def provide(self):
        if os.path.exists(self.at("complete")):
            return self
        shutil.rmtree(self.path, ignore_errors=True)  # of a run that did not get to the end
        os.makedirs(self.path)
        with LayerTar(self.at("tree.tar")) as layer:
            sample_tree(layer, "tree", self.files, 2)
        self.make_package()
        self.make_repository()
        with open(self.at("complete"), "w", encoding="ascii"):
            pass
        return self

    def make_package(self):
        """A package as apt would have fetched it."""
        root = self.at("package")
        run("mkdir", "-p", root + "/DEBIAN")
        with open(root + "/DEBIAN/control", "w", encoding="ascii") as file:
            file.write("Package: bench-package\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n"
                       "Description: files to install\n")  # fmt: skip
        for number in range(self.files // 4):
            folder = f"{root}/usr/lib/bench/part{number // 50}"
            os.makedirs(folder, exist_ok=True)
            with open(f"{folder}/file{number}", "wb") as file:
                file.write(text(number + 7_000_000, 6000))
        run("dpkg-deb", "--root-owner-group", "--build", "-Znone", root, self.at("package.deb"))

    def make_repository(self):
        work = self.at("work")
        os.makedirs(work)
        run("tar", "-C", work, "-xf", self.at("tree.tar"))
        git = ["git", "-C", work, "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
        run(*git, "init", "-q", "-b", "main")
        run(*git, "add", ".")
        run(*git, "commit", "-q", "-m", "all")
        run("git", "clone", "-q", "--bare", work, self.at("repository"))


def reading():
    """Of a mount that nothing is written to."""

    def walk(processes):
        return lambda s: s.seconds("walk", s.path, processes)

    def read(s):
        return s.seconds("read-tree", s.path)

    def tar(s):
        # tar reads nothing where it writes to /dev/null.
        return s.time("tar", "-C", s.path, "--one-file-system", "-cf", "/dev/zero", ".")

    def execute(s):
        return s.seconds("run-often", 150, "chroot", s.path, "/bin/true")

    def large(name, *words):
        return lambda s: s.seconds(name, s.inside("data/file64M"), *words)

    def both(title, measure, wanted_cold=(), wanted_warm=(), **more):
        yield Workload(f"{title}, cold", cold(measure), wanted=wanted_cold, **more)
        yield Workload(f"{title}, warm", warm(measure), wanted=wanted_warm, **more)

    shared = {"sharing": "reading"}
    yield from both("walk", walk(1), (0.5, 1.0), (1.0, 1.0), trips=True, **shared)
    yield from both("walk by 4 processes", walk(4), (0.5, 1.0), (), trips=True, **shared)
    yield from both("read everything", read, (1.15, 1.3), (1.8, 1.8), **shared)
    yield from both("tar of everything", tar, quick=False, **shared)
    yield from both("exec of small programs, 150", execute, (), (1.1, 1.1), **shared)
    yield from both("mmap read of 64 MiB, lower", large("mapped-read"), quick=False, **shared)
    missing = lambda s: s.seconds("missing", s.inside("usr/bin"), 20000)
    yield Workload("negative lookup of 20,000 names", missing, wanted=(0.8, 0.8), trips=True, **shared)
    everywhere = lambda s: s.seconds("missing", s.inside("opt/all"), 20000)
    title = "negative lookup of 20,000 names, ten layers have the directory"
    yield Workload(title, everywhere, wanted=(0.8, 0.8), trips=True, **shared)
    again = lambda s: s.seconds("missing-again", s.inside("usr/bin"), 20000)
    yield Workload("negative lookup of 20,000 names, again", again, **shared)
    read_only = {"sharing": "reading", "read_only": True}
    yield from both("walk, read-only", walk(1), quick=False, trips=True, **read_only)
    yield from both("read everything, read-only", read, (1.0,), (1.0,), quick=False, **read_only)
    yield from both("exec of small programs, 150, read-only", execute, (), (1.1, 1.1), quick=False, **read_only)


def writing(materials):
    def folder(s):
        s.do("mkdir", s.inside("data/new"))

    def untar(s):
        return s.time("tar", "-C", s.inside("data/new"), "-xf", materials.at("tree.tar"))

    def untarred(s):
        folder(s)
        untar(s)
        sync(s.host)

    def with_names(s):
        folder(s)
        s.worker("create", s.inside("data/new"), NAMES)
        sync(s.host)

    def names(what):
        return lambda s: s.seconds(what, s.inside("data/new"), NAMES)

    yield Workload("untar of 6,000 files", untar, folder, wanted=(2.5, 2.5), trips=True)
    yield Workload("create 5,000 files", names("create"), folder, wanted=(2.2, 2.2), trips=True)
    yield Workload("stat 5,000 files, warm", names("stat"), with_names, wanted=(0.9, 0.9), quick=False)
    yield Workload("unlink 5,000 files", names("unlink"), with_names, trips=True, quick=False)
    remove = lambda s: s.time("rm", "-rf", s.inside("data/new"))
    yield Workload("rm -rf of an untarred tree", remove, untarred, wanted=(2.0, 2.0), trips=True, quick=False)
    remove_lower = lambda s: s.time("rm", "-rf", s.inside("data/tree"))
    yield Workload("rm -rf of a lower tree", remove_lower, wanted=(1.2, 1.5), trips=True)
    append = lambda s: s.seconds("append-each", s.inside("data/tree"), materials.files // 4)
    yield Workload("append a byte to 1,500 lower files", append, wanted=(0.35, 0.35), trips=True)
    chown = lambda s: s.time("chown", "-hR", "1000:1000", s.inside("usr"))
    yield Workload("chown -R of /usr", chown, wanted=(0.2, 0.3), trips=True, quick=False)
    move = lambda s: s.time("mv", s.inside("data/tree"), s.inside("opt/moved"))
    yield Workload("mv of a lower directory", move, wanted=(0.02, 0.02), quick=False)
    clone = ["git", "clone", "-q", "--shared", materials.at("repository")]
    checkout = lambda s: s.time(*clone, s.inside("data/clone"))
    yield Workload("git clone, checkout of 6,000 files", checkout, trips=True, quick=False)
    yield Workload("SQLite, 300 durable inserts", lambda s: s.seconds("sqlite", s.inside("data/new.db"), 300), quick=False)
    build = ["sh", "-c", 'cd "$0" && sh build.sh']
    yield Workload("compile a small C project", lambda s: s.time(*build, s.inside("src/project")), quick=False)

    def copy_package(s):
        s.do("cp", materials.at("package.deb"), s.inside("tmp/package.deb"))
        sync(s.host)

    # Of a file: there is no network.
    install = lambda s: s.time("chroot", s.path, "apt-get", "install", "-qq", "/tmp/package.deb")
    yield Workload("apt-get install of 1,500 files in a chroot", install, copy_package, quick=False)
