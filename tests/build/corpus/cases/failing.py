"""Contexts from elsewhere, and builds that fail as a whole."""

from case import Symlink, case

# ---- contexts ------------------------------------------------------------------------------------

case(
    "context_of_git",
    None,
    flags=["context=%GIT%#main:sub"],
    tree={"/from-git": 'f 644 0:0 "sub\\n"'},
    differs={"buildkit-20": "20.10 takes no directory of a git repository as a context"},
)
case(
    "context_of_git_commit",
    None,
    flags=["context=%GIT%#%FIRST_COMMIT%:sub"],
    tree={"/from-git": 'f 644 0:0 "sub\\n"'},
    differs={"buildkit-20": "20.10 takes no directory of a git repository as a context"},
)
case(
    "context_is_missing",
    None,
    flags=["context=%FILES%/nothing"],
    fails="(?i)not found|no such file|unable to|does not exist|invalid",
)
case(
    "context_is_a_symlink",
    None,
    flags=["context=%FILES%/way"],
    files={"d/Dockerfile": "FROM veneer/corpus\nCOPY file /out\n", "d/file": "A", "way": Symlink("d")},
)

# ---- failures ------------------------------------------------------------------------------------

case("base_is_missing", "FROM veneer/not-there-at-all\n", fails="(?i)not-there-at-all")
case(
    "stage_fails_before_the_last",
    """
    FROM veneer/corpus AS one
    RUN exit 9
    FROM veneer/corpus
    COPY --from=one /x /
    """,
    fails="exit code: 9",
)
case(
    "workdir_onto_a_file",
    """
    FROM veneer/corpus
    WORKDIR /data/file
    """,
    fails="(?i)(not a directory|exist|mkdir|file)",
    differs={"buildah": "the directory of WORKDIR is made when something runs"},
)
case(
    "user_is_unknown",
    """
    FROM veneer/corpus
    USER nobody-knows
    RUN true
    """,
    fails="(?i)unable to find user nobody-knows",
)
case(
    "user_is_unknown_but_unused",
    """
    FROM veneer/corpus
    USER nobody-knows
    """,
    config={"User": "nobody-knows"},
    tree={},
)
case(
    "group_is_unknown",
    """
    FROM veneer/corpus
    USER app:nothing
    RUN true
    """,
    fails="(?i)unable to find group nothing",
)
case(
    "no_shell",
    """
    FROM scratch
    COPY file /
    RUN true
    """,
    {"file": ""},
    fails="(?i)(not found|no such file)",
)
case("platform_is_another", "FROM --platform=linux/s390x veneer/corpus\n", fails=".")
case(
    "error_tells_line",
    """
    FROM veneer/corpus
    ENV A=1
    
    RUN exit 7
    """,
    fails="Dockerfile:4",
)
