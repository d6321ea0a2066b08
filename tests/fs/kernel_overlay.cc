#include "tests/fs/kernel_overlay.h"

#include <sys/mount.h>

#include <cstring>

namespace veneer::fs::testing {

KernelOverlay::KernelOverlay(const WorkDir& work) : path_(work.scratch() + "/kernel") {
  EXPECT_FALSE(work.mounted());
  MakeDirs(path_);
  std::string options = "lowerdir=" + work.lowerdirs() + ",upperdir=" + work.upper() +
                        ",workdir=" + work.work() +
                        ",index=on,redirect_dir=on,metacopy=on,nfs_export=off,xino=off";
  mounted_ = mount("overlay", path_.c_str(), "overlay", 0, options.c_str()) == 0;
  EXPECT_TRUE(mounted_) << options << ": " << strerror(errno);
}

KernelOverlay::~KernelOverlay() {
  if (!mounted_) return;
  EXPECT_EQ(umount2(path_.c_str(), 0), 0) << strerror(errno);
}

std::string KernelView(const WorkDir& work) {
  KernelOverlay kernel(work);
  return TreeText(kernel.path());
}

}  // namespace veneer::fs::testing
