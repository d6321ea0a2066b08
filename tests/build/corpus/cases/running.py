"""RUN: its environment, mounts, network, and what it leaves in the layer."""

from case import case

case(
    "root_and_directory",
    """
    FROM veneer/corpus
    RUN id -u >/out; pwd >>/out; echo $HOME >>/out; umask >>/out
    """,
)
case(
    "environment",
    """
    FROM veneer/corpus
    ARG A=arg
    ENV E=env
    RUN env | grep -E '^(A|E|BASE|HOME|PATH)=' | sort >/out
    """,
)
case(
    "shell_features",
    'FROM veneer/corpus\nRUN set -- a b; for x in "$@"; do echo $x; done | tac >/out; echo $(( 6 * 7 )) >>/out\n',
)
case(
    "standard_input_is_empty",
    """
    FROM veneer/corpus
    RUN cat | wc -c >/out
    """,
)
case(
    "output_is_shown",
    """
    FROM veneer/corpus
    RUN echo to-stdout-$((40+2)); echo to-stderr-$((40+3)) >&2
    """,
    said="to-stdout-42(.|\n)*to-stderr-43|to-stderr-43(.|\n)*to-stdout-42",
    tree={},
)
case(
    "exit_status",
    """
    FROM veneer/corpus
    RUN exit 42
    """,
    fails="exit code: 42",
)
case(
    "failing_command_not_found",
    """
    FROM veneer/corpus
    RUN no-such-program
    """,
    fails="(?i)exit code: 127",
)
case(
    "failing_exec_form_not_found",
    'FROM veneer/corpus\nRUN ["/no/such"]\n',
    fails="(?i)(not found|no such file)",
)
case(
    "failing_shows_output",
    """
    FROM veneer/corpus
    RUN echo last-$((1+1))-words && exit 3
    """,
    fails="last-2-words(.|\n)*exit code: 3",
)
case(
    "killed_by_signal",
    """
    FROM veneer/corpus
    RUN sleep 9 & kill -KILL $!; wait $!
    """,
    fails="exit code: 137",
)
case(
    "failing_in_the_middle",
    """
    FROM veneer/corpus
    RUN echo 1
    RUN false
    RUN echo 3
    """,
    fails="exit code: 1",
)
case(
    "background_process_does_not_stay",
    """
    FROM veneer/corpus
    RUN sleep 1000 & echo x >/out
    """,
)
case(
    "no_stubs_left_on_scratch",
    """
    FROM veneer/corpus AS b
    FROM scratch
    COPY --from=b /bin /bin
    RUN echo x >/out
    """,
    since="1.4",
    differs={
        "veneer": "BuildKit leaves the directories /dev, /proc and /sys that it mounted on, Veneer nothing",
        "buildah": "it leaves the directories that it mounted on",
    },
)
case(
    "resolv_conf_is_not_changed",
    """
    FROM veneer/corpus
    RUN test -e /etc/resolv.conf && test -s /etc/hosts && echo x >/out
    """,
)
case(
    "proc_sys_dev_are_there",
    """
    FROM veneer/corpus
    RUN test -e /proc/self/status && test -d /sys/kernel && test -c /dev/null && echo x >/dev/null && echo ok >/out
    """,
)
case(
    "dev_is_not_in_the_layer",
    """
    FROM veneer/corpus
    RUN touch /dev/mine /proc/none /sys/none 2>/dev/null; mkdir -p /dev/shm/x; echo ok >/out
    """,
)
case(
    "removed_and_made_again",
    """
    FROM veneer/corpus
    RUN rm /data/file && echo new >/data/file
    """,
)
case(
    "working_dir_removed_later",
    """
    FROM veneer/corpus
    WORKDIR /gone
    RUN rmdir /gone && echo x >/out
    RUN pwd >/out2
    """,
)
case(
    "capabilities_are_dockers",
    """
    FROM veneer/corpus
    RUN grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status >/out
    """,
    differs={"buildah": "its chroot isolation gives its own set"},
)
case(
    "no_new_device_nodes_but_mknod",
    """
    FROM veneer/corpus
    RUN mknod /null c 1 3 && mkfifo /fifo
    """,
    differs={"buildah": "its chroot isolation makes no devices"},
)
case(
    "cannot_mount",
    """
    FROM veneer/corpus
    RUN mount -t tmpfs none /data && echo yes >/out || echo no >/out
    """,
)
case(
    "process_tree_is_its_own",
    """
    FROM veneer/corpus
    RUN ps | wc -l | awk '{ print ($1 < 8) }' >/out
    """,
    differs={"buildah": "its chroot isolation shows the host's processes"},
)
case(
    "as_user_cannot_write_roots",
    """
    FROM veneer/corpus
    USER app
    RUN echo x >/data/file || echo refused >/tmp/out
    """,
)
case(
    "user_without_home_directory",
    """
    FROM veneer/corpus
    USER dev
    RUN echo $HOME >/tmp/out
    """,
)

# ---- network and limits --------------------------------------------------------------------------

case(
    "network_none",
    """
    FROM veneer/corpus
    RUN --network=none ip -o link | wc -l >/out
    """,
    since="1.3",
    unsupported={"buildah": "its chroot isolation has the host's network"},
)
case(
    "network_flag_none",
    """
    FROM veneer/corpus
    RUN ip -o addr show scope global | wc -l >/out
    """,
    flags=["--network", "none"],
    differs={"buildah": "its chroot isolation has the host's network"},
)
case(
    "network_host_reaches_the_host",
    """
    FROM veneer/corpus
    RUN wget -q -O /out %HTTP%/file.txt
    """,
    flags=["--network", "host"],
)
case(
    "add_host",
    """
    FROM veneer/corpus
    RUN grep -E '10.1.2.3\\s+there' /etc/hosts | wc -l >/out
    """,
    flags=["--add-host", "there:10.1.2.3"],
)
case(
    "add_host_is_not_in_the_layer",
    """
    FROM veneer/corpus
    RUN grep -c there /etc/hosts >/out
    """,
    flags=["--add-host", "there:10.1.2.3", "--add-host", "other:10.1.2.4"],
)
case(
    "shm_size",
    """
    FROM veneer/corpus
    RUN df -k /dev/shm | tail -n 1 | awk '{ print $2 }' >/out
    """,
    flags=["--shm-size", "32m"],
    since="1.4",
    unsupported={"buildah": "its chroot isolation has the host's /dev/shm"},
)
case(
    "ulimit",
    """
    FROM veneer/corpus
    RUN ulimit -n >/out; ulimit -Hn >>/out
    """,
    flags=["--ulimit", "nofile=123:456"],
    since="1.4",
)
case(
    "hostname",
    """
    FROM veneer/corpus
    RUN hostname >/out; cat /etc/hostname >>/out 2>/dev/null; true
    """,
    since="1.3",
    differs={"buildah": "the container's is its own"},
)
