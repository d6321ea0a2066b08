#include "tools/build/copy/copy_into.h"

#include <utility>
#include <vector>

#include "tools/build/copy/plan_path.h"

namespace veneer::build {
namespace {

constexpr uint32_t kPermissions = 07777;

// The part of a destination that has to be a directory.
std::string_view DirectoryPart(std::string_view destination) {
  const size_t name = destination.rfind('/') + 1;
  const std::string_view last = destination.substr(name);
  return last.empty() || last == "." ? destination : destination.substr(0, name);
}

class Copying {
 public:
  Copying(CopyPlan& plan, const CopiedSource& source, PlanContents& contents,
          const CopyRules& rules)
      : plan_(plan),
        source_(source),
        contents_(contents),
        rules_(rules),
        files_(source.entries.size()) {}

  Result<> Run() {
    const CopiedEntry& top = source_.entries.front();
    TRY_ASSIGN(PlanPath target, Target(S_ISDIR(top.attr.mode)));
    if (!S_ISDIR(top.attr.mode)) {
      const std::string name = std::move(target.back());
      target.pop_back();
      TRY_ASSIGN(PlanNode * directory,
                 MakeDirectories(plan_, plan_.root(), target, DirectoryOnTheWay(rules_, true)));
      return File(0, *directory, name);
    }
    TRY_ASSIGN(PlanNode * directory, TopDirectory(top, std::move(target)));
    directories_ = {directory};
    for (size_t i = 1; i < source_.entries.size(); ++i) {
      const CopiedEntry& entry = source_.entries[i];
      directories_.resize(entry.depth);
      PlanNode& parent = *directories_.back();
      const std::string name(entry.name());
      if (S_ISDIR(entry.attr.mode)) {
        TRY_ASSIGN(directory, Directory(entry, parent, name));
        directories_.push_back(directory);
      } else {
        TRY(File(i, parent, name));
      }
    }
    return {};
  }

 private:
  // Where the source itself goes. The directories above it are made.
  Result<PlanPath> Target(bool is_directory) {
    const tree::Attributes made = DirectoryOnTheWay(rules_, true);
    TRY_ASSIGN(const PlanPath above,
               FollowInPlan(plan_, plan_.root(), DirectoryPart(rules_.destination)));
    TRY(MakeDirectories(plan_, plan_.root(), above, made));
    TRY_ASSIGN(PlanPath target, FollowInPlan(plan_, plan_.root(), rules_.destination));
    if (!is_directory) {
      TRY_ASSIGN(const PlanKind there, LookAt(plan_, plan_.root(), target));
      if (there == PlanKind::kDirectory) target.push_back(source_.name);
    }
    return target;
  }

  Result<PlanNode*> TopDirectory(const CopiedEntry& top, PlanPath target) {
    TRY_ASSIGN(const PlanKind there, LookAt(plan_, plan_.root(), target));
    if (there == PlanKind::kSymlink || there == PlanKind::kOther) {
      const std::string name = std::move(target.back());
      target.pop_back();
      TRY_ASSIGN(const PlanNode* parent, MakeDirectories(plan_, plan_.root(), target, {}));
      return CannotCopyTo(*parent, name);
    }
    if (there == PlanKind::kNothing && !source_.contents_only) {
      const std::string name = std::move(target.back());
      target.pop_back();
      TRY_ASSIGN(PlanNode * parent,
                 MakeDirectories(plan_, plan_.root(), target, DirectoryOnTheWay(rules_, true)));
      return Directory(top, *parent, name);
    }
    TRY_ASSIGN(PlanNode * directory,
               MakeDirectories(plan_, plan_.root(), target, DirectoryOnTheWay(rules_, true)));
    tree::Attributes attr = directory->file->attr;
    attr.mtime_sec = top.attr.mtime_sec;
    attr.mtime_nsec = top.attr.mtime_nsec;
    plan_.Change(*directory, attr, {});
    return directory;
  }

