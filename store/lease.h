// Leases: how processes tell each other what must not be deleted.
//
// WorkLease: an flock on `leases/work`. Whoever adds to the store (load, build, commit, create, the
// start of a mount) holds it shared from the first thing it relies on until its transaction has
// committed; a sweep holds it exclusively. MountLease: a file in `leases/mounts/`, flocked by the
// daemon for as long as the mount lives, that lists the layers the mount reads. A sweep keeps what
// locked lease files list and removes those whose lock it can take. It is made under a shared
// WorkLease, so no sweep sees it half made. flock belongs to the open file: a child that inherits
// the descriptor holds the lease, and death releases it.
#pragma once

#include <span>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer {

class WorkLease {
 public:
  static Result<WorkLease> Shared(int root_fd);        // waits for a sweep in progress
  static Result<WorkLease> Exclusive(int root_fd);     // waits for everybody
  static Result<WorkLease> TryExclusive(int root_fd);  // EWOULDBLOCK while anybody works

 private:
  explicit WorkLease(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

class MountLease {
 public:
  // REQUIRES: a shared WorkLease is held.
  static Result<MountLease> Create(int root_fd, std::span<const DiffId> layers);
  // The flocked descriptor, to be inherited by the daemon (close-on-exec is set; clear it in the
  // child).
  int fd() const { return fd_.get(); }

 private:
  explicit MountLease(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// What living mounts rely on: for each, the layers of its chain, lowest first; lease files nobody
// holds are removed. REQUIRES: an exclusive WorkLease.
Result<std::vector<std::vector<DiffId>>> LeasedChains(int root_fd);

// 64 random hex digits (container IDs, names of temporary things).
std::string RandomHex();

}  // namespace veneer
