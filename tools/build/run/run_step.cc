#include "tools/build/run/run_step.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <utility>

#include "store/base/beneath.h"
#include "tools/build/language/text.h"
#include "tools/build/run/child_process.h"
#include "tools/build/run/container_run.h"
#include "tools/build/run/device_cage.h"
#include "tools/build/run/mount_plan.h"
#include "tools/build/run/mount_stubs.h"
#include "tools/build/run/network_files.h"
#include "tools/build/run/probe_program.h"
#include "tools/build/run/process_user.h"
#include "tools/build/run/root_path.h"
#include "tools/build/run/runtime_config.h"
#include "tools/build/run/seccomp_filter.h"
#include "tools/build/run/seccomp_profile.h"
#include "tools/build/run/user_namespace.h"

namespace veneer::build {
namespace {

constexpr std::chrono::seconds kProbeTime(10);

Result<> WriteFile(int directory, const std::string& name, std::string_view text, mode_t mode) {
  TRY_ASSIGN(const UniqueFd fd, OpenAt(directory, name, O_WRONLY | O_CREAT | O_TRUNC, mode));
  // The umask is the caller's, and the command's user is to read it.
  if (fchmod(fd.get(), mode) != 0) return Errno("chmod " + name);
  return WriteAll(fd.get(), text);
}

// runc takes no root with a symlink on the way.
Result<std::string> RealPath(int fd) {
  char path[PATH_MAX];
  const ssize_t n = readlink(FdPath(fd).c_str(), path, sizeof path);
  if (n < 0) return Errno("readlink");
  return std::string(path, static_cast<size_t>(n));
}

// The working directory, made with those above it where it is missing: the user's own, as in
// BuildKit. What lies in a mount is the runtime's to find.
Result<std::string> MakeWorkingDir(int root_fd, const std::string& wanted, const ProcessUser& user,
                                   const std::vector<ContainerMount>& mounts) {
  bool in_mount = false;
  const auto covered = [&](const std::string& path) {
    for (const ContainerMount& mount : mounts) {
      if (mount.destination.substr(1) == path) return in_mount = true;
    }
    return false;
  };
  TRY_ASSIGN(const RootPath found, ResolveInRoot(root_fd, CleanPath("/" + wanted), covered));
  if (found.path.empty() || in_mount) return "/" + found.path;
  for (size_t slash = 0; !found.exists && slash != std::string::npos;) {
    slash = found.path.find('/', slash + 1);
    const std::string path = found.path.substr(0, slash);
    TRY_ASSIGN(const UniqueFd directory, OpenDirectoryOf(root_fd, path));
    const std::string name(NameOf(path));
    if (mkdirat(directory.get(), name.c_str(), 0755) != 0) {
      if (errno == EEXIST) continue;
      return Errno("mkdir");
    }
    if (fchmodat(directory.get(), name.c_str(), 0755, 0) != 0) return Errno("chmod");
    if (fchownat(directory.get(), name.c_str(), user.uid, user.gid, AT_SYMLINK_NOFOLLOW) != 0)
      return Errno("chown");
  }
  return "/" + found.path;
}

std::string Base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // with the terminator it writes
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

// A way to call a runtime, which works on some hosts and not on others.
struct Calling {
  std::vector<std::string> global_words;
  bool manages_cgroups = true;
  bool mounts_cgroups = true;
  bool needs_cage = false;
};

// The best first.
std::vector<Calling> WaysToCall(const std::string& name, bool nested) {
  const std::string no_cgroups = "--cgroup-manager=disabled";
  if (nested) return {{{name == "runc" ? "--rootless=true" : no_cgroups}, false, false}};
  if (name == "runc") return {{{}, true, true}, {{}, true, false}};
  return {{{no_cgroups}, false, true, /*needs_cage=*/true}, {{}, true, true}, {{}, true, false}};
}

// A root filesystem with one program. The rest are the stubs of the mounts.
Result<> MakeProbeRoot(const std::string& scratch) {
  TRY_ASSIGN(const std::string program, ProbeProgram());
  TRY_ASSIGN(const UniqueFd directory, OpenAt(AT_FDCWD, scratch, O_PATH | O_DIRECTORY));
  TRY(EnsureDir(directory.get(), "root", 0755));
  return WriteFile(directory.get(), "root/nothing", program, 0755);
}

}  // namespace

Result<OciRuntime> OciRuntime::Find(const std::string& scratch) {
  std::string reasons;
  for (const char* name : {"crun", "runc"}) {
    auto runtime = Open(name, scratch);
    if (runtime) return runtime;
    if (!reasons.empty()) reasons += "; ";
    reasons += runtime.error().Message();
  }
  return Invalid("no OCI runtime works here: " + reasons, ENOTSUP);
}

Result<OciRuntime> OciRuntime::Open(const std::string& name, const std::string& scratch) {
  OciRuntime runtime;
  runtime.name_ = name;
  runtime.path_ = FindProgram(name);
  if (runtime.path_.empty()) return Invalid(name + " is not installed", ENOENT);
  TRY(MakeProbeRoot(scratch));
  std::vector<std::string> filters = {""};  // of seccomp: the runtime's own
  if (name == "crun") {
    if (const auto ready = CompileSeccomp(DefaultSeccompProfile()))
      filters.insert(filters.begin(), Base64(*ready));
  }
  Error last(ENOTSUP, "run a container");
  int tries = 0;
  for (const std::string& filter : filters) {
    for (const Calling& calling : WaysToCall(name, UserNamespace::Current().nested)) {
      runtime.global_words_ = calling.global_words;
      runtime.manages_cgroups_ = calling.manages_cgroups;
      runtime.mounts_cgroups_ = calling.mounts_cgroups;
      runtime.seccomp_filter_ = filter;
      runtime.cage_.reset();
      if (calling.needs_cage) {
        auto cage = DeviceCage::Create();
        if (!cage) continue;
        runtime.cage_ = std::move(*cage);
      }
      const auto works = runtime.Probe(scratch + "/" + name + std::to_string(tries++));
      if (works) return runtime;
      last = works.error();
    }
  }
  return std::unexpected(last);
}

Result<> OciRuntime::Probe(const std::string& scratch) {
  RunSpec spec;
  spec.root = std::string(DirectoryOf(scratch)) + "/root";
  spec.words = {"/nothing"};
  spec.scratch = scratch;
  TRY(EnsureDir(AT_FDCWD, spec.scratch, 0700));
  const auto until = std::chrono::steady_clock::now() + kProbeTime;
  const auto status = Run(spec, nullptr, [&] { return std::chrono::steady_clock::now() > until; });
  if (status && *status == 0) return {};
  if (status) return Invalid(name_ + " ended with status " + std::to_string(*status), ENOTSUP);
  if (status.error().code() != ECANCELED) return std::unexpected(status.error());
  return Invalid(name_ + " took longer than " + std::to_string(kProbeTime.count()) + " s", ENOTSUP);
}

Result<int> OciRuntime::Run(const RunSpec& spec, const StepOutput& output,
                            const std::function<bool()>& cancelled) const {
  TRY_ASSIGN(const UniqueFd root, OpenAt(AT_FDCWD, spec.root, O_PATH | O_DIRECTORY));
  TRY_ASSIGN(const UniqueFd scratch, OpenAt(AT_FDCWD, spec.scratch, O_PATH | O_DIRECTORY));
  const bool hosts_network = spec.network != "none";
  TRY_ASSIGN(const std::string hosts, HostsFile(spec.hostname, spec.extra_hosts));
  TRY_ASSIGN(const std::string resolv_conf, HostsResolvConf(hosts_network));
  TRY(WriteFile(scratch.get(), "hosts", hosts, 0644));
  TRY(WriteFile(scratch.get(), "resolv.conf", resolv_conf, 0644));

  ConfigParts parts;
  parts.spec = &spec;
  TRY_ASSIGN(parts.root, RealPath(root.get()));
  parts.user_namespace = UserNamespace::Current();
  parts.manages_cgroups = manages_cgroups_;
  parts.mounts_cgroups = mounts_cgroups_;
  parts.seccomp_filter = seccomp_filter_;
  TRY_ASSIGN(parts.user, ResolveUser(root.get(), spec.user));
  MountOptions options;
  options.hosts = spec.scratch + "/hosts";
  options.resolv_conf = spec.scratch + "/resolv.conf";
  options.shm_size = spec.shm_size;
  options.insecure = spec.insecure;
  options.with_cgroups = mounts_cgroups_;
  options.user_namespace = parts.user_namespace;
  TRY_ASSIGN(parts.mounts, PlanMounts(root.get(), options, spec.mounts));
  TRY_ASSIGN(MountStubs stubs, MountStubs::Create(root.get(), parts.mounts));
  auto working_dir = MakeWorkingDir(root.get(), spec.working_dir, parts.user, parts.mounts);
  if (!working_dir)
    return std::unexpected(working_dir.error().Within("working directory " + spec.working_dir));
  parts.working_dir = std::move(*working_dir);

  TRY_ASSIGN(const std::string config, RuntimeConfig(parts));
  TRY(WriteFile(scratch.get(), "config.json", config, 0600));
  // An insecure step may use every device.
  DeviceCage* const cage = spec.insecure ? nullptr : cage_.get();
  auto status = ContainerRun{path_, global_words_, spec.scratch, cage}.Run(output, cancelled);
  auto removed = stubs.Remove();
  if (status && !removed) return std::unexpected(removed.error());
  return status;
}

}  // namespace veneer::build
