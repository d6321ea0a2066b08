"""xfstests' generic tests of the group `quick`, by its own `check`.

`check` mounts and unmounts by itself, through mount(8): FUSE filesystems get a helper there. That,
and the users it wants, appear in a copy-on-write view of /usr/sbin and /etc that ends with the
mount namespace.
"""

import os
import re
import subprocess

from suites import run_limited
from targets import Dead, Fuse, KernelOverlay, run

HELPER = """#!/bin/bash
# mount.fuse.TYPE SOURCE TARGET [-sfnv] [-o OPTIONS] [-t TYPE]
source=$1 target=$2 options=
shift 2
while (($#)); do
  case $1 in
    -o) options=$2; shift ;;
    -t) shift ;;
  esac
  shift
done
case ,$options, in
  *,remount,*) exec mount -i -o "$options" "$target" ;;
esac
case $source in
"""
DEVICE = "veneer-{}-device"
USERS = (("fsgqa", 4201), ("123456-fsgqa", 4202), ("fsgqa2", 4203))


class Xfstests:
    """Counts the tests that ran; the others say that they do not apply."""

    title = "xfstests, generic/quick"

    def __init__(self, folder, tests, seconds):
        self.folder = folder
        self.tests = tests
        self.seconds = seconds

    def populate(self, lower):
        with open(os.path.join(lower, "of-the-lower"), "w", encoding="ascii") as file:
            file.write("content\n")

    def run(self, target):
        if isinstance(target, Fuse) and "veneerfs" not in os.path.basename(target.program):
            return {"not_run": "takes no fsname, by which check tells its two mounts apart"}
        scratch = target.twin(target.folder + ".scratch")
        try:
            scratch.start(self.populate)
            return self.check(target, scratch)
        finally:
            scratch.stop()

    def check(self, test, scratch):
        test.unmount()
        scratch.unmount()
        view_of_the_machine(test.folder)
        folder = os.path.join(test.folder, "check")
        config = {"RESULT_BASE": os.path.join(folder, "results")}
        for name, target in (("TEST", test), ("SCRATCH", scratch)):
            directory = os.path.join(folder, name.lower())
            os.makedirs(directory)
            config["TEST_DIR" if name == "TEST" else "SCRATCH_MNT"] = directory
            config[f"{name}_DEV"] = DEVICE.format(name.lower())  # a word that no path has in it
        os.mkdir(config["RESULT_BASE"])
        if isinstance(test, Fuse):
            kind = os.path.basename(test.program)
            config.update(FSTYP="fuse", FUSE_SUBTYP="." + kind)
            write_helper(f"/usr/sbin/mount.fuse.{kind}", test, scratch)
        elif isinstance(test, KernelOverlay):
            config.update(FSTYP="overlay", TEST_DEV=test.host, SCRATCH_DEV=scratch.host)
        else:
            config.update(FSTYP="ext4", TEST_DEV=test.device(), SCRATCH_DEV=scratch.device())
        write_df(os.path.join(folder, "df"))
        with open(os.path.join(folder, "config"), "w", encoding="ascii") as file:
            file.writelines(f"export {name}={value}\n" for name, value in config.items())
        environment = dict(os.environ, HOST_OPTIONS=file.name, PATH=folder + ":" + os.environ["PATH"])
        status, output = run_limited(
            ["./check", *self.tests], self.seconds, cwd=self.folder, env=environment
        )
        if status is None:
            raise Dead("check does not end")
        listed = {
            word: set(line.split())
            for word, line in re.findall(r"^(Ran|Not run|Failures):(.*)$", output, re.M)
        }
        if "Ran" not in listed:
            raise Dead(f"check does not start: {output[-500:]}")
        ran = listed["Ran"] - listed.get("Not run", set())
        failures = listed.get("Failures", set())
        lines = output.splitlines()
        said = {name: "".join(l for l in lines if l.startswith(name + " ")) for name in failures}
        failed = {name: re.sub(r" \(see [^)]*\)", "", text)[:200] for name, text in said.items()}
        return {"passed": len(ran - failures), "of": len(ran), "failed": failed}


def view_of_the_machine(folder):
    for place in ("/usr/sbin", "/etc"):
        over = os.path.join(folder, "view" + place.replace("/", "-"))
        os.makedirs(os.path.join(over, "upper"))
        os.makedirs(os.path.join(over, "work"))
        layers = f"lowerdir={place},upperdir={over}/upper,workdir={over}/work"
        run("mount", "-t", "overlay", "-o", layers, "overlay", place)
    with open("/etc/passwd", encoding="utf-8") as file:
        known = {line.split(":")[0] for line in file}
    for user, number in USERS:
        if user in known:
            continue
        with open("/etc/passwd", "a", encoding="utf-8") as file:
            file.write(f"{user}:x:{number}:{number}::/nonexistent:/bin/bash\n")
        with open("/etc/group", "a", encoding="utf-8") as file:
            file.write(f"{user}:x:{number}:\n")


def write_df(path):
    """`check` wants df to show FSTYP alone, without the subtype."""
    with open(path, "w", encoding="ascii") as file:
        file.write('#!/bin/bash\n/usr/bin/df "$@" | sed "s/ fuse[.][^ ]*/ fuse/"\n')
    os.chmod(path, 0o755)


def write_helper(path, test, scratch):
    with open(path, "w", encoding="utf-8") as file:
        file.write(HELPER)
        for name, target in (("test", test), ("scratch", scratch)):
            name = DEVICE.format(name)
            layers = target.layers() + ("," + target.options if target.options else "")
            file.write(f"  {name}) layers={layers} ;;\n")
        file.write("esac\n")
        file.write(f'exec {test.program} -o "$layers,fsname=$source${{options:+,$options}}" "$target"\n')
    os.chmod(path, 0o755)
