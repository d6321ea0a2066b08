"""The builders that are compared: each with a store of its own in a folder, gone when that goes."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import time

TIMEOUT = 180


@dataclasses.dataclass
class Outcome:
    status: int
    output: str  # both streams


def run(words, env=None, stdin=None, cwd=None, timeout=TIMEOUT):
    """Runs to the end; past the timeout, ends the whole process group."""
    process = subprocess.Popen(
        words,
        env=env,
        cwd=cwd,
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return Outcome(124, output.decode("utf-8", "replace") + f"\nnot done after {timeout} s")
    return Outcome(process.returncode, output.decode("utf-8", "replace"))


def environment(extra):
    """A plain one: nothing of the caller's reaches a build, but for where programs are."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **extra}


def check(outcome, what):
    if outcome.status != 0:
        raise RuntimeError(f"{what}: {outcome.output.strip()}")


class Builder:
    """REQUIRES: start() before anything else; stop() once, whatever happened."""

    name = ""
    # Directories' times, "/" as the working directory, and the history are not compared.
    lenient = False

    def __init__(self, folder):
        self.folder = os.path.join(folder, self.name)
        os.makedirs(self.folder)

    def why_not(self, case):
        """Why it cannot build the case at all, or None."""
        return case.unsupported.get(self.name)

    def start(self):
        pass

    def stop(self):
        pass


class Veneer(Builder):
    name = "veneer"

    def __init__(self, folder, program):
        super().__init__(folder)
        self.words = [program, "--root", os.path.join(self.folder, "store")]

    def load(self, archive):
        check(run([*self.words, "load", "-i", archive]), "veneer load")

    def build(self, build, flags, context, tag):
        words = [*self.words, "build", "--progress", "plain", "-t", tag, *flags, context]
        return run(words, environment(build.env), build.stdin)

    def save(self, tag, path):
        check(run([*self.words, "save", "-o", path, tag]), "veneer save")


class BuildKit(Builder):
    """Docker's, as dockerd has it built in. A daemon of its own, without any network."""

    name = "buildkit"
    # The Dockerfile frontend that each release of Docker has, by its major version.
    FRONTENDS = {
        20: (1, 2),
        23: (1, 4),
        24: (1, 5),
        25: (1, 6),
        26: (1, 7),
        27: (1, 9),
        28: (1, 19),
        29: (1, 20),
    }

    def __init__(self, folder, dockerd, docker):
        super().__init__(folder)
        self.dockerd, self.docker = dockerd, docker
        self.daemon = None

    def start(self):
        home = self.folder
        os.makedirs(os.path.join(home, "client"))
        plugins = {"cliPluginsExtraDirs": plugin_folders(self.docker)}
        for name, content in (("client/config.json", plugins), ("daemon.json", {})):
            with open(os.path.join(home, name), "w", encoding="utf-8") as file:
                json.dump(content, file)
        host = f"unix://{home}/sock"
        self.env = {"DOCKER_HOST": host, "DOCKER_CONFIG": f"{home}/client", "DOCKER_BUILDKIT": "1"}
        words = [self.dockerd, "--config-file", f"{home}/daemon.json"]
        words += ["--data-root", f"{home}/data", "--exec-root", f"{home}/exec", "--pidfile", f"{home}/pid"]
        words += ["--host", host, "--iptables=false", "--ip6tables=false", "--bridge=none"]
        with open(os.path.join(home, "log"), "wb") as log:
            self.daemon = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        for _ in range(600):
            version = self.command(["version", "--format", "{{.Server.Version}}"])
            if version.status == 0:
                break
            if self.daemon.poll() is not None:
                break
            time.sleep(0.1)
        else:
            version.status = 1
        if version.status != 0:
            with open(os.path.join(home, "log"), encoding="utf-8", errors="replace") as log:
                raise RuntimeError("dockerd does not start:\n" + "".join(log.readlines()[-20:]))
        self.version = version.output.strip()
        major = int(re.match(r"\d+", self.version)[0])
        self.frontend = self.FRONTENDS.get(major, (1, 2) if major < 20 else (1, 20))
        self.lenient = self.frontend < (1, 4)  # times and history were others then

    def command(self, words, env=None, stdin=None):
        return run([self.docker, *words], environment({**self.env, **(env or {})}), stdin)

    def why_not(self, case):
        if case.since > self.frontend:
            return "its frontend is {}.{}, this came with {}.{}".format(*self.frontend, *case.since)
        return super().why_not(case)

    def stop(self):
        if self.daemon is None:
            return
        self.daemon.terminate()
        try:
            self.daemon.wait(60)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        # What a daemon that was killed leaves: containerd, which is known by its pid file.
        try:
            with open(os.path.join(self.folder, "exec/containerd/containerd.pid"), encoding="ascii") as file:
                os.kill(int(file.read()), signal.SIGTERM)
        except (OSError, ValueError):
            pass

    def load(self, archive):
        check(self.command(["load", "-i", archive]), "docker load")

    def build(self, build, flags, context, tag):
        words = ["build", "--progress", "plain"]
        if not any(flag.startswith("--network") for flag in flags):
            words += ["--network", "host"]  # there is no bridge
        return self.command([*words, "-t", tag, *flags, context], build.env, build.stdin)

    def save(self, tag, path):
        check(self.command(["save", "-o", path, tag]), "docker save")


