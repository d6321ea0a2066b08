#include "tools/build/copy/copy_plan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "store/markers.h"

namespace veneer::build {
namespace {

constexpr uint32_t kMaxDepth = 1024;  // as for uppers: no path of a mounted filesystem gets there
constexpr size_t kMaxName = 255;

PlanKind KindOf(uint32_t mode) {
  if (S_ISDIR(mode)) return PlanKind::kDirectory;
  return S_ISLNK(mode) ? PlanKind::kSymlink : PlanKind::kOther;
}

bool SameAttributes(const tree::Attributes& a, const tree::Attributes& b) {
  return a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.mtime_sec == b.mtime_sec &&
         a.mtime_nsec == b.mtime_nsec;
}

// Sets `from`'s in `to`; whether that changes anything.
bool AddXattrs(const std::vector<tree::Xattr>& from, std::vector<tree::Xattr>& to) {
  bool changed = false;
  for (const tree::Xattr& xattr : from) {
    const auto at = std::ranges::lower_bound(to, xattr.name, {}, &tree::Xattr::name);
    if (at == to.end() || at->name != xattr.name) {
      to.insert(at, xattr);
    } else if (at->value != xattr.value) {
      at->value = xattr.value;
    } else {
      continue;
    }
    changed = true;
  }
  return changed;
}

}  // namespace

Result<std::unique_ptr<CopyPlan>> CopyPlan::Create(std::shared_ptr<const tree::MergedTree> chain) {
  std::unique_ptr<CopyPlan> plan(new CopyPlan(std::move(chain)));
  if (plan->chain_) {
    TRY_ASSIGN(plan->root_.file, plan->FileOfChain(tree::kRootIno));
    plan->root_.shows_through = tree::kRootIno;
  } else {
    plan->root_.file = &plan->files_.emplace_back();
    plan->root_.file->attr.mode = S_IFDIR | 0755;
  }
  return plan;
}

std::string CopyPlan::PathOf(const PlanNode& directory, std::string_view name) {
  std::string path(name);
  for (const PlanNode* node = &directory; node->parent; node = node->parent)
    path = path.empty() ? *node->name : *node->name + "/" + path;
  return "/" + path;
}

Result<std::optional<tree::DirEntry>> CopyPlan::InChain(const PlanNode& directory,
                                                        std::string_view name) const {
  if (directory.shows_through == tree::kNoIno) return std::nullopt;
  return chain_->Lookup(directory.shows_through, name);
}

Result<PlanKind> CopyPlan::Look(const PlanNode& directory, std::string_view name) const {
  if (const auto it = directory.children.find(name); it != directory.children.end())
    return KindOf(it->second->file->attr.mode);
  TRY_ASSIGN(const auto entry, InChain(directory, name));
  if (!entry) return PlanKind::kNothing;
  return KindOf(DTTOIF(entry->type));
}

Result<std::string> CopyPlan::LinkTarget(const PlanNode& directory, std::string_view name) const {
  if (const auto it = directory.children.find(name); it != directory.children.end())
    return it->second->file->link_target;
  TRY_ASSIGN(const auto entry, InChain(directory, name));
  if (!entry) return Fail(ENOENT, PathOf(directory, name));
  return chain_->LinkTarget(entry->ino);
}

Result<PlanFile*> CopyPlan::FileOfChain(tree::Ino ino) {
  PlanFile file;
  TRY_ASSIGN(const tree::Inode inode, chain_->Get(ino));
  file.attr = inode.attr;
  TRY_ASSIGN(file.xattrs, chain_->Xattrs(ino));
  if (S_ISREG(inode.attr.mode)) file.object = inode.object;
  if (S_ISLNK(inode.attr.mode)) {
    TRY_ASSIGN(file.link_target, chain_->LinkTarget(ino));
  }
  return &files_.emplace_back(std::move(file));
}

Result<PlanNode*> CopyPlan::Attach(PlanNode& directory, const std::string& name, PlanFile* file) {
  if (name.size() > kMaxName)
    return Invalid("'" + name.substr(0, 80) + "…' is too long for a name", ENAMETOOLONG);
  if (name.starts_with(markers::kAufsPrefix)) {
    return Invalid("'" + PathOf(directory, name) +
                       "' cannot be in a layer: names that begin with .wh. stand for deleted files",
                   ENOTSUP);
  }
  if (directory.depth >= kMaxDepth) {
    return Invalid("'" + PathOf(directory).substr(0, 80) + "…' is nested deeper than " +
                       std::to_string(kMaxDepth) + " directories",
                   ENAMETOOLONG);
  }
  const auto slot = directory.children.try_emplace(name).first;
  slot->second = std::make_unique<PlanNode>();
  PlanNode& node = *slot->second;
  node.file = file;
  node.parent = &directory;
  node.name = &slot->first;
  node.depth = directory.depth + 1;
  return &node;
}

Result<PlanNode*> CopyPlan::Enter(PlanNode& directory, const std::string& name) {
  if (const auto it = directory.children.find(name); it != directory.children.end())
    return it->second.get();
  TRY_ASSIGN(const auto entry, InChain(directory, name));
  if (!entry) return Fail(ENOENT, PathOf(directory, name));
  const tree::Ino ino = entry->ino;
  TRY_ASSIGN(PlanFile * file, FileOfChain(ino));
  TRY_ASSIGN(PlanNode * node, Attach(directory, name, file));
  node->shows_through = ino;
  return node;
}

void CopyPlan::MarkChanged(PlanNode& node) {
  node.changed = true;
  for (PlanNode* at = node.parent; at && !at->holds_changes; at = at->parent)
    at->holds_changes = true;
}

Result<PlanNode*> CopyPlan::Put(PlanNode& directory, const std::string& name, PlanFile file) {
  return PutLink(directory, name, &files_.emplace_back(std::move(file)));
}

Result<PlanNode*> CopyPlan::PutLink(PlanNode& directory, const std::string& name, PlanFile* file) {
  TRY_ASSIGN(PlanNode * node, Attach(directory, name, file));
  MarkChanged(*node);
  return node;
}

Result<PlanFile*> CopyPlan::TakeOver(PlanNode& directory, const std::string& name) {
  if (const auto it = directory.children.find(name); it != directory.children.end())
    return it->second->file;
  TRY_ASSIGN(const auto entry, InChain(directory, name));
  if (!entry) return Fail(ENOENT, PathOf(directory, name));
  TRY_ASSIGN(PlanFile * file, FileOfChain(entry->ino));
  TRY_ASSIGN(const PlanNode* node, PutLink(directory, name, file));
  return node->file;
}

void CopyPlan::Change(PlanNode& directory, const tree::Attributes& attr,
                      const std::vector<tree::Xattr>& xattrs) {
  PlanFile& file = *directory.file;
  const bool same = SameAttributes(file.attr, attr);
  if (!AddXattrs(xattrs, file.xattrs) && same) return;
  file.attr = attr;
  MarkChanged(directory);
}

// Gives the plan's entries to a LayerWriter.
class CopyPlan::Output {
 public:
  Output(const CopyPlan& plan, LayerWriter& writer, std::optional<int64_t> latest_mtime)
      : plan_(plan), writer_(writer), latest_mtime_(latest_mtime) {}

