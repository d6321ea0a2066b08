"""RUN: its environment, mounts, network, and what it leaves in the layer."""

from case import Dir, File, case

case("root_and_directory", "FROM veneer/corpus\nRUN id -u >/out; pwd >>/out; echo $HOME >>/out; umask >>/out\n")
case("environment", "FROM veneer/corpus\nARG A=arg\nENV E=env\nRUN env | grep -E '^(A|E|BASE|HOME|PATH)=' | sort >/out\n")
case("shell_features", "FROM veneer/corpus\nRUN set -- a b; for x in \"$@\"; do echo $x; done | tac >/out; echo $(( 6 * 7 )) >>/out\n")
case("standard_input_is_empty", "FROM veneer/corpus\nRUN cat | wc -c >/out\n")
case("output_is_shown", "FROM veneer/corpus\nRUN echo to-stdout-$((40+2)); echo to-stderr-$((40+3)) >&2\n", said="to-stdout-42(.|\n)*to-stderr-43", tree={})
case("exit_status", "FROM veneer/corpus\nRUN exit 42\n", fails="exit code: 42")
case("failing_command_not_found", "FROM veneer/corpus\nRUN no-such-program\n", fails="(?i)exit code: 127")
case("failing_exec_form_not_found", 'FROM veneer/corpus\nRUN ["/no/such"]\n', fails="(?i)(not found|no such file)")
case("failing_shows_output", "FROM veneer/corpus\nRUN echo last-$((1+1))-words && exit 3\n", fails="last-2-words(.|\n)*exit code: 3")
case("killed_by_signal", "FROM veneer/corpus\nRUN kill -KILL $$\n", fails="exit code: 137")
case("failing_in_the_middle", "FROM veneer/corpus\nRUN echo 1\nRUN false\nRUN echo 3\n", fails="exit code: 1")
case("background_process_does_not_stay", "FROM veneer/corpus\nRUN sleep 1000 & echo x >/out\n")
case("no_stubs_left_on_scratch", "FROM veneer/corpus AS b\nFROM scratch\nCOPY --from=b /bin /bin\nRUN echo x >/out\n", since="1.4", differs={"buildah": "it leaves the directories that it mounted on"})
case("resolv_conf_is_not_changed", "FROM veneer/corpus\nRUN test -e /etc/resolv.conf && test -s /etc/hosts && echo x >/out\n")
case("proc_sys_dev_are_there", "FROM veneer/corpus\nRUN test -e /proc/self/status && test -d /sys/kernel && test -c /dev/null && echo x >/dev/null && echo ok >/out\n")
case("dev_is_not_in_the_layer", "FROM veneer/corpus\nRUN touch /dev/mine /proc/none /sys/none 2>/dev/null; mkdir -p /dev/shm/x; echo ok >/out\n")
case("removed_and_made_again", "FROM veneer/corpus\nRUN rm /data/file && echo new >/data/file\n")
case("working_dir_removed_later", "FROM veneer/corpus\nWORKDIR /gone\nRUN rmdir /gone && echo x >/out\nRUN pwd >/out2\n")
case("capabilities_are_dockers", "FROM veneer/corpus\nRUN grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status >/out\n", differs={"buildah": "its chroot isolation gives its own set"})
case("no_new_device_nodes_but_mknod", "FROM veneer/corpus\nRUN mknod /null c 1 3 && mkfifo /fifo\n")
case("cannot_mount", "FROM veneer/corpus\nRUN mount -t tmpfs none /data && echo yes >/out || echo no >/out\n")
case("process_tree_is_its_own", "FROM veneer/corpus\nRUN ps | wc -l | awk '{ print ($1 < 8) }' >/out\n", differs={"buildah": "its chroot isolation shows the host's processes"})
case("as_user_cannot_write_roots", "FROM veneer/corpus\nUSER app\nRUN echo x >/data/file || echo refused >/tmp/out\n")
case("user_without_home_directory", "FROM veneer/corpus\nUSER dev\nRUN echo $HOME >/tmp/out\n")

# ---- --mount -------------------------------------------------------------------------------------

