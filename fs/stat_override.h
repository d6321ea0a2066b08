// StatOverride: owner, mode, type and device of a file kept in one of its extended attributes,
// where the host cannot have them (docs/upper-format.md "Owners in an attribute"). Plain files,
// directories and the stand-ins of symlinks carry it; other files are what the host says.
// containers/storage and fuse-overlayfs read and write the same. Immutable.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>

#include "fs/xattr_io.h"
#include "store/base/result.h"

namespace veneer::fs {

class StatOverride {
 public:
  enum class Form {
    kNone,        // files are what the host says
    kPrivileged,  // security.fuseoverlayfs.override_stat, which takes root
    kContainers,  // user.containers.override_stat; security.* are kept under a user.* name, too
    kUser,        // user.fuseoverlayfs.override_stat, of older fuse-overlayfs
  };
  explicit StatOverride(Form form = Form::kNone) : form_(form) {}
  // The form that a tree is in, as its root says.
  static Form FormOf(int rootfd);

  Form form() const { return form_; }
  bool active() const { return form_ != Form::kNone; }

  // Puts into `st`, which is what the host says of the file, what the attribute says. A value that
  // is none is taken for none.
  void Apply(const FileAt& file, struct stat& st) const;
  // Owner, mode, type and device of `st` become the file's. REQUIRES: active().
  Result<> Write(const FileAt& file, const struct stat& st) const;

  // The name under which the user's attribute `name` is stored, and back; nullopt for those that
  // users do not see.
  std::string StoredName(std::string_view name) const;
  std::optional<std::string> ShownName(std::string_view stored) const;

  static std::string Format(const struct stat& st);
  // False: `value` is none, and `st` as it was.
  static bool Parse(std::string_view value, struct stat& st);

 private:
  std::string_view attribute() const;

  Form form_;
};

}  // namespace veneer::fs
