"""ADD: URLs, git, archives."""

import bz2
import gzip
import io
import lzma
import tarfile

from case import Dir, File, build, case
from services import CHECKSUM, small_tar

# ---- from the web --------------------------------------------------------------------------------

case(
    "url_to_name",
    """
    FROM veneer/corpus
    ADD %HTTP%/file.txt /new
    """,
)
case(
    "url_to_directory",
    """
    FROM veneer/corpus
    ADD %HTTP%/file.txt /new/
    """,
)
case(
    "url_undated",
    """
    FROM veneer/corpus
    ADD %HTTP%/undated /new
    """,
)
case(
    "url_chown_chmod",
    """
    FROM veneer/corpus
    ADD --chown=app --chmod=755 %HTTP%/file.txt /new
    """,
    differs={"buildkit-20": "20.10 does not know --chmod with ADD of a URL"},
)
case(
    "url_redirected",
    """
    FROM veneer/corpus
    ADD %HTTP%/redirect /new
    """,
)
case(
    "url_with_query",
    """
    FROM veneer/corpus
    ADD %HTTP%/query?a=b /new/
    """,
)
case(
    "url_named_by_header",
    """
    FROM veneer/corpus
    ADD %HTTP%/disposition /new/
    """,
)
case(
    "url_archive_is_not_unpacked",
    """
    FROM veneer/corpus
    ADD %HTTP%/archive.tar.gz /new/
    """,
)
case(
    "url_with_variable",
    """
    FROM veneer/corpus
    ARG F=file.txt
    ADD %HTTP%/$F /new/
    """,
)
case(
    "url_and_file",
    """
    FROM veneer/corpus
    ADD %HTTP%/file.txt local /new/
    """,
    {"local": "L"},
)
case(
    "url_missing",
    """
    FROM veneer/corpus
    ADD %HTTP%/nothing /new
    """,
    fails="(?i)404",
)
case(
    "url_without_name_to_directory",
    """
    FROM veneer/corpus
    ADD %HTTP%/dir/ /new/
    """,
)
case(
    "url_refused_by_copy",
    """
    FROM veneer/corpus
    COPY %HTTP%/file.txt /new
    """,
    fails="(?i)source can't be a URL for COPY|not a URL|not found|no such",
)
case(
    "checksum",
    f"""
    FROM veneer/corpus
    ADD --checksum={CHECKSUM} %HTTP%/file.txt /new
    """,
    since="1.6",
    unsupported={"buildah": "it does not know --checksum"},
    tree={"/new": 'f 600 0:0 "from the web\\n" @1600000000'},
)
case(
    "checksum_wrong",
    f"""
    FROM veneer/corpus
    ADD --checksum=sha256:{'0' * 64} %HTTP%/file.txt /new
    """,
    since="1.6",
    fails="(?i)digest mismatch|mismatch|checksum",
)

# ---- from git ------------------------------------------------------------------------------------

GIT = {"buildah": "ADD of a repository came with 1.33"}
case(
    "git",
    """
    FROM veneer/corpus
    ADD %GIT% /src
    """,
    since="1.6",
    unsupported=GIT,
    tree={
        "/src": "d 755 0:0",
        "/src/README": 'f 644 0:0 "second\\n"',
        "/src/link": "l 0:0 -> README",
        "/src/sub": "d 755 0:0",
        "/src/sub/Dockerfile": 'f 644 0:0 "FROM scratch\\nCOPY file /from-git\\n"',
        "/src/sub/file": 'f 644 0:0 "sub\\n"',
        "/src/tool": 'f 755 0:0 "#!/bin/sh\\n"',
    },
)
case(
    "git_directory_is_kept_and_the_same_again",
    """
    FROM scratch AS one
    ADD --keep-git-dir=true %GIT% /src
    FROM veneer/corpus
    RUN --mount=from=one,source=/src,target=/tmp test -s /tmp/.git/index && echo 1 >/out
    """,
    then=[build()],
    same_image=True,
    tree={"/out": 'f 644 0:0 "1\\n"'},
    unsupported={"buildkit": "not recorded", "buildah": "not tried"},
)
case(
    "git_branch_and_directory",
    """
    FROM veneer/corpus
    ADD %GIT%#side:sub /src/
    """,
    since="1.6",
    unsupported=GIT,
    tree={
        "/src": "d 755 0:0",
        "/src/Dockerfile": 'f 644 0:0 "FROM scratch\\nCOPY file /from-git\\n"',
        "/src/file": 'f 644 0:0 "sub\\n"',
    },
)
case(
    "git_tag",
    """
    FROM veneer/corpus
    ADD %GIT%#v1 /src/
    """,
    since="1.6",
    unsupported=GIT,
)
case(
    "git_commit",
    """
    FROM veneer/corpus
    ADD %GIT%#%FIRST_COMMIT% /src/
    """,
    since="1.6",
    unsupported=GIT,
)
case(
    "git_missing_branch",
    """
    FROM veneer/corpus
    ADD %GIT%#nothing /src/
    """,
    since="1.6",
    fails="(?i)(couldn't find|not found|could not|no such|failed|unknown)",
)

# ---- archives of the context ---------------------------------------------------------------------


def archive(compress=bytes):
    return compress(small_tar())


