#include "tools/build/copy/unpack.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "store/archive/compression.h"
#include "store/archive/layer_tar.h"
#include "store/archive/tar_header.h"
#include "tools/build/copy/plan_path.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

Result<> FromStart(int fd) {
  if (lseek(fd, 0, SEEK_SET) != 0) return Errno("lseek");
  return {};
}

class Unpacking : public LayerTarVisitor {
 public:
  Unpacking(CopyPlan& plan, PlanNode& root, ContentSpool& spool,
            const std::optional<FileOwner>& owner, int64_t now)
      : plan_(plan), root_(root), spool_(spool), owner_(owner) {
    made_.mode = S_IFDIR | 0755;
    made_.mtime_sec = now;
  }

  Result<> OnEntry(const TarEntry& entry) override {
    has_content_ = false;
    TRY_ASSIGN(PlanPath path, Place(entry.path, entry.path));
    if (path.empty()) return {};  // the destination itself stays as it is
    const std::string name = std::move(path.back());
    path.pop_back();
    TRY_ASSIGN(PlanNode * parent, MakeDirectories(plan_, root_, path, made_));
    if (entry.kind == TarEntry::Kind::kHardLink) return Link(entry, *parent, name);

    PlanFile file;
    file.attr = AttributesFor(entry);
    file.xattrs = entry.xattrs;
    file.link_target = S_ISLNK(entry.attr.mode) ? entry.link_target : "";
    if (S_ISDIR(entry.attr.mode)) {
      TRY_ASSIGN(const PlanKind there, plan_.Look(*parent, name));
      if (there == PlanKind::kDirectory) {
        TRY_ASSIGN(PlanNode * directory, plan_.Enter(*parent, name));
        plan_.Change(*directory, file.attr, file.xattrs);
        return {};
      }
    }
    if (S_ISREG(entry.attr.mode) && entry.attr.size > 0) {
      file.contents = &spool_;
      TRY_ASSIGN(file.number, spool_.Begin(entry.attr.size));
      has_content_ = true;
    }
    TRY(plan_.Put(*parent, name, std::move(file)));
    return {};
  }

  Result<> OnContent(uint64_t offset, std::string_view data) override {
    return has_content_ ? spool_.Write(offset, data) : Result<>();
  }
  Result<> OnEntryEnd() override { return {}; }
  Result<> OnLiteral(std::string_view) override { return {}; }
  Result<> OnPayload(const std::vector<PayloadExtent>&) override { return {}; }

 private:
  // Where a name of the archive's lies: symlinks are followed, but not at its end. Empty: the
  // destination. `entry`: for messages.
  Result<PlanPath> Place(std::string_view name, const std::string& entry) {
    name.remove_prefix(std::min(name.find_first_not_of('/'), name.size()));
    const std::string path = CleanPath(name);
    if (path == "." || path.empty()) return PlanPath();
    if (path == ".." || path.starts_with("../")) return Outside(entry);
    const size_t slash = path.rfind('/');
    const std::string above = slash == path.npos ? "" : path.substr(0, slash);
    auto followed = FollowInPlan(plan_, root_, above, AboveRoot::kRefused);
    if (!followed) {
      if (followed.error().code() == EXDEV) return Outside(entry);
      return std::unexpected(followed.error());
    }
    followed->push_back(path.substr(slash + 1));  // npos + 1 == 0
    return followed;
  }

  static std::unexpected<Error> Outside(const std::string& path) {
    return Invalid("archive path \"" + path + "\" is outside extraction root", EXDEV);
  }

  Result<> Link(const TarEntry& entry, PlanNode& parent, const std::string& name) {
    TRY_ASSIGN(PlanPath path, Place(entry.link_target, entry.link_target));
    if (path.empty()) {
      return Invalid("archive hardlink \"" + entry.path + "\" targets extraction root", EPERM);
    }
    const std::string target_name = std::move(path.back());
    path.pop_back();
    TRY_ASSIGN(const PlanKind above, LookAt(plan_, root_, path));
    const std::string what = "link " + entry.link_target + " " + entry.path;
    if (above != PlanKind::kDirectory) return Fail(ENOENT, what);
    TRY_ASSIGN(PlanNode * directory, MakeDirectories(plan_, root_, path, made_));
    // Whatever bears the new name goes first, the target itself too.
    const bool itself = directory == &parent && target_name == name;
    TRY_ASSIGN(const PlanKind there, plan_.Look(*directory, target_name));
    if (there == PlanKind::kNothing || itself) return Fail(ENOENT, what);
    if (there == PlanKind::kDirectory) return Fail(EPERM, what);
    TRY_ASSIGN(PlanFile * file, plan_.TakeOver(*directory, target_name));
    TRY(plan_.PutLink(parent, name, file));
    const tree::Attributes attr = AttributesFor(entry);
    file->attr.uid = attr.uid;
    file->attr.gid = attr.gid;
    if (S_ISLNK(file->attr.mode)) return {};
    file->attr.mode = (file->attr.mode & S_IFMT) | (attr.mode & ~uint32_t{S_IFMT});
    file->attr.mtime_sec = attr.mtime_sec;
    file->attr.mtime_nsec = attr.mtime_nsec;
    return {};
  }

  tree::Attributes AttributesFor(const TarEntry& entry) const {
    tree::Attributes attr = entry.attr;
    if (owner_) {
      attr.uid = owner_->uid;
      attr.gid = owner_->gid;
    }
    if (attr.mtime_sec < 0) attr.mtime_sec = attr.mtime_nsec = 0;
    return attr;
  }

  CopyPlan& plan_;
  PlanNode& root_;
  ContentSpool& spool_;
  const std::optional<FileOwner>& owner_;
  tree::Attributes made_;  // of directories that the archive does not mention
  bool has_content_ = false;
};

}  // namespace

Result<bool> IsArchive(int fd) {
  TRY(FromStart(fd));
  FdSource source(fd);
  auto decompressor = Decompressor::Create(source);
  if (!decompressor) return std::unexpected(decompressor.error());
  std::string block;
  while (block.size() < kTarBlock) {
    auto piece = (*decompressor)->Next();
    if (!piece) {
      if (piece.error().code() == EBADMSG) return false;  // it only began like a compressed file
      return std::unexpected(piece.error());
    }
    if (piece->empty()) return false;
    block += piece->substr(0, kTarBlock - block.size());
  }
  return !IsZeroBlock(block) && ParseTarHeader(block).has_value();
}

Result<> UnpackArchive(int fd, CopyPlan& plan, PlanNode& destination, ContentSpool& spool,
                       const std::optional<FileOwner>& owner, int64_t now) {
  TRY(FromStart(fd));
  FdSource source(fd);
  TRY_ASSIGN(auto decompressor, Decompressor::Create(source));
  Unpacking unpacking(plan, destination, spool, owner, now);
  return ReadLayerTar(*decompressor, unpacking);
}

}  // namespace veneer::build
