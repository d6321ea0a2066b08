// RUN: one command in a root filesystem, by an installed OCI runtime.
//
// The command sees Docker's default capabilities, seccomp profile, masked and read-only paths, and
// /etc/resolv.conf and /etc/hosts of ours. What had to be made in the root filesystem to mount
// these on is taken away again, with the times of the directories as they were.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

class DeviceCage;

// What a step mounts over its root filesystem, in order.
struct StepMount {
  enum class Kind { kBind, kTmpfs };
  Kind kind = Kind::kBind;
  std::string source;       // kBind: an absolute path of a file, directory or socket
  std::string target;       // absolute, in the root filesystem; resolved in it, made where missing
  bool read_only = true;    // of a tmpfs, too
  uint64_t size_limit = 0;  // kTmpfs: bytes; 0: none
};

struct Ulimit {
  std::string name;            // "nofile"
  int64_t soft = 0, hard = 0;  // -1: unlimited
};

struct RunSpec {
  std::string root;                // the mounted root filesystem, writable
  std::vector<std::string> words;  // the command, whose shell is among them
  std::vector<std::string> env;    // NAME=value, complete but for PATH and HOME where missing
  std::string working_dir = "/";   // made where missing
  std::string user;                // as USER says: name or uid, maybe :group or :gid; empty: root
  std::vector<StepMount> mounts;
  std::string network = "default";       // or none, host
  bool insecure = false;                 // --security=insecure
  std::vector<std::string> extra_hosts;  // "name:address"
  std::string hostname = "buildkitsandbox";
  uint64_t shm_size = 0;  // bytes; 0: 64 MiB
  std::vector<Ulimit> ulimits;
  std::string scratch;  // an empty directory for the runtime's files, the caller's to remove
};

// What the command printed; called from one thread at a time, in order.
using StepOutput = std::function<void(std::string_view text, bool is_stderr)>;

// crun or runc, whichever works here. Immutable; threads may share it.
class OciRuntime {
 public:
  // Tries them (with a process that does nothing). `scratch`: an empty directory. Error: why
  // neither works, one line that names both. Where cgroups are of both versions, crun needs
  // HideUnifiedCgroups before (hybrid_cgroups.h). Root's containers get at no devices but the usual
  // ones, if anything here can see to that.
  static Result<OciRuntime> Find(const std::string& scratch);
  // Only the one with this name (crun or runc).
  static Result<OciRuntime> Open(const std::string& name, const std::string& scratch);

  const std::string& path() const { return path_; }
  const std::string& name() const { return name_; }  // crun or runc

  // Runs the command to its end; its exit status (128 + n for signal n). `cancelled` is asked at
  // least ten times a second: once true, the command is killed, and the error is ECANCELED. Other
  // errors are sentences: "unable to find user x: no matching entries in passwd file", "crun:
  // executable file `x` not found in $PATH: No such file or directory", … Whatever the outcome, no
  // process of the command's is left.
  Result<int> Run(const RunSpec& spec, const StepOutput& output,
                  const std::function<bool()>& cancelled) const;

 private:
  Result<> Probe(const std::string& scratch);

  std::string path_;
  std::string name_;
  std::vector<std::string> global_words_;  // before the runtime's command
  bool manages_cgroups_ = true;
  bool mounts_cgroups_ = true;
  std::string seccomp_filter_;        // ready-made, in Base64; empty: the runtime makes it
  std::shared_ptr<DeviceCage> cage_;  // null: the runtime sees to devices itself
};

}  // namespace veneer::build
