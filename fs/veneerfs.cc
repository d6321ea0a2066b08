// veneerfs: mounts a stack of layers with a writable directory on top, through FUSE.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>

#include "fs/fuse_server.h"
#include "fs/host_namespace.h"
#include "fs/log.h"
#include "fs/open_overlay.h"
#include "fs/options.h"
#include "fs/slice.h"
#include "store/base/beneath.h"

namespace veneer::fs {
namespace {

constexpr char kReady = '+';

// The engine's limits are its own: it keeps few descriptors, but users open many files.
void RaiseDescriptorLimit() {
  struct rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

// The process that was started waits here until its child serves the mount, or has failed and said
// why.
int AwaitChild(int pipe_end) {
  char byte = 0;
  ssize_t n;
  do {
    n = read(pipe_end, &byte, 1);
  } while (n < 0 && errno == EINTR);
  return n == 1 && byte == kReady ? 0 : 1;
}

void LeaveTerminal(int pipe_end) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, fd);
    close(null);
  }
  (void)!write(pipe_end, &kReady, 1);
  close(pipe_end);
}

std::string Listed(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
  return list;
}

bool UsesRings(RingUse use) {
  if (use != RingUse::kWhereMountsOutliveUs) return use == RingUse::kAlways;
  return IsHostsMountNamespace();
}

Result<> Run(Options options, int ready_pipe) {
  RaiseDescriptorLimit();
  AskForShortSlices();
  umask(0);
  if (options.lease_fd >= 0 && fcntl(options.lease_fd, F_SETFD, FD_CLOEXEC) != 0) {
    return Invalid("lease_fd=" + std::to_string(options.lease_fd) + " is not open");
  }
  std::unique_ptr<char, void (*)(void*)> mountpoint(realpath(options.mountpoint.c_str(), nullptr),
                                                    free);
  if (!mountpoint) return Errno("mount point " + options.mountpoint);
  TRY_ASSIGN(auto overlay, OpenOverlay(options));
  if (!options.ignored.empty()) {
    Log(LogLevel::kWarning, "options not known, and ignored: {}", Listed(options.ignored));
  }
  auto& selinux =
      access("/sys/fs/selinux/enforce", F_OK) == 0 ? options.mount_options : options.useless;
  selinux.insert(selinux.end(), options.selinux.begin(), options.selinux.end());
  if (!options.useless.empty()) {
    Log(LogLevel::kWarning, "options without use here: {}", Listed(options.useless));
  }

  FuseServer::Config config;
  config.mountpoint = mountpoint.get();
  config.fsname = options.fsname;
  config.mount_options = options.mount_options;
  config.read_only = options.read_only;
  config.allow_other = options.allow_other;
  config.default_permissions = options.default_permissions;
  config.passthrough = options.passthrough;
  config.opens = options.opens || !overlay->read_only();
  if (!options.opens && config.opens) {
    Log(LogLevel::kWarning, "no_open is for mounts without upperdir: files are opened");
  }
  config.xattrs = options.xattrs;
  config.acl = options.xattrs && overlay->acl();
  if (options.timeout) config.timeout = *options.timeout;
  if (options.max_write != 0) config.max_write = options.max_write;
  const bool uring = UsesRings(options.rings);
  config.uring = uring;
  config.prompt_wakes = options.prompt_wakes;
  config.debug = options.debug;
  config.ready = [&] {
    if (ready_pipe >= 0 && options.log_file.empty()) LogToSyslog();
    if (std::string form = overlay->UpperForm(); !form.empty()) Log(LogLevel::kInfo, "{}", form);
    if (!uring && options.rings != RingUse::kNever) {
      Log(LogLevel::kInfo,
          "without io_uring: this mount namespace may end with the daemon; "
          "with the option uring it is used all the same");
    }
    if (ready_pipe >= 0) LeaveTerminal(ready_pipe);
  };
  TRY_ASSIGN(auto server, FuseServer::Mount(*overlay, std::move(config)));
  if (!options.foreground && chdir("/") != 0) return Errno("chdir");
  return server->Serve();
}

// Descriptors 0 to 2 are taken by something harmless, so that none of ours is: they are replaced
// when the daemon leaves the terminal.
void TakeStandardDescriptors() {
  for (int fd = 0; fd >= 0 && fd <= STDERR_FILENO;) {
    fd = open("/dev/null", O_RDWR);  // NOLINT(android-cloexec-open): these are inherited
    if (fd > STDERR_FILENO) close(fd);
  }
}

int Main(int argc, char** argv) {
  TakeStandardDescriptors();
  std::vector<std::string> args(argv + 1, argv + argc);
  auto options = ParseOptions(args, geteuid() == 0);
  if (!options) {
    fprintf(stderr, "veneerfs: %s\n", options.error().Message().c_str());
    return 1;
  }
  if (options->show_help) {
    fputs(UsageText().c_str(), stdout);
    return 0;
  }
  if (options->show_version) {
    puts("veneerfs " VENEER_VERSION);
    return 0;
  }
  LogToStderr(options->debug);
  if (!options->log_file.empty()) {
    if (auto log = LogToFile(options->log_file, options->debug); !log) {
      fprintf(stderr, "veneerfs: log file: %s\n", log.error().Message().c_str());
      return 1;
    }
  }
  int ready_pipe = -1;
  if (!options->foreground) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      perror("veneerfs: pipe");
      return 1;
    }
    pid_t child = fork();
    if (child < 0) {
      perror("veneerfs: fork");
      return 1;
    }
    close(ends[child == 0 ? 0 : 1]);
    if (child > 0) return AwaitChild(ends[0]);
    setsid();
    ready_pipe = ends[1];
  }
  auto done = Run(std::move(*options), ready_pipe);
  if (done) return 0;
  // One line, wherever the process that was started still listens, and in the log.
  fprintf(stderr, "veneerfs: %s\n", done.error().Message().c_str());
  return 1;
}

}  // namespace
}  // namespace veneer::fs

int main(int argc, char** argv) {
  try {
    return veneer::fs::Main(argc, argv);
  } catch (const std::bad_alloc&) {
    fputs("veneerfs: out of memory\n", stderr);
    return 1;
  }
}
