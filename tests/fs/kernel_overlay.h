// KernelOverlay: the kernel's own overlayfs on the directories of a WorkDir, with everything that
// makes it as good as it gets: the judge of whether an upper has the form it should.
#pragma once

#include <string>

#include "tests/fs/work_dir.h"

namespace veneer::fs::testing {

class KernelOverlay {
 public:
  // REQUIRES: `work` is a directory stack, and not mounted.
  explicit KernelOverlay(const WorkDir& work);
  ~KernelOverlay();
  KernelOverlay(const KernelOverlay&) = delete;
  KernelOverlay& operator=(const KernelOverlay&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
  bool mounted_ = false;
};

// The tree that the kernel's overlayfs shows.
std::string KernelView(const WorkDir& work);

}  // namespace veneer::fs::testing
