"""--chown and --chmod of COPY."""

from case import build, case
from cases.copying import TREE

case(
    "chown_name",
    """
    FROM veneer/corpus
    COPY --chown=app dir /new
    """,
    TREE,
)
case(
    "chown_name_and_group",
    """
    FROM veneer/corpus
    COPY --chown=app:staff dir /new/dir/
    """,
    TREE,
)
case(
    "chown_numbers",
    """
    FROM veneer/corpus
    COPY --chown=12:34 file /new/
    """,
    TREE,
)
case(
    "chown_number_alone",
    """
    FROM veneer/corpus
    COPY --chown=12 file /new
    """,
    TREE,
)
case(
    "chown_number_of_account_alone",
    """
    FROM veneer/corpus
    COPY --chown=1000 file /new
    """,
    TREE,
)
case(
    "chown_number_and_name",
    """
    FROM veneer/corpus
    COPY --chown=7:files file /new
    """,
    TREE,
)
case(
    "chown_group_alone",
    """
    FROM veneer/corpus
    COPY --chown=:staff file /new
    """,
    TREE,
)
case(
    "chown_keeps_existing_directories",
    """
    FROM veneer/corpus
    COPY --chown=app dir /data/sub
    """,
    {"dir/deep/new": "N"},
)
case(
    "chown_unknown_user",
    """
    FROM veneer/corpus
    COPY --chown=nobody-knows file /new
    """,
    TREE,
    differs={"buildah": "an unknown user is an error, not root"},
)
case(
    "chown_unknown_group",
    """
    FROM veneer/corpus
    COPY --chown=app:nothing file /new
    """,
    TREE,
    differs={"buildah": "an unknown group is an error, not root"},
)
case(
    "chown_names_of_the_target",
    """
    FROM %BASE% AS one
    FROM veneer/corpus
    COPY --from=one --chown=app /data/file /new
    """,
    before=[
        build(
            """
    FROM veneer/corpus
    RUN sed -i s/1000/7777/ /etc/passwd
    """
        )
    ],
)
case(
    "chown_without_passwd",
    """
    FROM scratch
    COPY --chown=app file /new
    """,
    TREE,
    fails="(?i)(passwd|unable to|invalid|unknown|no such|not found|find)",
)
case(
    "chown_root_without_passwd",
    """
    FROM scratch
    COPY --chown=root:root file /new
    """,
    TREE,
    differs={"buildah": "root has to be in /etc/passwd"},
)
case(
    "chown_numbers_without_passwd",
    """
    FROM scratch
    COPY --chown=5:6 file /new
    """,
    TREE,
)
case(
    "chmod_octal",
    """
    FROM veneer/corpus
    COPY --chmod=4711 file dir /new/
    """,
    TREE,
    differs={
        "buildah": "--chmod does not count for the directory that takes a directory's content",
        "buildkit-20": "in 20.10 --chmod sets no setuid bits, and not the mode of the directory that takes a directory's content",
    },
)
case(
    "chmod_octal_with_zero",
    """
    FROM veneer/corpus
    COPY --chmod=0600 file /new
    """,
    TREE,
)
case(
    "chmod_and_chown",
    """
    FROM veneer/corpus
    COPY --chown=app:app --chmod=640 dir /new
    """,
    TREE,
    differs={
        "buildah": "--chmod does not count for the directory that takes a directory's content",
        "buildkit-20": "in 20.10 --chmod sets no setuid bits, and not the mode of the directory that takes a directory's content",
    },
)
case(
    "chmod_keeps_symlinks",
    """
    FROM veneer/corpus
    COPY --chmod=600 dir /new
    """,
    TREE,
    differs={
        "buildah": "--chmod does not count for the directory that takes a directory's content",
        "buildkit-20": "in 20.10 --chmod sets no setuid bits, and not the mode of the directory that takes a directory's content",
    },
)
case(
    "chmod_symbolic",
    """
    FROM veneer/corpus
    COPY --chmod=u=rwX,go=rX dir /new
    COPY --chmod=+x file /x
    COPY --chmod=g+s,o-r file /s
    """,
    TREE,
    since="1.14",
    unsupported={"buildah": "it takes octal modes alone"},
    tree={
        "/new": "d 755 0:0 @1500000001",
        "/new/a": 'f 644 0:0 "A" @1500000002',
        "/new/link": "l 0:0 -> sub/b @1500000005",
        "/new/sub": "d 755 0:0 @1500000003",
        "/new/sub/b": 'f 755 0:0 "B" @1500000004',
        "/x": 'f 755 0:0 "F" @1500000006',
        "/s": 'f 2640 0:0 "F" @1500000006',
    },
)
case(
    "chmod_from_argument",
    """
    FROM veneer/corpus
    ARG MODE=711
    COPY --chmod=$MODE file /x
    """,
    TREE,
    since="1.14",
    tree={"/x": 'f 711 0:0 "F" @1500000006'},
)
case(
    "chmod_nonsense",
    """
    FROM veneer/corpus
    COPY --chmod=rwx! file /x
    """,
    TREE,
    fails="(?i)invalid (chmod|syntax)|octal|mode",
    differs={"buildkit-20": "20.10 reads nothing but octal numbers, and takes others for 0"},
)