FORMATS = {
    "plain": archive(),
    "gzip": gzip.compress(small_tar(), mtime=0),
    "bzip2": bz2.compress(small_tar()),
    "xz": lzma.compress(small_tar()),
}
for name, content in FORMATS.items():
    case(
        f"archive_{name}",
        """
    FROM veneer/corpus
    ADD a /new/
    """,
        {"a": content},
    )
case(
    "archive_whatever_its_name",
    """
    FROM veneer/corpus
    ADD a.txt /new/
    ADD not.tar.gz /new/
    """,
    {"a.txt": FORMATS["gzip"], "not.tar.gz": "only text"},
)
case(
    "archive_to_name_without_slash",
    """
    FROM veneer/corpus
    ADD a /new
    """,
    {"a": FORMATS["gzip"]},
)
case(
    "archive_is_not_unpacked_by_copy",
    """
    FROM veneer/corpus
    COPY a /new/
    """,
    {"a": FORMATS["gzip"]},
)
case(
    "archive_into_existing",
    """
    FROM veneer/corpus
    ADD a /data
    """,
    {"a": archive()},
)
case(
    "archive_keeps_owners",
    """
    FROM veneer/corpus
    USER app
    ADD a /new/
    """,
    {"a": archive()},
)
case(
    "archive_chown",
    """
    FROM veneer/corpus
    ADD --chown=app:staff a /new/
    """,
    {"a": archive()},
    since="1.4",
    differs={"buildah": "--chown does not count for what is unpacked"},
)
case(
    "archive_several",
    """
    FROM veneer/corpus
    ADD a b c /new/
    """,
    {"a": archive(), "b": gzip.compress(b"not a tar", mtime=0), "c": "text"},
)
case(
    "archive_glob",
    """
    FROM veneer/corpus
    ADD *.tar /new/
    """,
    {"a.tar": archive(), "b.tar": "text"},
)
case(
    "archive_from_directory_is_copied",
    """
    FROM veneer/corpus
    ADD d /new/
    """,
    {"d/a.tar": archive()},
)
case(
    "gzip_of_no_tar_is_copied",
    """
    FROM veneer/corpus
    ADD a.gz /new/
    """,
    {"a.gz": gzip.compress(b"text\n", mtime=0)},
)
case(
    "archive_cut_short",
    """
    FROM veneer/corpus
    ADD a /new/
    """,
    {"a": archive()[:700]},
    differs={"veneer": "a tar that is cut short is refused"},
)
case(
    "archive_unpack_false",
    """
    FROM veneer/corpus
    ADD --unpack=false a /new/
    """,
    {"a": archive()},
    since="1.17",
    unsupported={"buildah": "it does not know --unpack"},
)
case(
    "archive_unpack_of_url",
    """
    FROM veneer/corpus
    ADD --unpack=true %HTTP%/archive.tar.gz /new/
    """,
    since="1.17",
    unsupported={"buildah": "it does not know --unpack"},
    tree={
        "/new": "d 755 0:0",
        "/new/dir": "d 755 0:0",
        "/new/dir/inner": 'f 644 0:0 "inner\\n" @1500000000',
        "/new/owned": 'f 644 1234:1234 "owned\\n" @1500000000',
    },
)


def odd_tar(*entries):
    """Entries that a good archive has not: (name, type, target)."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, kind, what in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mtime = kind, 1_500_000_000
            content = what.encode() if kind == tarfile.REGTYPE else b""
            entry.size = len(content)
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                entry.linkname = what
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()


FILE, SYMLINK, HARD, DIRECTORY = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
case(
    "archive_of_links",
    """
    FROM veneer/corpus
    ADD a /new/
    """,
    {"a": odd_tar(("f", FILE, "F"), ("h", HARD, "f"), ("s", SYMLINK, "/data"), ("d", DIRECTORY, ""))},
)
case(
    "archive_names_lead_out",
    """
    FROM veneer/corpus
    ADD a /new/
    """,
    {"a": odd_tar(("../../../../outside-of-corpus", FILE, "F"), ("in", FILE, "I"))},
    fails="outside-of-corpus",
    differs={
        "buildah": "such an entry ends up inside the root",
        "buildkit-20": "20.10 puts such an entry inside the root",
    },
)
case(
    "archive_absolute_names_are_below",
    """
    FROM veneer/corpus
    ADD a /new/
    """,
    {"a": odd_tar(("/etc/inner", FILE, "F"))},
)
case(
    "archive_symlink_then_through_it",
    """
    FROM veneer/corpus
    ADD a /new/
    """,
    {"a": odd_tar(("way", SYMLINK, "/data"), ("way/through", FILE, "F"))},
    differs={
        "buildah": "it goes through the symlink, inside the root",
        "buildkit-20": "20.10 fails at what is behind such a symlink",
    },
)

# ---- as COPY does --------------------------------------------------------------------------------

case(
    "local_file",
    """
    FROM veneer/corpus
    ADD f /new
    ADD f /newdir/
    """,
    {"f": File("F", mode=0o640)},
)
case(
    "local_directory",
    """
    FROM veneer/corpus
    ADD d /new
    """,
    {"d": Dir(mode=0o711), "d/x": "X"},
)
case(
    "add_from_is_refused",
    """
    FROM veneer/corpus
    ADD --from=veneer/corpus /data/file /x
    """,
    fails="(?i)unknown flag: (--)?from|invalid|not support",
)