case("bind_context", "FROM veneer/corpus\nRUN --mount=type=bind,target=/ctx cat /ctx/file /ctx/d/x >/out\n", {"file": "A\n", "d/x": "X\n"})
case("bind_default_type", "FROM veneer/corpus\nRUN --mount=target=/ctx,source=d cat /ctx/x >/out\n", {"d/x": "X\n"})
case("bind_file", "FROM veneer/corpus\nRUN --mount=source=file,target=/tmp/one,ro cat /tmp/one >/out\n", {"file": "A\n"})
case("bind_is_read_only", "FROM veneer/corpus\nRUN --mount=target=/ctx touch /ctx/new 2>/dev/null && echo yes >/out || echo no >/out\n", {"file": ""})
case("bind_rw_is_thrown_away", "FROM veneer/corpus\nRUN --mount=target=/ctx,rw echo new >/ctx/file && cp /ctx/file /out\n", {"file": "old\n"})
case("bind_from_stage", "FROM veneer/corpus AS one\nRUN mkdir /d && echo one >/d/x\nFROM veneer/corpus\nRUN --mount=from=one,source=/d,target=/mnt/here cp /mnt/here/x /out\n")
case("bind_from_image", "FROM veneer/corpus\nRUN --mount=from=veneer/corpus,source=/data,target=/other cp /other/sub/file /out && rm -r /data\n")
case("bind_relative_target", "FROM veneer/corpus\nWORKDIR /work\nRUN --mount=target=ctx,source=d ls ctx >out\n", {"d/x": "X"})
case("bind_target_with_variable", "FROM veneer/corpus\nARG T=/tmp/t\nRUN --mount=target=$T,source=d cat $T/x >/out\n", {"d/x": "X\n"}, since="1.3")
case("bind_target_of_the_image_is_kept", "FROM veneer/corpus\nRUN --mount=target=/data ls /data >/out\n", {"x": ""})
case("bind_missing_source", "FROM veneer/corpus\nRUN --mount=source=nothing,target=/x true\n", {"x": ""}, fails="(?i)not found|no such file")
case("bind_new_target_is_gone_again", "FROM veneer/corpus\nRUN --mount=target=/new/deep/dir true\n", {"x": ""}, since="1.4", differs={"buildah": "the empty directory stays"})
case("cache_stays_between_steps", "FROM veneer/corpus\nRUN --mount=type=cache,target=/c,id=%NAME%-1 echo one >/c/x\nRUN --mount=type=cache,target=/other,id=%NAME%-1 cp /other/x /out\n")
case("cache_default_id_is_target", "FROM veneer/corpus\nRUN --mount=type=cache,target=/cache-of-default-id echo one >/cache-of-default-id/x\nRUN --mount=type=cache,target=/cache-of-default-id cp /cache-of-default-id/x /out\n")
case("cache_is_not_in_the_layer", "FROM veneer/corpus\nRUN --mount=type=cache,target=/data echo x >/data/new && rm -f /data/file; echo ok >/out\n")
case("cache_owner_and_mode", "FROM veneer/corpus\nUSER app\nRUN --mount=type=cache,id=%NAME%-2,target=/c,uid=1000,gid=50,mode=0750 stat -c '%u:%g %a' /c >/tmp/out && touch /c/mine\n")
case("cache_default_mode", "FROM veneer/corpus\nRUN --mount=type=cache,id=%NAME%-3,target=/c stat -c '%u:%g %a' /c >/out\n")
case("cache_from_stage", "FROM veneer/corpus AS seed\nRUN mkdir /seed && echo s >/seed/x\nFROM veneer/corpus\nRUN --mount=type=cache,id=%NAME%-4,target=/c,from=seed,source=/seed cp /c/x /out && touch /c/y\n")
case("cache_read_only", "FROM veneer/corpus\nRUN --mount=type=cache,id=%NAME%-5,target=/c,ro touch /c/x 2>/dev/null && echo yes >/out || echo no >/out\n")
case("cache_sharing_locked_and_private", "FROM veneer/corpus\nRUN --mount=type=cache,id=%NAME%-6,target=/c,sharing=locked touch /c/x\nRUN --mount=type=cache,id=%NAME%-7,target=/c,sharing=private touch /c/x\n", tree={})
case("cache_changes_with_build_arguments", "FROM veneer/corpus\nARG ID\nRUN --mount=type=cache,id=%NAME%-$ID,target=/c echo $ID >>/c/x && cp /c/x /out\n", flags=["--build-arg", "ID=a"], since="1.4")
case("tmpfs", "FROM veneer/corpus\nRUN --mount=type=tmpfs,target=/t grep -c ' /t tmpfs' /proc/mounts >/out; echo x >/t/x\n")
case("tmpfs_over_directory", "FROM veneer/corpus\nRUN --mount=type=tmpfs,target=/data ls /data | wc -l >/out && touch /data/x\n")
case("tmpfs_size", "FROM veneer/corpus\nRUN --mount=type=tmpfs,target=/t,size=1m dd if=/dev/zero of=/t/x bs=1M count=3 2>/dev/null; stat -c %s /t/x >/out\n", since="1.4", unsupported={"buildah": "it knows tmpfs-size alone"})

