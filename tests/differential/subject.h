// The two sides of a run: a lower, made once from a seed; and over it a mount with a fresh upper,
// beside a plain copy of the same tree on the same filesystem.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "store/base/result.h"

namespace veneer::differential {

enum class LowerKind { kStack, kChain };

// A sample tree, and the lower that shows it: layers in overlayfs or AUFS form, or a store chain.
// Lives below a directory that it is given; never changes.
class LowerTree {
 public:
  static Result<LowerTree> Make(const std::string& dir, LowerKind kind, uint64_t seed);

  LowerKind kind() const { return kind_; }
  uint64_t seed() const { return seed_; }
  const std::string& merged() const { return merged_; }
  const std::string& options() const { return options_; }  // for the mount
  // The sentence that says what is different now, or nothing. No file changes without its change
  // time doing so; `content`: reads them nevertheless.
  Result<> CheckUnchanged(bool content) const;

 private:
  struct Fingerprint {
    std::string stat;  // a line per entry
    uint64_t content = 0;
  };
  Result<Fingerprint> Read(bool content) const;
  LowerKind kind_ = LowerKind::kStack;
  uint64_t seed_ = 0;
  std::string merged_;
  std::string bytes_;  // the directory that must not change
  std::string options_;
  Fingerprint fingerprint_;
};

// The mount. Unmounts itself, by force if need be.
class MountSubject {
 public:
  // `dir` is made, and holds mnt/, upper/, work/ and log.
  static Result<std::unique_ptr<MountSubject>> Make(const LowerTree& lower, const std::string& dir,
                                                    const std::string& options,
                                                    const std::string& program);
  ~MountSubject();

  std::string path() const { return dir_ + "/mnt"; }
  Result<> Mount();
  // Has the kernel forget every name and inode of the mount that nobody uses.
  Result<> DropCaches();
  // Returns when the daemon is gone and has left nothing temporary behind.
  Result<> Unmount();

 private:
  MountSubject(std::string dir, std::string options, std::string program)
      : dir_(std::move(dir)), options_(std::move(options)), program_(std::move(program)) {}
  pid_t Daemon() const;  // as work/lock says
  Result<> CheckModes();

  const std::string dir_;
  const std::string options_;
  const std::string program_;
  bool mounted_ = false;
};

}  // namespace veneer::differential
