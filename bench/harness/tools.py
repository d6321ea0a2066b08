"""veneer beside docker, podman and buildah: what people do with images.

A tool is a subject too: it starts on a fresh ext4 of its own, with nothing in its store. Changes are made by the same
commands, at the path where the tool mounts a container.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time

from targets import Dead, run

from .host import Disk, sync, unmount_below
from .images import Image, TAG
from .layers import LayerTar, text
from .workload import Workload


class Tool:
    """load() an archive, create() a container and give the path it is mounted at, commit() it, diff() it, save() an image.
    Each but create() gives the seconds that it took."""

    kind = "tool"
    mode = ""
    binaries = ""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.disk = None
        self.process = None
        self.containers = []

    def at(self, name):
        return os.path.join(self.disk.path, name)

    def start(self, image, *_):
        self.image = image.provide()
        self.disk = Disk(self.folder, 32 << 30)
        os.mkdir(self.at("tmp"))
        self.start_service()

    def start_service(self):
        pass

    def end_service(self):
        pass

    def daemon_pid(self):
        return None

    def environment(self):
        return dict(os.environ, TMPDIR=self.at("tmp"))

    def call(self, *words):
        return run(*self.words(), *words, env=self.environment()).strip()

    def measure(self, *command):
        worker = os.path.join(self.binaries, "veneer_bench_worker")
        return float(run(worker, "run", *command, env=self.environment()))

    def time(self, *words):
        return self.measure(*self.words(), *words)

    def load(self):
        return self.time("load", "-i", self.image.archive)

    def save(self):
        return self.time("save", "-o", self.at("saved.tar"), TAG)

    def diff(self, container):
        return self.time("diff", container)

    def commit(self, container):
        return self.time("commit", container, "bench/changed")

    build = None  # build(context) where the tool can

    def abandon(self):
        pass

    def stop(self):
        self.end_service()
        unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


class Veneer(Tool):
    def words(self):
        return [os.path.join(self.binaries, "veneer"), "--root", self.at("store")]

    def create(self):
        container = self.call("create", TAG)
        path = self.at("m" + container[:8])
        os.mkdir(path)
        self.call("mount", container, path)
        self.containers.append(container)
        return container, path

    def mounting(self):
        os.mkdir(self.at("another"))
        script = '"$0" --root "$1" mount "$("$0" --root "$1" create "$2")" "$3"'
        veneer, _, store = self.words()
        return self.measure("sh", "-c", script, veneer, store, TAG, self.at("another"))

    def build(self, context):
        return self.time("build", "--progress", "plain", "-t", "bench/built", context)

    def end_service(self):
        for container in self.containers:
            self.call("umount", container)


class Podman(Tool):
    """Its runroot may not be longer than 50 characters."""

    runroot = None

    def start_service(self):
        self.runroot = tempfile.mkdtemp(prefix="vb.", dir="/tmp")

    def end_service(self):
        if self.runroot is not None:
            unmount_below(self.runroot)
            shutil.rmtree(self.runroot, ignore_errors=True)

    def words(self):
        return ["podman", "--root", self.at("root"), "--runroot", self.runroot, "--storage-driver", "overlay",
                "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "runc"]  # fmt: skip

    limits = ("--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")

    def create(self):
        container = self.call("create", *self.limits, TAG, "true")
        self.containers.append(container)
        return container, self.call("mount", container)

    def mounting(self):
        script = '"$@" mount "$("$@" create --network host --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 $0 true)"'
        return self.measure("sh", "-c", script, TAG, *self.words())


class Buildah(Tool):
    def words(self):
        return ["buildah", "--root", self.at("root"), "--runroot", self.at("run"), "--storage-driver", "overlay"]

    def load(self):
        return self.time("pull", "-q", "docker-archive:" + self.image.archive)

    def save(self):
        return self.time("push", "-q", TAG, f"docker-archive:{self.at('saved.tar')}:{TAG}")

    def create(self):
        container = self.call("from", TAG)
        return container, self.call("mount", container)

    def mounting(self):
        script = '"$@" mount "$("$@" from $0)"'
        return self.measure("sh", "-c", script, TAG, *self.words())

    def commit(self, container):
        return self.time("commit", "-q", container, "bench/changed")

    def build(self, context):
        return self.time("build", "--layers", "--isolation", "chroot", "--network", "host", "-t", "bench/built", context)

    diff = None


class Docker(Tool):
    """Its daemon, without a network. The path is an overlay of the container's own directories."""

    mounting = None

    def words(self):
        return ["docker"]

    def environment(self):
        return dict(os.environ, DOCKER_HOST="unix://" + self.at("sock"), DOCKER_CONFIG=self.at("client"), DOCKER_BUILDKIT="1")

    def build(self, context):
        return self.time("build", "--progress", "plain", "--network", "host", "-t", "bench/built", context)

    def start_service(self):
        os.mkdir(self.at("client"))
        for name in ("client/config.json", "daemon.json"):
            with open(self.at(name), "w", encoding="ascii") as file:
                file.write("{}\n")
        with open(self.at("log"), "wb") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--config-file", self.at("daemon.json"), "--data-root", self.at("data"),
                 "--exec-root", self.at("exec"), "--pidfile", self.at("pid"), "--host", "unix://" + self.at("sock"),
                 "--iptables=false", "--ip6tables=false", "--bridge=none"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(),
            )  # fmt: skip
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                self.call("version")
                return
            except Dead:
                time.sleep(0.1)
        with open(self.at("log"), encoding="utf-8", errors="replace") as log:
            raise Dead(f"dockerd does not start: {log.read()[-300:]}")

    def end_service(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def create(self):
        container = self.call("create", TAG, "true")
        data = json.loads(self.call("inspect", "-f", "{{json .GraphDriver.Data}}", container))
        path = self.at("m" + container[:8])
        os.mkdir(path)
        options = f"lowerdir={data['LowerDir']},upperdir={data['UpperDir']},workdir={data['WorkDir']}"
        # Relative, as dockerd has them itself, or ten layers do not fit.
        options = options.replace(self.at("data/overlay2") + "/", "")
        run("mount", "-t", "overlay", "-o", options, "overlay", path, cwd=self.at("data/overlay2"))
        self.containers.append(path)
        return container, path

    def commit(self, container):
        for path in self.containers:
            if os.path.ismount(path):
                run("umount", path)
        return super().commit(container)


class ManyFiles(Image):
    """100,000 files, 300 MiB of them."""

    name = "files"

    def __init__(self, cache, binaries, files):
        self.files = files
        super().__init__(cache, binaries)
        self.path += f"-{files}"

    def make_layers(self, folder):
        with LayerTar(os.path.join(folder, "1.tar")) as layer:
            for i in range(self.files):
                layer.file(f"data/part{i // 1000}/sub{i // 50 % 20}/file{i:06}", text(i, 3146))


def all_tools(binaries):
    Tool.binaries = binaries
    made = {"veneer": Veneer, "docker": Docker, "podman": Podman, "buildah": Buildah}
    return {name: tool for name, tool in made.items() if name == "veneer" or shutil.which(name)}


def workloads(large, files):
    """`large`: bytes of one file; `files`: how many small ones."""

    size = f"{large >> 20:,} MiB"

    def committing(change):
        def measure(tool):
            container, path = tool.create()
            change(path)
            sync(tool.disk.path)
            return tool.commit(container)

        return measure

    def one_file(path):
        run("dd", "if=/dev/urandom", "of=" + path + "/large", "bs=1M", f"count={large >> 20}", "status=none")

    def large_file(tool):
        """Beside a commit of it: what the digest alone takes."""
        seconds = committing(one_file)(tool)
        rows = {f"tool: commit {size} in one file": seconds}
        if tool.name == "veneer":
            run("dd", "if=/dev/urandom", "of=" + tool.at("hashed"), "bs=1M", f"count={large >> 20}", "status=none")
            rows[f"tool: openssl dgst -sha256 of {size}"] = tool.measure("openssl", "dgst", "-sha256", tool.at("hashed"))
        return rows

    def small_files(path):
        for i in range(files):
            where = f"{path}/new/{i // 100}"
            if i % 100 == 0:
                os.makedirs(where)
            with open(f"{where}/{i}", "wb") as file:
                file.write(b"%d\n" % i * 200)

    def ten_changes(path):
        for i in range(10):
            with open(f"{path}/data/part0/sub{i}/new", "wb") as file:
                file.write(b"new\n")

    def owners(path):
        run("chown", "-hR", "1000:1000", path + "/data")

    def diffing(tool):
        container, path = tool.create()
        small = os.path.join(path, "etc", "new")
        with open(small, "wb") as file:
            file.write(b"new\n")
        sync(tool.disk.path)
        return tool.diff(container)

    shared = {"kinds": ("tool",), "quick": False, "rounds": 0.6}
    one = {"sharing": "tools", **shared}
    yield Workload("tool: load the Debian image", lambda t: t.load(), wanted=(0.7,), **one)
    can = lambda what: lambda t: getattr(t, what, None) is not None
    yield Workload("tool: create and mount a container", lambda t: t.mounting(), suits=can("mounting"), **one)
    yield Workload("tool: diff of one new file", diffing, suits=can("diff"), **one)
    yield Workload("tool: save the Debian image", lambda t: t.save(), **one)
    yield Workload(f"tool: commit {size} in one file", large_file, wanted=(0.5,), **one)
    yield Workload(f"tool: commit {files:,} small files", committing(small_files), wanted=(0.5,), **one)
    two = {"image": "files", "sharing": "tools, files", **shared}
    loaded = lambda t: t.load()
    yield Workload("tool: load 100,000 files", loaded, **two)
    yield Workload("tool: commit 10 small changes in 100,000 files", committing(ten_changes), wanted=(0.5,),
                   at_most={"tool: commit 10 small changes in 100,000 files": 0.05}, **two)  # fmt: skip
    yield Workload("tool: commit chown -R of 300 MiB", committing(owners), wanted=(0.5,), **two)
