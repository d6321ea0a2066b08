// Upper: the writable directory of a mount and its work directory: exclusive use of both, the form
// its markers take, temporary names, whiteouts. Knows nothing of inodes. docs/upper-format.md is
// what it writes.
//
// Thread-safe. Functions that take (dirfd, name) never follow a symlink at `name`.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fs/fd_cache.h"
#include "fs/stand_ins.h"
#include "fs/stat_override.h"
#include "fs/xattr_io.h"
#include "store/base/mutex.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/markers.h"

namespace veneer::fs {

// What the markers of one upper entry say. Absent where there is none.
struct Marks {
  bool opaque = false;
  bool impure = false;
  bool default_acl = false;
  bool file_whiteouts = false;
  bool pending = false;
  std::optional<std::string> redirect;
  std::optional<uint64_t> ino;
  std::optional<std::string> metacopy;
  std::optional<std::string> origin;  // read only where there is no `ino`, which says the same
};

class Upper {
 public:
  struct Options {
    std::string upperdir;
    std::string workdir;
    std::string identity;  // Lower::Identity()
    bool is_volatile = false;
    // kNone: the form that the upper is in already, if any.
    StatOverride::Form stat_override = StatOverride::Form::kNone;
  };

  // Takes both directories for this mount and empties work/work.
  // EBUSY: another mount has one of them, and keeps it for two seconds; the message names it.
  // EXDEV: they are on different filesystems. EROFS, ENOTSUP: the host's filesystem cannot be an
  // upper. EINVAL: an upper of another chain.
  static Result<std::unique_ptr<Upper>> Open(const Options& options);
  // Another mount may take it from now on, and work/work is empty. REQUIRES: nothing is changed any
  // more.
  void Unlock();
  ~Upper();

  int root() const { return root_.get(); }
  SharedFd shared_root() const {
    return SharedFd(SharedFd(), &root_);
  }  // lives as long as the upper
  int temporary() const { return temporary_.get(); }  // work/work
  bool is_volatile() const { return volatile_; }
  bool trusted() const { return trusted_; }  // markers are trusted xattrs
  const std::string& path() const { return path_; }

  // work/<name>, made where it is missing.
  Result<SharedFd> OpenWorkFolder(const char* name) const;
  Result<SharedFd> FindWorkFolder(const char* name) const;  // null where it is missing
  // A name for a new entry of temporary().
  std::string NewName();

  std::string MarkName(std::string_view marker) const { return prefix_ + std::string(marker); }
  Result<> SetMark(const FileAt& file, std::string_view marker, std::string_view value);
  Result<> RemoveMark(const FileAt& file, std::string_view marker) const;
  // Reads all markers at once.
  Result<Marks> ReadMarks(const FileAt& file) const;
  Result<std::optional<std::string>> ReadMark(const FileAt& file, std::string_view marker) const;

  // stat(2), not following a symlink, with what the entry's override says; false: errno says why.
  bool StatAt(int dirfd, const std::string& name, struct stat& st) const;
  bool StatFd(int fd, struct stat& st) const;
  // Names of users' attributes as they are stored, and back; nullopt: not a user's.
  std::string StoredXattrName(std::string_view name) const {
    return markers::StoredXattrName(override_.StoredName(name));
  }
  std::optional<std::string> UserXattrName(std::string_view stored) const {
    auto name = markers::UserXattrName(stored);
    return name ? override_.ShownName(*name) : std::nullopt;
  }
  const StatOverride& stat_override() const { return override_; }
  // REQUIRES: stat_override().active().
  Result<> WriteOverride(const FileAt& file, const struct stat& st);
  // The permissions on disk of what shows others.
  mode_t backing_mode() const { return backing_mode_; }
  // The file with this st_ino has no names left.
  void ForgetFile(uint64_t upper_ino) { stand_ins_.Erase(upper_ino); }
  // The entry is a new file: what was kept for an earlier one with its st_ino goes.
  void ForgetFormer(int dirfd, const std::string& name);

  bool IsWhiteout(int dirfd, const std::string& name, const struct stat& st) const;
  // Makes a whiteout at a name that is free (EEXIST). Devices are links of one inode where the host
  // allows that: between two whiteouts rename(2) does nothing.
  Result<> MakeWhiteout(int dirfd, const std::string& name);
  // Replaces what is at `name`, neither a directory nor a whiteout, by a whiteout, atomically.
  Result<> ReplaceByWhiteout(int dirfd, const std::string& name);
  // Whether files can be left to become durable later, with a marker that whoever made them can
  // take away again.
  bool can_wait() const { return can_wait_; }
  // work/pending: it is durable before a file may carry kPending, and goes when none does.
  Result<> NotePending();
  Result<bool> HasPendingNote() const;
  Result<> RemovePendingNote();
  // Others that want this upper wait, instead of being told that it is in use.
  void SayEnding();

  // True where whiteouts are files: their directory must carry opaque=x.
  bool file_whiteouts() const { return !device_whiteouts_; }
  // True where renameat2(RENAME_WHITEOUT) writes this upper's form.
  bool can_rename_whiteout() const { return rename_whiteout_; }

  // Removes an entry of temporary(), whatever it is. Failing only leaks until the next mount.
  void Discard(const std::string& name);
  // Makes directory `dirfd` durable, unless the mount is volatile.
  Result<> SyncDir(int dirfd) const;

  Result<struct statvfs> StatFs() const;
  Result<> SyncAll() const;  // syncfs

 private:
  Upper() = default;
  Result<> Lock();
  Result<> Probe();
  Result<> ProbeOverride(StatOverride::Form wanted);
  Result<> MakeDeviceWhiteout(int dirfd, const std::string& name);
  // The entry of temporary() that whiteouts are links of; "" where there is none, and none can be.
  std::string SharedWhiteout();
  void DropSharedWhiteout(const std::string& name);  // the next one asks for another
  void ApplyOverride(const FileAt& file, struct stat& st) const;

  UniqueFd root_, work_, temporary_, stand_in_dir_, lock_;
  StandIns stand_ins_;
  StatOverride override_;
  mode_t backing_mode_ = 0700;
  std::string path_;
  std::string prefix_;
  bool trusted_ = false;
  bool device_whiteouts_ = false;
  bool share_whiteouts_ = false;
  bool rename_whiteout_ = false;
  bool volatile_ = false;
  bool can_wait_ = false;
  std::atomic<uint64_t> next_name_{0};
  Mutex whiteout_mu_;
  std::string shared_whiteout_ GUARDED_BY(whiteout_mu_);
};

// An entry of temporary() that is discarded unless Commit() says it has moved on.
class Temporary {
 public:
  explicit Temporary(Upper& upper) : upper_(upper), name_(upper.NewName()) {}
  ~Temporary() {
    if (!committed_) upper_.Discard(name_);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  const std::string& name() const { return name_; }
  int dir() const { return upper_.temporary(); }
  void Commit() { committed_ = true; }

 private:
  Upper& upper_;
  const std::string name_;
  bool committed_ = false;
};

}  // namespace veneer::fs