  Result<> Directory(const PlanNode& directory, const std::string& path) {
    for (const auto& [name, node] : directory.children) {
      if (!node->changed && !node->holds_changes) continue;
      const std::string child = path.empty() ? name : path + "/" + name;
      TRY(Entry(directory, *node, child));
      if (S_ISDIR(node->file->attr.mode)) TRY(Directory(*node, child));
    }
    return {};
  }

 private:
  Result<> Entry(const PlanNode& directory, const PlanNode& node, const std::string& path) {
    PlanFile& file = *node.file;
    UpperChange change;
    change.path = path;
    change.attr = file.attr;
    if (node.changed) Clamp(change.attr);
    if (S_ISDIR(file.attr.mode)) {
      change.xattrs = file.xattrs;
      TRY_ASSIGN(change.opaque, HidesDirectory(directory, node));
      return writer_.Add(change, {});
    }
    if (!file.written_as.empty()) {
      change.hard_link = file.written_as;
      return writer_.Add(change, {});
    }
    file.written_as = path;
    change.xattrs = file.xattrs;
    change.link_target = file.link_target;
    if (!S_ISREG(file.attr.mode) || file.attr.size == 0 || !file.contents) {
      change.object = file.object;
      return writer_.Add(change, {});
    }
    TRY_ASSIGN(UniqueFd fd, file.contents->Open(file.number));
    // The same open file, to see afterwards what became of it.
    const UniqueFd kept(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!kept) return Errno("dup");
    change.open = [&fd]() -> Result<UniqueFd> { return std::move(fd); };
    TRY(writer_.Add(change, {}));
    return file.contents->Verify(file.number, kept.get());
  }

  // A new directory where the chain has one, of which nothing is to show.
  Result<bool> HidesDirectory(const PlanNode& directory, const PlanNode& node) const {
    if (node.shows_through != tree::kNoIno) return false;
    TRY_ASSIGN(const auto entry, plan_.InChain(directory, *node.name));
    return entry && entry->type == DT_DIR;
  }

  void Clamp(tree::Attributes& attr) const {
    if (!latest_mtime_ || attr.mtime_sec < *latest_mtime_) return;
    attr.mtime_sec = *latest_mtime_;
    attr.mtime_nsec = 0;
  }

  const CopyPlan& plan_;
  LayerWriter& writer_;
  const std::optional<int64_t> latest_mtime_;
};

Result<> CopyPlan::Write(LayerWriter& writer, std::optional<int64_t> latest_mtime) {
  return Output(*this, writer, latest_mtime).Directory(root_, "");
}

}  // namespace veneer::build