class Buildah(Builder):
    name = "buildah"
    lenient = True

    def __init__(self, folder, program):
        super().__init__(folder)
        self.words = [program, "--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run"]
        self.words += ["--storage-driver", storage_driver(self.folder)]

    def stop(self):
        run([*self.words, "rm", "-a"])
        run([*self.words, "rmi", "-a", "-f"])

    def load(self, archive):
        check(run([*self.words, "pull", f"docker-archive:{archive}"]), "buildah pull")

    def build(self, build, flags, context, tag):
        words = [*self.words, "bud", "--isolation", "chroot", "--format", "docker", "--layers"]
        words += ["--pull-never", "-t", tag]
        if not any(flag.startswith("--network") for flag in flags):
            words += ["--network", "host"]
        return run([*words, *flags, context], environment(build.env), build.stdin)

    def save(self, tag, path):
        if os.path.exists(path):
            os.unlink(path)
        check(run([*self.words, "push", "-q", tag, f"docker-archive:{path}:{tag}"]), "buildah push")


def storage_driver(folder):
    """overlay, unless the kernel cannot stack it on this filesystem."""
    probe = os.path.join(folder, "probe")
    for name in ("lower", "upper", "work", "merged"):
        os.makedirs(os.path.join(probe, name))
    options = f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work"
    words = ["mount", "-t", "overlay", "-o", options, "none", f"{probe}/merged"]
    if run(words).status != 0:
        return "vfs"
    run(["umount", f"{probe}/merged"])
    return "overlay"


def plugin_folders(docker):
    """Where the docker command finds buildx; one that is not installed has it beside itself."""
    beside = os.path.join(os.path.dirname(os.path.dirname(docker)), "libexec/docker/cli-plugins")
    places = [beside, "/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins"]
    return [place for place in places if os.path.exists(os.path.join(place, "docker-buildx"))]


def buildkit_client():
    """The docker command that speaks BuildKit by itself: from 23 on it needs a plugin."""
    for program in (shutil.which("docker"), "/usr/bin/docker"):
        if program is None or not os.path.exists(program):
            continue
        version = re.search(r"version (\d+)", run([program, "--version"]).output)
        if version and (int(version[1]) < 23 or plugin_folders(program)):
            return program
    raise RuntimeError("no docker command here speaks BuildKit: 20.10, or one with buildx, is needed")


def unmount_below(folder):
    """What is still mounted there goes; the folder must not be removed before."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        targets = [line.split()[1].encode().decode("unicode_escape") for line in mounts]
    left = [target for target in reversed(targets) if target.startswith(folder + "/")]
    for target in left:
        if run(["umount", target]).status != 0:
            run(["umount", "-l", target])
    return left
