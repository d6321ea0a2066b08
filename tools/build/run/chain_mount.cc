#include "tools/build/run/chain_mount.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>

#include <chrono>
#include <thread>
#include <utility>

#include "store/base/beneath.h"
#include "tools/mounter.h"

namespace veneer::build {
namespace {

constexpr int kBusyTries = 200;  // of 10 ms: somebody may still be leaving the mount

}  // namespace

Result<ChainMount> ChainMount::Mount(Store& store, std::span<const DiffId> layers,
                                     const std::string& upper, const std::string& work,
                                     const std::string& target) {
  tools::MountRequest request;
  request.layers.assign(layers.begin(), layers.end());
  request.upper = upper;
  request.work = work;
  request.target = target;
  request.source = "veneer:build";
  request.is_volatile = !upper.empty();
  TRY(tools::Mount(store, request));
  ChainMount mount(target, UniqueFd());
  if (!upper.empty()) {
    TRY_ASSIGN(mount.upper_, OpenAt(AT_FDCWD, upper, O_RDONLY | O_DIRECTORY));
  }
  return mount;
}

ChainMount::ChainMount(ChainMount&& other) noexcept
    : target_(std::exchange(other.target_, {})), upper_(std::move(other.upper_)) {}

ChainMount& ChainMount::operator=(ChainMount&& other) noexcept {
  if (this != &other) {
    (void)Unmount();
    target_ = std::exchange(other.target_, {});
    upper_ = std::move(other.upper_);
  }
  return *this;
}

ChainMount::~ChainMount() { (void)Unmount(); }

Result<> ChainMount::Unmount() {
  if (target_.empty()) return {};
  const std::string target = std::exchange(target_, {});
  for (int i = 0; umount2(target.c_str(), UMOUNT_NOFOLLOW) != 0; ++i) {
    if (errno != EBUSY) return Errno("unmount " + target);
    if (i >= kBusyTries) {
      (void)umount2(target.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH);
      return Invalid("the step's root filesystem is still in use", EBUSY);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!upper_) return {};
  // The daemon holds it until it is done.
  while (flock(upper_.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return Errno("lock an upper");
  }
  upper_.Reset();
  return {};
}

}  // namespace veneer::build
