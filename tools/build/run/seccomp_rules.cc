#include "tools/build/run/seccomp_rules.h"

#include <sched.h>
#include <sys/personality.h>
#include <sys/socket.h>

#include <cerrno>

namespace veneer::build {
namespace {

using Is = SeccompArgument::Is;

// What any program may do.
constexpr std::string_view kAlways =
    // Files and directories.
    "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 "
    "faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown "
    "fchown32 fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 "
    "fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown lchown32 link "
    "linkat listmount _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at "
    "newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read "
    "readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 "
    "splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range "
    "syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes "
    "vmsplice write writev "
    "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr "
    "listxattrat llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat "
    // Waiting for files, and asynchronous work on them.
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait "
    "epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 "
    "inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 "
    "io_setup io_submit _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select "
    "signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 "
    // Memory.
    "brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock "
    "mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc "
    "pkey_free pkey_mprotect process_mrelease remap_file_pages "
    // Processes and threads.
    "capget capset execve execveat exit exit_group fork futex futex_requeue "
    "futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area getcpu getegid "
    "getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid "
    "getppid getpriority getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid "
    "gettid getuid getuid32 ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset "
    "landlock_restrict_self pause pidfd_open pidfd_send_signal prctl prlimit64 restart_syscall "
    "riscv_hwprobe rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn "
    "rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max "
    "sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler "
    "sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr "
    "sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area "
    "set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 "
    "setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid "
    "setreuid32 setrlimit setsid setuid setuid32 sigaltstack sigprocmask sigreturn tgkill tkill "
    "ugetrlimit uretprobe vfork wait4 waitid waitpid "
    // Time and the system.
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer getrandom gettimeofday "
    "nanosleep setitimer sysinfo time timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_gettime64 timer_settime timer_settime64 times uname "
    // Sockets, pipes, and System V's and POSIX's queues.
    "accept accept4 bind connect getpeername getsockname getsockopt listen pipe pipe2 recv "
    "recvfrom "
    "recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall "
    "socketpair "
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop "
    "semtimedop_time64 shmat shmctl shmdt shmget "
    // Looking into other processes (safe since Linux 4.8, where seccomp sees what ptrace changes).
    "process_vm_readv process_vm_writev ptrace";

// Families of sockets. Left out are those that are obsolete (DECnet, Econet, ATM SVC, IRDA,
// WANPIPE, ISDN, CAIF), VSOCK, which knows no network namespaces, and ALG, the kernel's
// cryptography.
constexpr SeccompArgument kFamilies[] = {
    {0, AF_DECnet, Is::kLess},
    {0, AF_NETBEUI},
    {0, AF_SECURITY},
    {0, AF_KEY},
    {0, AF_NETLINK},
    {0, AF_PACKET},
    {0, AF_ASH},
    {0, AF_RDS},
    {0, AF_SNA},
    {0, AF_PPPOX},
    {0, AF_LLC},
    {0, AF_IB},
    {0, AF_MPLS},
    {0, AF_CAN},
    {0, AF_TIPC},
    {0, AF_BLUETOOTH},
    {0, AF_IUCV},
    {0, AF_RXRPC},
    {0, AF_PHONET},
    {0, AF_IEEE802154},
    {0, AF_NFC},
    {0, AF_KCM},
    {0, AF_QIPCRTR},
    {0, AF_SMC},
    {0, AF_XDP},
    {0, 45 /* AF_MCTP */},
};

constexpr SeccompArgument kPersonalities[] = {
    {0, PER_LINUX},  {0, PER_LINUX32}, {0, UNAME26}, {0, uint64_t{UNAME26} | PER_LINUX32},
    {0, 0xFFFFFFFF},  // asks for the present one
};

// Of clone's flags.
constexpr uint64_t kNewNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr SeccompArgument kCloneFlags[] = {{0, kNewNamespaces, Is::kNoneOf}};
constexpr SeccompArgument kCloneFlagsSecond[] = {{1, kNewNamespaces, Is::kNoneOf}};

constexpr SeccompRule kRules[] = {
    {.calls = kAlways},
    {.calls = "socket", .arguments = kFamilies},
    {.calls = "personality", .arguments = kPersonalities},
    // s390's clone takes its first two arguments the other way round.
    {.calls = "clone",
     .without_capability = "CAP_SYS_ADMIN",
     .not_machines = "s390x",
     .arguments = kCloneFlags},
    {.calls = "clone",
     .without_capability = "CAP_SYS_ADMIN",
     .machines = "s390x",
     .arguments = kCloneFlagsSecond},
    // clone3's flags are in memory, out of a filter's sight. ENOSYS sends libraries back to clone.
    {.calls = "clone3", .without_capability = "CAP_SYS_ADMIN", .error = ENOSYS},

    {.calls = "sync_file_range2 swapcontext", .machines = "ppc64le"},
    {.calls = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
     .machines = "aarch64 armv7l armv8l"},
    {.calls = "arch_prctl", .machines = "x86_64"},
    {.calls = "modify_ldt", .machines = "x86_64 i686 i386"},
    {.calls = "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr", .machines = "s390x"},
    {.calls = "riscv_flush_icache", .machines = "riscv64"},

    {.calls = "open_by_handle_at", .capability = "CAP_DAC_READ_SEARCH"},
    {.calls = "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
              "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
              "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
              "syslog umount umount2 unshare",
     .capability = "CAP_SYS_ADMIN"},
    {.calls = "reboot", .capability = "CAP_SYS_BOOT"},
    {.calls = "chroot", .capability = "CAP_SYS_CHROOT"},
    {.calls = "delete_module init_module finit_module", .capability = "CAP_SYS_MODULE"},
    {.calls = "acct", .capability = "CAP_SYS_PACCT"},
    {.calls = "kcmp pidfd_getfd process_madvise", .capability = "CAP_SYS_PTRACE"},
    {.calls = "iopl ioperm", .capability = "CAP_SYS_RAWIO"},
    {.calls = "settimeofday stime clock_settime clock_settime64", .capability = "CAP_SYS_TIME"},
    {.calls = "vhangup", .capability = "CAP_SYS_TTY_CONFIG"},
    {.calls = "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
     .capability = "CAP_SYS_NICE"},
    {.calls = "syslog", .capability = "CAP_SYSLOG"},
    {.calls = "bpf", .capability = "CAP_BPF"},
    {.calls = "perf_event_open", .capability = "CAP_PERFMON"},
};

constexpr SeccompMachine kMachines[] = {
    {"x86_64", "SCMP_ARCH_X86_64 SCMP_ARCH_X86 SCMP_ARCH_X32"},
    {"aarch64", "SCMP_ARCH_AARCH64 SCMP_ARCH_ARM"},
    {"mips64", "SCMP_ARCH_MIPS64 SCMP_ARCH_MIPS SCMP_ARCH_MIPS64N32"},
    {"mips64el", "SCMP_ARCH_MIPSEL64 SCMP_ARCH_MIPSEL SCMP_ARCH_MIPSEL64N32"},
    {"s390x", "SCMP_ARCH_S390X SCMP_ARCH_S390"},
    {"riscv64", "SCMP_ARCH_RISCV64"},
    {"loongarch64", "SCMP_ARCH_LOONGARCH64"},
};

}  // namespace

std::span<const SeccompRule> SeccompRules() { return kRules; }
std::span<const SeccompMachine> SeccompMachines() { return kMachines; }

}  // namespace veneer::build
