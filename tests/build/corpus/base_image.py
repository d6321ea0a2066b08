"""The image that cases start from: veneer/corpus, a busybox with a second layer of what they need."""

import hashlib
import io
import json
import os
import subprocess
import tarfile

NAME = "veneer/corpus"
TIME = 1_700_000_000
SMALL = "veneer/corpus-small:latest"
# cap_net_raw=ep, as the kernel keeps it on disk (revision 2).
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/sh
app:x:1000:1000:App:/home/app:/bin/sh
dev:x:1001:1001:Dev:/home/dev:/bin/sh
"""
GROUP = """\
root:x:0:
daemon:x:1:
staff:x:50:app,dev
app:x:1000:
dev:x:1001:
files:x:2000:app
"""

# path: type, mode, uid, gid, content or target
ENTRIES = {
    "etc/passwd": ("f", 0o644, 0, 0, PASSWD),
    "etc/group": ("f", 0o644, 0, 0, GROUP),
    # There, so that no builder has to make them to mount its own on.
    "etc/hosts": ("f", 0o644, 0, 0, ""),
    "etc/hostname": ("f", 0o644, 0, 0, ""),
    "etc/resolv.conf": ("f", 0o644, 0, 0, ""),
    "run": ("d", 0o755, 0, 0, None),
    "home/app": ("d", 0o750, 1000, 1000, None),
    "home/app/.profile": ("f", 0o600, 1000, 1000, "profile\n"),
    "data": ("d", 0o755, 0, 0, None),
    "data/file": ("f", 0o644, 0, 0, "base file\n"),
    "data/other": ("f", 0o640, 1000, 50, "base other\n"),
    "data/sub": ("d", 0o750, 1000, 1000, None),
    "data/sub/file": ("f", 0o644, 0, 0, "base sub file\n"),
    "data/sub/deep": ("d", 0o755, 0, 0, None),
    "data/sub/deep/file": ("f", 0o644, 0, 0, "base deep file\n"),
    "data/empty": ("d", 0o755, 0, 0, None),
    "links": ("d", 0o755, 0, 0, None),
    "links/absolute": ("l", 0o777, 0, 0, "/data"),
    "links/relative": ("l", 0o777, 0, 0, "../data"),
    "links/chain": ("l", 0o777, 0, 0, "absolute"),
    "links/dangling": ("l", 0o777, 0, 0, "/nowhere/dir"),
    "links/escaping": ("l", 0o777, 0, 0, "../../../../../../data"),
    "links/file": ("l", 0o777, 0, 0, "../data/file"),
    "links/loop": ("l", 0o777, 0, 0, "loop"),
    "links/ping": ("l", 0o777, 0, 0, "pong"),
    "links/pong": ("l", 0o777, 0, 0, "ping"),
    "odd": ("d", 0o755, 0, 0, None),
    "odd/setuid": ("f", 0o4755, 0, 0, "setuid\n"),
    "odd/setgid": ("f", 0o2755, 0, 50, "setgid\n"),
    "odd/sticky": ("d", 0o1777, 0, 0, None),
    "odd/setgid-dir": ("d", 0o2775, 0, 50, None),
    "odd/capable": ("f", 0o755, 0, 0, "capable\n"),
    "odd/one": ("f", 0o644, 0, 0, "linked\n"),
    "odd/two": ("h", 0o644, 0, 0, "odd/one"),
    "odd/fifo": ("p", 0o644, 0, 0, None),
    "odd/far": ("f", 0o644, 3000000, 4000000, "far\n"),
    "odd/naïve – ☃": ("f", 0o644, 0, 0, "unicode\n"),
}
TYPES = {
    "f": tarfile.REGTYPE,
    "d": tarfile.DIRTYPE,
    "l": tarfile.SYMTYPE,
    "h": tarfile.LNKTYPE,
    "p": tarfile.FIFOTYPE,
}


def second_layer():
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, (kind, mode, uid, gid, what) in ENTRIES.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode, entry.uid, entry.gid = TYPES[kind], mode, uid, gid
            entry.mtime = TIME
            content = what.encode() if kind == "f" else b""
            entry.size = len(content)
            if kind in "lh":
                entry.linkname = what
            if path == "odd/capable":
                entry.pax_headers["SCHILY.xattr.security.capability"] = CAPABILITY.decode(
                    "utf-8", "surrogateescape"
                )
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def make(source, out):
    """Writes the docker-archive. `source`: the checkout, for scripts/make-base-image."""
    small = out + ".small"
    subprocess.run(
        [os.path.join(source, "scripts", "make-base-image"), "--small", small, SMALL],
        check=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(TIME)},
    )
    with tarfile.open(small) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]
        config = json.load(tar.extractfile(manifest["Config"]))
        layers = [tar.extractfile(name).read() for name in manifest["Layers"]]
    os.unlink(small)
    layers.append(second_layer())
    config["rootfs"]["diff_ids"] = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    config["config"]["Env"].append("BASE=from the base")
    config["config"]["Labels"] = {"base": "yes", "kept": "of the base"}
    config["history"].insert(1, {"created": config["created"], "created_by": "what the corpus needs"})
    config = json.dumps(config, sort_keys=True).encode()
    names = [hashlib.sha256(layer).hexdigest() + "/layer.tar" for layer in layers]
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [NAME + ":latest"], "Layers": names}]
    with tarfile.open(out, "w") as tar:
        for name, content in [
            *zip(names, layers),
            (config_name, config),
            ("manifest.json", json.dumps(manifest).encode()),
        ]:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
