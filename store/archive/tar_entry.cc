#include "store/archive/tar_entry.h"

#include <archive.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "store/archive/posix_acl.h"

namespace veneer {

namespace {

constexpr const char* kAclAccess = "system.posix_acl_access";
constexpr const char* kAclDefault = "system.posix_acl_default";

std::string_view OrEmpty(const char* s) { return s ? s : ""; }

std::unexpected<Error> Bad(std::string_view what) { return Invalid(std::string(what), EBADMSG); }

uint32_t TypeBits(TarFrame::Kind kind) {
  switch (kind) {
    case TarFrame::Kind::kRegular:
    case TarFrame::Kind::kHardLink:
      return S_IFREG;
    case TarFrame::Kind::kSymlink:
      return S_IFLNK;
    case TarFrame::Kind::kCharDevice:
      return S_IFCHR;
    case TarFrame::Kind::kBlockDevice:
      return S_IFBLK;
    case TarFrame::Kind::kDirectory:
      return S_IFDIR;
    case TarFrame::Kind::kFifo:
      return S_IFIFO;
  }
  return 0;
}

Result<> CheckAgreement(archive_entry* entry, const TarFrame& frame) {
  if (OrEmpty(archive_entry_pathname(entry)) != frame.path) return Bad("two readings of its name");
  bool hard_link = frame.kind == TarFrame::Kind::kHardLink;
  const char* hard = archive_entry_hardlink(entry);
  if ((hard != nullptr) != hard_link) return Bad("two readings of its type");
  if (hard_link) {
    if (hard != frame.link_path) return Bad("two readings of its link");
    return {};
  }
  uint32_t type = archive_entry_filetype(entry);
  // libarchive forgets that "name/" is a directory when it had a warning to give.
  bool slash_directory = frame.kind == TarFrame::Kind::kDirectory && type == AE_IFREG;
  if (type != TypeBits(frame.kind) && !slash_directory) return Bad("two readings of its type");
  if (frame.kind == TarFrame::Kind::kSymlink &&
      OrEmpty(archive_entry_symlink(entry)) != frame.link_path) {
    return Bad("two readings of its link");
  }
  return {};
}

// The extents of a sparse file's map have to hold the stored bytes exactly.
bool MapFits(archive_entry* entry, uint64_t size, uint64_t stored) {
  // libarchive counts none where one covers the file.
  if (archive_entry_sparse_count(entry) == 0) return stored == 0 || stored == size;
  archive_entry_sparse_reset(entry);
  uint64_t sum = 0;
  int64_t offset, length;
  while (archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK) {
    sum += static_cast<uint64_t>(length);  // they lie within the file, so this cannot overflow
  }
  return sum == stored;
}

// Writers with a signed uid_t gave -2 for 4294967294; nothing may be -1, which means "no change" to
// chown(2).
Result<uint32_t> Owner(int64_t id) {
  if (id < INT32_MIN || id >= UINT32_MAX || id == -1) return Bad("an owner that does not fit");
  return static_cast<uint32_t>(id);
}

Result<> AddXattrs(archive_entry* entry, const TarFrame& frame, TarEntry& out) {
  std::map<std::string, std::string> xattrs;
  const char* name;
  const void* value;
  size_t size;
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    std::string text(static_cast<const char*>(value), size);
    auto [it, added] = xattrs.try_emplace(name, text);
    // bsdtar writes each xattr twice, in two encodings.
    if (!added && it->second != text) {
      return Bad("two different values of xattr " + QuoteTarPath(name));
    }
  }
  if (frame.acl_access) {
    TRY_ASSIGN(PosixAcl acl, ParsePosixAcl(*frame.acl_access));
    if (!xattrs.contains(kAclAccess)) {
      out.attr.mode = (out.attr.mode & ~0777u) | acl.PermissionBits();
      if (!acl.IsMinimal()) xattrs[kAclAccess] = acl.ToXattr();
    }
  }
  if (frame.acl_default && frame.kind == TarFrame::Kind::kDirectory) {
    TRY_ASSIGN(PosixAcl acl, ParsePosixAcl(*frame.acl_default));
    xattrs.try_emplace(kAclDefault, acl.ToXattr());
  }
  out.xattrs.reserve(xattrs.size());
  for (auto& [key, text] : xattrs) out.xattrs.push_back({.name = key, .value = std::move(text)});
  return {};
}

}  // namespace

Result<TarEntry> MakeTarEntry(archive_entry* entry, const TarFrame& frame) {
  TRY(CheckAgreement(entry, frame));
  TarEntry out;
  out.path = frame.path;
  out.link_target = frame.link_path;
  bool hard_link = frame.kind == TarFrame::Kind::kHardLink;
  if (hard_link) out.kind = TarEntry::Kind::kHardLink;

  tree::Attributes& attr = out.attr;
  attr.mode = TypeBits(frame.kind) | frame.permissions;
  TRY_ASSIGN(attr.uid, Owner(frame.uid.value_or(archive_entry_uid(entry))));
  TRY_ASSIGN(attr.gid, Owner(frame.gid.value_or(archive_entry_gid(entry))));
  if (frame.mtime) {
    attr.mtime_sec = frame.mtime->seconds;
    attr.mtime_nsec = frame.mtime->nanoseconds;
  } else {
    attr.mtime_sec = archive_entry_mtime(entry);
  }
  if (frame.kind == TarFrame::Kind::kRegular) {
    int64_t size = archive_entry_size(entry);
    if (size < 0) return Bad("a negative size");
    attr.size = static_cast<uint64_t>(size);
    if (frame.sparse ? !MapFits(entry, attr.size, frame.payload) : attr.size != frame.payload) {
      return Bad("two readings of its size");
    }
  } else if (frame.kind == TarFrame::Kind::kSymlink) {
    attr.size = out.link_target.size();
  } else if (S_ISCHR(attr.mode) || S_ISBLK(attr.mode)) {
    dev_t major = archive_entry_rdevmajor(entry), minor = archive_entry_rdevminor(entry);
    if (major > UINT32_MAX || minor > UINT32_MAX) return Bad("a device number that does not fit");
    attr.rdev_major = static_cast<uint32_t>(major);
    attr.rdev_minor = static_cast<uint32_t>(minor);
  }
  if (!hard_link) TRY(AddXattrs(entry, frame, out));
  return out;
}

}  // namespace veneer