SECRET = {"secret": "hush\n"}
case("secret", "FROM veneer/corpus\nRUN --mount=type=secret,id=s cat /run/secrets/s >/out; stat -c '%a %u:%g' /run/secrets/s >>/out\n", flags=["--secret", "id=s,src=%FILES%/secret"], files=SECRET)
case("secret_is_not_in_the_layer", "FROM veneer/corpus\nRUN --mount=type=secret,id=s true\n", flags=["--secret", "id=s,src=%FILES%/secret"], files=SECRET, since="1.4")
case("secret_target_owner_mode", "FROM veneer/corpus\nUSER app\nRUN --mount=type=secret,id=s,target=/tmp/in,uid=1000,gid=50,mode=0440 cat /tmp/in >/tmp/out; stat -c '%a %u:%g' /tmp/in >>/tmp/out\n", flags=["--secret", "id=s,src=%FILES%/secret"], files=SECRET)
case("secret_missing_is_skipped", "FROM veneer/corpus\nRUN --mount=type=secret,id=none ls /run/secrets 2>/dev/null | wc -l >/out\n")
case("secret_missing_is_required", "FROM veneer/corpus\nRUN --mount=type=secret,id=none,required true\n", fails="(?i)secret none: not found|secret.*none.*not (found|provided)|required")
case("secret_as_variable", "FROM veneer/corpus\nRUN --mount=type=secret,id=s,env=HUSH echo \"$HUSH\" >/out\n", flags=["--secret", "id=s,src=%FILES%/secret"], files=SECRET, since="1.10", unsupported={"buildah": "it does not know env="}, tree={"/out": 'f 644 0:0 "hush\\n\\n"'})
case("secret_from_the_environment", "FROM veneer/corpus\nRUN --mount=type=secret,id=MINE cat /run/secrets/MINE >/out\n", flags=["--secret", "id=MINE,env=MINE"], env={"MINE": "from env"})
case("ssh", "FROM veneer/corpus\nRUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && echo $SSH_AUTH_SOCK >/out\n", flags=["--ssh", "default=%AGENT%"], differs={"buildah": "its socket has a name of its own"})
case("ssh_target", "FROM veneer/corpus\nRUN --mount=type=ssh,target=/tmp/agent,mode=0666 stat -c '%a' /tmp/agent >/out; echo $SSH_AUTH_SOCK >>/out\n", flags=["--ssh", "default=%AGENT%"])
case("ssh_missing_is_required", "FROM veneer/corpus\nRUN --mount=type=ssh,required true\n", fails="(?i)(ssh|required|forward)")
case("several_mounts", "FROM veneer/corpus\nRUN --mount=target=/ctx --mount=type=tmpfs,target=/t --mount=type=cache,id=%NAME%-8,target=/c cp /ctx/file /t/ && cp /t/file /c/ && cp /c/file /out\n", {"file": "A"})
case("mount_unknown_type", "FROM veneer/corpus\nRUN --mount=type=magic,target=/x true\n", fails="(?i)unsupported mount type|invalid")
case("mount_unknown_option", "FROM veneer/corpus\nRUN --mount=type=tmpfs,target=/x,colour=red true\n", fails="(?i)unexpected key 'colour'|invalid")

# ---- network and limits --------------------------------------------------------------------------

