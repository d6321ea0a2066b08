// ChainMount: a chain of the store, mounted for a step of a build.
#pragma once

#include <span>
#include <string>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/store.h"

namespace veneer::build {

// Unmounts when it goes, and waits until the daemon has let go of the upper.
class ChainMount {
 public:
  // Mounts `layers` at `target`, an existing directory; with `upper` and `work` (not empty)
  // writable, and without any syncing: what is written is lost with the machine.
  static Result<ChainMount> Mount(Store& store, std::span<const DiffId> layers,
                                  const std::string& upper, const std::string& work,
                                  const std::string& target);
  ChainMount(ChainMount&& other) noexcept;
  ChainMount& operator=(ChainMount&& other) noexcept;
  ~ChainMount();

  const std::string& path() const { return target_; }
  // Everything written is in the upper after this.
  Result<> Unmount();

 private:
  ChainMount(std::string target, UniqueFd upper)
      : target_(std::move(target)), upper_(std::move(upper)) {}
  std::string target_;  // empty: not mounted
  UniqueFd upper_;
};

}  // namespace veneer::build