  // A directory below the source.
  Result<PlanNode*> Directory(const CopiedEntry& entry, PlanNode& parent, const std::string& name) {
    TRY_ASSIGN(const PlanKind there, plan_.Look(parent, name));
    switch (there) {
      case PlanKind::kNothing: {
        PlanFile file;
        file.attr = AttributesFor(entry);
        file.xattrs = entry.xattrs;
        return plan_.Put(parent, name, std::move(file));
      }
      case PlanKind::kDirectory: {
        TRY_ASSIGN(PlanNode * directory, plan_.Enter(parent, name));
        if (entry.implied) {
          tree::Attributes attr = directory->file->attr;
          attr.mode = S_IFDIR | (entry.attr.mode & kPermissions);
          plan_.Change(*directory, attr, {});
        } else {
          plan_.Change(*directory, AttributesFor(entry), entry.xattrs);
        }
        return directory;
      }
      case PlanKind::kSymlink:
      case PlanKind::kOther:
        break;
    }
    return CannotCopyTo(parent, name);
  }

  Result<> File(size_t index, PlanNode& parent, const std::string& name) {
    const CopiedEntry& entry = source_.entries[index];
    TRY_ASSIGN(const PlanKind there, plan_.Look(parent, name));
    if (there == PlanKind::kDirectory) {
      return Invalid("cannot replace to directory " + CopyPlan::PathOf(parent, name) + " with file",
                     EISDIR);
    }
    if (entry.first_name != CopiedEntry::kNone && files_[entry.first_name]) {
      TRY(plan_.PutLink(parent, name, files_[entry.first_name]));
      return {};
    }
    PlanFile file;
    file.attr = AttributesFor(entry);
    file.xattrs = entry.xattrs;
    file.link_target = entry.link_target;
    file.object = entry.content;
    if (entry.has_content() && !entry.in_store) {
      file.contents = &contents_;
      file.number = index;
    }
    TRY_ASSIGN(const PlanNode* node, plan_.Put(parent, name, std::move(file)));
    files_[index] = node->file;
    return {};
  }

  tree::Attributes AttributesFor(const CopiedEntry& entry) const {
    tree::Attributes attr = entry.attr;
    if (rules_.owner) {
      attr.uid = rules_.owner->uid;
      attr.gid = rules_.owner->gid;
    }
    if (rules_.mode && !S_ISLNK(attr.mode)) attr.mode = rules_.mode->Apply(attr.mode);
    if (source_.made_now) {
      attr.mtime_sec = rules_.now;
      attr.mtime_nsec = 0;
    }
    return attr;
  }

  static std::unexpected<Error> CannotCopyTo(const PlanNode& parent, const std::string& name) {
    return Invalid("cannot copy to non-directory: " + CopyPlan::PathOf(parent, name), ENOTDIR);
  }

  CopyPlan& plan_;
  const CopiedSource& source_;
  PlanContents& contents_;
  const CopyRules& rules_;
  std::vector<PlanFile*> files_;        // what became of each entry that is a file
  std::vector<PlanNode*> directories_;  // from the source down to where the copying stands
};

}  // namespace

tree::Attributes DirectoryOnTheWay(const CopyRules& rules, bool with_mode) {
  tree::Attributes attr;
  attr.mode = S_IFDIR | 0755;
  if (with_mode && rules.mode && rules.mode->absolute())
    attr.mode = S_IFDIR | (*rules.mode->absolute() & 0777);
  if (rules.owner) {
    attr.uid = rules.owner->uid;
    attr.gid = rules.owner->gid;
  }
  attr.mtime_sec = rules.now;
  return attr;
}

Result<> CopyInto(CopyPlan& plan, const CopiedSource& source, PlanContents& contents,
                  const CopyRules& rules) {
  return Copying(plan, source, contents, rules).Run();
}

}  // namespace veneer::build