case("network_none", "FROM veneer/corpus\nRUN --network=none ip -o link | wc -l >/out\n", since="1.3", unsupported={"buildah": "its chroot isolation has the host's network"})
case("network_flag_none", "FROM veneer/corpus\nRUN ip -o addr show scope global | wc -l >/out\n", flags=["--network", "none"], differs={"buildah": "its chroot isolation has the host's network"})
case("network_host_reaches_the_host", "FROM veneer/corpus\nRUN wget -q -O /out %HTTP%/file.txt\n", flags=["--network", "host"])
case("add_host", "FROM veneer/corpus\nRUN grep -E '10.1.2.3\\s+there' /etc/hosts | wc -l >/out\n", flags=["--add-host", "there:10.1.2.3"])
case("add_host_is_not_in_the_layer", "FROM veneer/corpus\nRUN grep -c there /etc/hosts >/out\n", flags=["--add-host", "there:10.1.2.3", "--add-host", "other:10.1.2.4"])
case("shm_size", "FROM veneer/corpus\nRUN df -k /dev/shm | tail -n 1 | awk '{ print $2 }' >/out\n", flags=["--shm-size", "32m"], since="1.4", unsupported={"buildah": "its chroot isolation has the host's /dev/shm"})
case("ulimit", "FROM veneer/corpus\nRUN ulimit -n >/out; ulimit -Hn >>/out\n", flags=["--ulimit", "nofile=123:456"], since="1.4")
case("hostname", "FROM veneer/corpus\nRUN hostname >/out; cat /etc/hostname >>/out 2>/dev/null; true\n", since="1.3", differs={"buildah": "the container's is its own"})

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
case("capability_survives_rename", "FROM veneer/corpus\nRUN mv /odd/capable /odd/still\n")
case("capability_is_lost_by_chown", "FROM veneer/corpus\nRUN chown app /odd/capable\n")
case("setuid_is_lost_by_chown", "FROM veneer/corpus\nRUN chown app /odd/setuid\n")
case("chmod_alone", "FROM veneer/corpus\nRUN chmod 600 /data/file && chmod 700 /data\n")
case("chown_recursive", "FROM veneer/corpus\nRUN chown -R dev:staff /data\n")
case("touch_alone", "FROM veneer/corpus\nRUN touch -d @1300000000 /data/file\n")
case("nothing_changes", "FROM veneer/corpus\nRUN true\n", tree={})
case("written_as_it_was", "FROM veneer/corpus\nRUN cat /data/file >/x && cat /x >/data/file\n")
case("link_to_base_file", "FROM veneer/corpus\nRUN ln /data/file /data/linked\n", tree={"/data/file": 'f 644 0:0 "base file\\n" @1700000000 =/data/linked', "/data/linked": 'f 644 0:0 "base file\\n" @1700000000 =/data/file'})
case("write_through_one_of_two_names", "FROM veneer/corpus\nRUN echo more >>/odd/one\n", tree={"/odd/one": 'f 644 0:0 "linked\\nmore\\n" =/odd/two', "/odd/two": 'f 644 0:0 "linked\\nmore\\n" =/odd/one'}, differs={"buildkit": "the kernel's overlayfs parts the names of a file when one is written", "buildah": "the kernel's overlayfs parts the names of a file when one is written"})
case("remove_one_of_two_names", "FROM veneer/corpus\nRUN rm /odd/two\n")
case("big_output", "FROM veneer/corpus\nRUN dd if=/dev/zero bs=1M count=24 2>/dev/null | tr '\\0' x >/big\n")
case("many_files_by_run", "FROM veneer/corpus\nRUN mkdir /m && cd /m && for i in $(seq 500); do echo $i >$i; done\n")

# ---- deletions -----------------------------------------------------------------------------------

case("rm_file", "FROM veneer/corpus\nRUN rm /data/file\n")
case("rm_directory", "FROM veneer/corpus\nRUN rm -r /data\n")
case("rm_and_again_as_directory", "FROM veneer/corpus\nRUN rm /data/file && mkdir /data/file && echo x >/data/file/x\n")
case("directory_becomes_file", "FROM veneer/corpus\nRUN rm -r /data/sub && echo x >/data/sub\n")
case("directory_becomes_symlink", "FROM veneer/corpus\nRUN rm -r /data/sub && ln -s /etc /data/sub\n")
case("symlink_becomes_directory", "FROM veneer/corpus\nRUN rm /links/absolute && mkdir /links/absolute && touch /links/absolute/x\n")
case("opaque_directory", "FROM veneer/corpus\nRUN rm -r /data && mkdir /data && echo new >/data/new\n")
case("opaque_directory_with_old_names", "FROM veneer/corpus\nRUN rm -r /data && mkdir -p /data/sub && echo new >/data/sub/file\n")
case("deleted_then_copied", "FROM veneer/corpus\nRUN rm -r /data\nCOPY d /data\n", {"d/new": "N"})
case("deleted_in_three_layers", "FROM veneer/corpus\nRUN echo 1 >/x\nRUN rm /x\nRUN echo 2 >/x; rm /data/file\nRUN rm /x; echo back >/data/file\n")
case("made_and_deleted_is_nothing", "FROM veneer/corpus\nRUN echo 1 >/x && rm /x\n", tree={})
case("rename_directory", "FROM veneer/corpus\nRUN mv /data /moved\n")
case("rename_and_back", "FROM veneer/corpus\nRUN mv /data /moved && mv /moved /data\n")
case("exchange_of_directories", "FROM veneer/corpus\nRUN mv /data/sub /x && mv /data/empty /data/sub && mv /x /data/empty\n")
case("whiteout_like_names", "FROM veneer/corpus\nRUN echo x >/data/.whatever; echo y >/data/wh.file; mkdir /data/..wh; echo z >/data/..wh/x\n")
case("empty_base_directory_removed", "FROM veneer/corpus\nRUN rmdir /data/empty\n")

case("dir_entries_of_context", "FROM veneer/corpus\nRUN --mount=target=/ctx cd /ctx && find . -exec stat -c '%n %F %a %u:%g' {} + | sort >/out\n", {"d": Dir(mode=0o711), "d/x": File("X", mode=0o600, uid=5, gid=6)})
