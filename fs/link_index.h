// LinkIndex: the upper's files whose lower inode has several names, found by that inode: what makes
// hard links of a directory stack stay links. Each has one more link, its entry, in one of two
// folders of the work directory:
//
//   work/index/<hex of the origin>   the kernel overlayfs' own form, where the upper's markers are
//                                    trusted and the filesystems give handles and UUIDs
//   work/links/<16 hex of the inode number>   elsewhere; private to Veneer
//
// An entry's marker `nlink` says how many names the file has beyond (or short of) its links:
// "U+n". docs/upper-format.md "Work" is the format. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "fs/fd_cache.h"
#include "fs/lower.h"
#include "fs/upper.h"
#include "store/base/result.h"

namespace veneer::fs {

class LinkIndex {
 public:
  // Where an entry is.
  struct Place {
    SharedFd dir;
    std::string name;
  };
  struct Entry {
    Place place;
    uint64_t upper_ino = 0;
    int delta = 0;  // names beyond the file's links
    bool stub = false;
    bool pending = false;
  };

  // Reads the entries of earlier mounts, and sets right what a crash left: entries of files without
  // names go, and counts are those that `nlink` meant. `upper` and `lower` outlive the index.
  static Result<std::unique_ptr<LinkIndex>> Open(Upper& upper, Lower& lower);

  // True where new entries take the kernel's form.
  bool kernel_form() const { return index_ != nullptr; }

  // Whether there is an entry for the file that shows inode number `ino`.
  bool Has(uint64_t ino) const;
  // REQUIRES: Has(ino).
  Place PlaceOf(uint64_t ino) const;
  Result<Entry> Read(uint64_t ino) const;
  // Whether the entry of `ino` is of the file `ref`, and not of one that had the number before.
  bool IsOf(uint64_t ino, const LowerRef& ref) const;

  // Where the entry for `ref` has to be put; Add() when it is there.
  Place PlaceFor(const LowerRef& ref) const;
  void Add(uint64_t ino, Place place);
  // Removes the entry; the file must have no other name.
  Result<> Remove(uint64_t ino);

  // What `nlink` must say for a file with `delta` names beyond its links.
  static std::string CountMark(int delta);
  // And while it is on its way from a lower name to a link in the upper, when a crash must not
  // leave doubt which it is: `names` in all, `lower_nlink` of them in the lower to begin with.
  static std::string CountMarkInTransit(const Place& place, int names, nlink_t lower_nlink);

  // Held by whoever gives or takes a name of an indexed file, so that counts add up.
  std::mutex& names_mu() const { return names_mu_; }

 private:
  LinkIndex(Upper& upper, Lower& lower) : upper_(upper), lower_(lower) {}
  Result<> OpenKernelForm();
  Result<> Load(const SharedFd& dir);
  Result<> LoadEntry(const Place& place);

  Upper& upper_;
  Lower& lower_;
  SharedFd links_;
  SharedFd index_;  // none: not used
  mutable std::mutex names_mu_;
  mutable std::shared_mutex mu_;
  std::unordered_map<uint64_t, Place> entries_;
  std::atomic<bool> any_{false};
};

}  // namespace veneer::fs
