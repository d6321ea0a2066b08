"""What a RUN changes, as its layer has it: special files, links, attributes, deletions."""

from case import case

# ---- what is written -----------------------------------------------------------------------------

case(
    "special_files_by_run",
    """
    FROM veneer/corpus
    RUN mkdir /s && cd /s && echo x >setuid && chmod 4755 setuid && mkdir -m 1777 sticky && ln -s ../data link \\
      && ln setuid hard && mkfifo -m 600 pipe && mknod -m 640 dev c 1 5 && truncate -s 3M sparse && : >empty \\
      && chown -h 3:4 link && chown 70000:80000 empty && touch "a b" 'ünï' "$(printf 'n\\nl')"
    """,
)
case(
    "capability_survives_rename",
    """
    FROM veneer/corpus
    RUN mv /odd/capable /odd/still
    """,
)
case(
    "capability_is_lost_by_chown",
    """
    FROM veneer/corpus
    RUN chown app /odd/capable
    """,
)
case(
    "setuid_is_lost_by_chown",
    """
    FROM veneer/corpus
    RUN chown app /odd/setuid
    """,
)
case(
    "chmod_alone",
    """
    FROM veneer/corpus
    RUN chmod 600 /data/file && chmod 700 /data
    """,
)
case(
    "chown_recursive",
    """
    FROM veneer/corpus
    RUN chown -R dev:staff /data
    """,
)
case(
    "touch_alone",
    """
    FROM veneer/corpus
    RUN touch -d @1300000000 /data/file
    """,
)
case(
    "nothing_changes",
    """
    FROM veneer/corpus
    RUN true
    """,
    tree={},
)
case(
    "written_as_it_was",
    """
    FROM veneer/corpus
    RUN cat /data/file >/x && cat /x >/data/file
    """,
)
case(
    "link_to_base_file",
    """
    FROM veneer/corpus
    RUN ln /data/file /data/linked
    """,
    tree={
        "/data/file": 'f 644 0:0 "base file\\n" @1700000000 =/data/linked',
        "/data/linked": 'f 644 0:0 "base file\\n" @1700000000 =/data/file',
    },
)
case(
    "write_through_one_of_two_names",
    """
    FROM veneer/corpus
    RUN echo more >>/odd/one
    """,
    tree={
        "/odd/one": 'f 644 0:0 "linked\\nmore\\n" =/odd/two',
        "/odd/two": 'f 644 0:0 "linked\\nmore\\n" =/odd/one',
    },
    differs={
        "buildkit": "the kernel's overlayfs parts the names of a file when one is written",
        "buildah": "the kernel's overlayfs parts the names of a file when one is written",
    },
)
case(
    "remove_one_of_two_names",
    """
    FROM veneer/corpus
    RUN rm /odd/two
    """,
)
case(
    "big_output",
    """
    FROM veneer/corpus
    RUN dd if=/dev/zero bs=1M count=24 2>/dev/null | tr '\\0' x >/big
    """,
)
case(
    "many_files_by_run",
    """
    FROM veneer/corpus
    RUN mkdir /m && cd /m && for i in $(seq 500); do echo $i >$i; done
    """,
)

# ---- deletions -----------------------------------------------------------------------------------

case(
    "rm_file",
    """
    FROM veneer/corpus
    RUN rm /data/file
    """,
)
case(
    "rm_directory",
    """
    FROM veneer/corpus
    RUN rm -r /data
    """,
)
case(
    "rm_and_again_as_directory",
    """
    FROM veneer/corpus
    RUN rm /data/file && mkdir /data/file && echo x >/data/file/x
    """,
)
case(
    "directory_becomes_file",
    """
    FROM veneer/corpus
    RUN rm -r /data/sub && echo x >/data/sub
    """,
)
case(
    "directory_becomes_symlink",
    """
    FROM veneer/corpus
    RUN rm -r /data/sub && ln -s /etc /data/sub
    """,
)
case(
    "symlink_becomes_directory",
    """
    FROM veneer/corpus
    RUN rm /links/absolute && mkdir /links/absolute && touch /links/absolute/x
    """,
)
case(
    "opaque_directory",
    """
    FROM veneer/corpus
    RUN rm -r /data && mkdir /data && echo new >/data/new
    """,
)
case(
    "opaque_directory_with_old_names",
    """
    FROM veneer/corpus
    RUN rm -r /data && mkdir -p /data/sub && echo new >/data/sub/file
    """,
)
case(
    "deleted_then_copied",
    """
    FROM veneer/corpus
    RUN rm -r /data
    COPY d /data
    """,
    {"d/new": "N"},
)
case(
    "deleted_in_three_layers",
    """
    FROM veneer/corpus
    RUN echo 1 >/x
    RUN rm /x
    RUN echo 2 >/x; rm /data/file
    RUN rm /x; echo back >/data/file
    """,
)
case(
    "made_and_deleted_is_nothing",
    """
    FROM veneer/corpus
    RUN echo 1 >/x && rm /x
    """,
    tree={},
)
case(
    "rename_directory",
    """
    FROM veneer/corpus
    RUN mv /data /moved
    """,
)
case(
    "rename_and_back",
    """
    FROM veneer/corpus
    RUN mv /data /moved && mv /moved /data
    """,
)
case(
    "exchange_of_directories",
    """
    FROM veneer/corpus
    RUN mv /data/sub /x && mv /data/empty /data/sub && mv /x /data/empty
    """,
)
case(
    "whiteout_like_names",
    """
    FROM veneer/corpus
    RUN echo x >/data/.whatever; echo y >/data/wh.file; mkdir /data/..wh; echo z >/data/..wh/x
    """,
)
case(
    "empty_base_directory_removed",
    """
    FROM veneer/corpus
    RUN rmdir /data/empty
    """,
)
