// CopyPlan: what a step makes of a chain, in memory, until it is written as a layer.
//
// It looks like a filesystem: directories are entered, names looked up, files put. What is not in
// the plan is the chain's. Nodes belong to the plan and stay where they are. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"
#include "store/layer_writer.h"
#include "store/tree/merged_tree.h"
#include "store/tree/types.h"

namespace veneer::build {

// Where contents of planned files are that are not in the store yet.
class PlanContents {
 public:
  virtual ~PlanContents() = default;
  // The content with this number, O_RDONLY, from its start.
  virtual Result<UniqueFd> Open(size_t number) = 0;
  // Called when all of `fd`, as Open gave it, was read. EAGAIN: it is not what was planned.
  virtual Result<> Verify(size_t number, int fd) = 0;
};

// A file or directory. Several names may share one.
struct PlanFile {
  tree::Attributes attr;
  std::vector<tree::Xattr> xattrs;  // sorted by name
  std::string link_target;          // symlinks
  ObjectId object;                  // the content, where `contents` is null
  PlanContents* contents = nullptr;
  size_t number = 0;
  std::string written_as;  // the name under which the layer has it; empty: not yet
};

struct PlanNode {
  PlanFile* file = nullptr;
  PlanNode* parent = nullptr;              // null: the root
  const std::string* name = nullptr;       // null: the root
  tree::Ino shows_through = tree::kNoIno;  // the chain's directory that this one adds to
  uint32_t depth = 0;
  bool changed = false;        // the layer has to say it
  bool holds_changes = false;  // or something below it
  std::map<std::string, std::unique_ptr<PlanNode>, std::less<>> children;
};

enum class PlanKind { kNothing, kDirectory, kSymlink, kOther };

class CopyPlan {
 public:
  // `chain` null: there is nothing yet.
  static Result<std::unique_ptr<CopyPlan>> Create(std::shared_ptr<const tree::MergedTree> chain);

  PlanNode& root() { return root_; }
  // "/a/b", for messages.
  static std::string PathOf(const PlanNode& directory, std::string_view name = {});

  Result<PlanKind> Look(const PlanNode& directory, std::string_view name) const;
  // REQUIRES: a symlink is there.
  Result<std::string> LinkTarget(const PlanNode& directory, std::string_view name) const;
  // REQUIRES: a directory is there.
  Result<PlanNode*> Enter(PlanNode& directory, const std::string& name);

  // Puts a new file or directory in the place of whatever is there, with all below it. Errors:
  // names that no layer can hold.
  Result<PlanNode*> Put(PlanNode& directory, const std::string& name, PlanFile file);
  // Puts another name of `file`, which is no directory.
  Result<PlanNode*> PutLink(PlanNode& directory, const std::string& name, PlanFile* file);
  // The file that is there, to be changed: if it is the chain's, the plan has it from now on.
  // REQUIRES: something is there that is no directory.
  Result<PlanFile*> TakeOver(PlanNode& directory, const std::string& name);

  // Gives a directory other attributes and adds `xattrs` to those it has.
  void Change(PlanNode& directory, const tree::Attributes& attr,
              const std::vector<tree::Xattr>& xattrs);

  // The entries of the layer: what was put and changed, and the directories it is in as they are,
  // but not the root; a directory before what is in it, names in byte order. Modification times
  // that are later become `latest_mtime`, but for those of directories that did not change.
  Result<> Write(LayerWriter& writer, std::optional<int64_t> latest_mtime);

 private:
  class Output;

  explicit CopyPlan(std::shared_ptr<const tree::MergedTree> chain) : chain_(std::move(chain)) {}

  Result<std::optional<tree::DirEntry>> InChain(const PlanNode& directory,
                                                std::string_view name) const;
  Result<PlanFile*> FileOfChain(tree::Ino ino);
  Result<PlanNode*> Attach(PlanNode& directory, const std::string& name, PlanFile* file);
  static void MarkChanged(PlanNode& node);

  const std::shared_ptr<const tree::MergedTree> chain_;
  std::deque<PlanFile> files_;
  PlanNode root_;
};

}  // namespace veneer::build
