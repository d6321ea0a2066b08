"""An image's config, without what builders may choose, and its history."""

import re

# Docker's own, of the container that the classic builder made, or of no meaning to who runs it.
IGNORED = {
    "ArgsEscaped",
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Domainname",
    "Hostname",
    "Image",
    "MacAddress",
    "NetworkDisabled",
    "OpenStdin",
    "PublishService",
    "StdinOnce",
    "StdinOpen",
    "Tty",
}


def normalised(config):
    """What is set, with sets sorted."""
    said = {}
    for key, value in (config.get("config") or {}).items():
        if key in IGNORED or value in (None, "", [], {}, False):
            continue
        if key in ("ExposedPorts", "Volumes"):
            value = sorted(value)
        if key == "Labels":
            value = {k: v for k, v in value.items() if not k.startswith("io.buildah.")}
            if not value:
                continue
        said[key] = value
    for key in ("architecture", "os", "variant", "author"):
        if config.get(key):
            said[key] = config[key]
    return said


def history(config, base):
    """Steps after those of the base: what was done, and whether it made a layer."""
    steps = []
    for step in (config.get("history") or [])[len(base.get("history") or []) :]:
        done = step.get("created_by", "").removesuffix(" # buildkit")
        # Releases of BuildKit print these in several ways of Go's.
        done = re.sub(r"^EXPOSE map\[(.*)\]$", lambda m: "EXPOSE [" + m[1].replace(":{}", "") + "]", done)
        done = re.sub(r"^HEALTHCHECK &?\{.*\}$", "HEALTHCHECK", done)
        # dockerd with a store of its own ignores --link, and does not write it down.
        done = re.sub(r"^((?:COPY|ADD) (?:--\S+ )*?)--link ", r"\1", done)
        steps.append(("- " if step.get("empty_layer") else "+ ") + done)
    return steps


def compare(wanted, got):
    different = []
    for key in sorted(set(wanted) | set(got)):
        if wanted.get(key) != got.get(key):
            different.append(f"{key}: {got.get(key)!r}, not {wanted.get(key)!r}")
    return different
