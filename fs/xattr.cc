// Extended attributes as users see them; markers are hidden, and users' look-alikes escaped
// (store/markers.h).
#include <fcntl.h>

#include <algorithm>
#include <optional>

#include "fs/copy_turn.h"
#include "fs/overlay.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

// The attributes that the kernel asks for by itself, for permissions, whenever a program is run, a
// file is written to, or somebody but root uses a directory that has changed: one bit each. Nearly
// no file has any of them.
uint32_t AskedOften(std::string_view name) {
  if (name == "system.posix_acl_access") return Inode::kLacksAccessAcl;
  if (name == "system.posix_acl_default") return Inode::kLacksDefaultAcl;
  if (name == "security.capability") return Inode::kLacksCapability;
  return 0;
}

}  // namespace

Result<> Overlay::CheckXattr(const std::string& name) const {
  if (behaviour_.acl || !name.starts_with(kAclPrefix)) return {};
  return Fail(ENOTSUP, "ACLs are switched off");
}

Result<std::string> Overlay::GetXattr(NodeId node, const std::string& name) {
  TRY(CheckXattr(name));
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  const uint32_t bit = AskedOften(name);
  for (;;) {
    uint32_t lacks = inode->lacks.load();
    if ((lacks & bit) != 0) return Fail(ENODATA, "getxattr");
    if (bit == Inode::kLacksCapability) {
      MutexLock lock(inode->mu);
      const auto& shown = inode->rare().shown_capability;
      if (shown) return ownership_.ShownXattr(name, *shown);
    }
    auto value = StoredXattr(inode, name);
    if (value) return ownership_.ShownXattr(name, std::move(*value));
    if (value.error().code() != ENODATA || bit == 0) return value;
    bool remembered = inode->lacks.compare_exchange_strong(lacks, lacks | bit);
    if (remembered || bit != Inode::kLacksCapability) return value;
  }
}

Result<std::string> Overlay::StoredXattr(const InodePtr& inode, const std::string& name) {
  if (!inode->has_upper()) return lower_->Xattr(inode->lower, name);
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
  return fs::GetXattr(FileAt(fd->get()), upper_->StoredXattrName(name));
}

Result<std::vector<std::string>> Overlay::ListXattr(NodeId node) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  std::vector<std::string> names;
  if (!inode->has_upper()) {
    TRY_ASSIGN(names, lower_->XattrNames(inode->lower));
  } else {
    TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
    // One that is gone for a while, and comes back, is there.
    bool same = false;
    while (!same) {
      const uint32_t lacks = inode->lacks.load();
      TRY_ASSIGN(auto stored, fs::ListXattr(FileAt(fd->get())));
      names.clear();
      for (const std::string& name : stored) {
        if (auto user = upper_->UserXattrName(name)) names.push_back(std::move(*user));
      }
      constexpr const char* kCapability = "security.capability";
      MutexLock lock(inode->mu);
      const bool shown = inode->rare().shown_capability.has_value();
      same = shown || (inode->lacks ^ lacks) < Inode::kNextLack;
      if (shown && std::find(names.begin(), names.end(), kCapability) == names.end()) {
        names.emplace_back(kCapability);
      }
    }
  }
  std::erase_if(names, [this](const std::string& name) { return !CheckXattr(name); });
  return names;
}

Result<> Overlay::ChangeXattr(NodeId node, const Change& change) {
  TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
  TRY(RequireUpper());
  TRY_ASSIGN(Passage passage, gate_.Enter());
  TRY(EnsureUpper(inode, Need::kAttributes));
  std::optional<CopyTurn> turn;
  TRY(HoldStub(inode, turn));
  TRY(FaultPoint("setxattr.before_change"));
  TRY_ASSIGN(SharedFd fd, OpenUpper(inode, O_PATH));
  return change(*inode, FileAt(fd->get()));
}

Result<> Overlay::SetXattr(NodeId node, const std::string& name, std::string_view value,
                           int flags) {
  TRY(CheckXattr(name));
  TRY_ASSIGN(std::string stored, ownership_.XattrOnDisk(name, value));
  return ChangeXattr(node, [&](Inode& inode, const FileAt& file) -> Result<> {
    bool capability = name == "security.capability";
    if (capability) TRY(AwaitWhole(inode.shared_from_this()));  // data would take it away
    const uint32_t bit = AskedOften(name);
    std::optional<MutexLock> privileges;  // an ACL is a mode too
    if (bit != 0) privileges.emplace(PrivilegesOf(inode));
    if (capability) inode.maybe_capable = true;
    inode.ForgetLacks(bit);
    auto set = fs::SetXattr(file, upper_->StoredXattrName(name), stored, flags);
    inode.ForgetLacks(bit);
    return set;
  });
}

Result<> Overlay::RemoveXattr(NodeId node, const std::string& name) {
  // Not worth a copy-up to find out that there is nothing to remove.
  if (auto old = GetXattr(node, name); !old && old.error().code() == ENODATA) {
    if (name.starts_with(kAclPrefix)) return {};  // as the kernel's own filesystems
    return std::unexpected(std::move(old).error());
  }
  TRY(ChangeXattr(node, [&](Inode&, const FileAt& file) {
    return fs::RemoveXattr(file, upper_->StoredXattrName(name));
  }));
  if (name == "security.capability") {
    TRY_ASSIGN(InodePtr inode, inodes_.Find(node));
    inode->capability_removed = true;
  }
  return {};
}

}  // namespace veneer::fs
