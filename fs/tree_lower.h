// TreeLower: the lower of a store mount, the merged tree of a chain with its objects.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "fs/lower.h"
#include "store/tree/merged_tree.h"

namespace veneer::fs {

class TreeLower : public Lower {
 public:
  // `chain` is the path of the merged tree's file, or "none" for an empty tree. `objects` is the
  // objects folder. EBADMSG: the tree is damaged (it is renamed aside, so that the store rebuilds
  // it).
  static Result<std::unique_ptr<TreeLower>> Open(const std::string& chain,
                                                 const std::string& objects);
  ~TreeLower() override;

  Result<LowerRef> Root() override;
  Result<LowerRef> Lookup(const LowerRef& dir, std::string_view name) override;
  Result<struct stat> Attr(const LowerRef& ref) override;
  Result<> ForEach(const LowerRef& dir, const Visit& visit) override;
  Result<std::string> LinkTarget(const LowerRef& ref) override;
  Result<std::vector<std::string>> XattrNames(const LowerRef& ref) override;
  Result<std::string> Xattr(const LowerRef& ref, const std::string& name) override;
  Result<UniqueFd> Open(const LowerRef& ref) override;
  Result<std::optional<DataMark>> MarkOf(const LowerRef& ref) override;
  Result<LowerRef> FromMark(const DataMark& mark, const LowerRef& dir,
                            std::string_view name) override;
  bool KnowsNames() const override { return true; }
  Result<std::vector<LowerName>> Names(const LowerRef& ref) override;
  Result<LowerName> NameOfDir(uint64_t ino) override;
  std::string Identity() const override { return "chain " + name_; }
  Result<struct statvfs> StatFs() override;

 private:
  TreeLower() = default;
  // Turns EBADMSG into EIO, after renaming the damaged tree aside once.
  template <typename T>
  Result<T> Checked(Result<T> result);
  void SetAside();

  std::string name_;  // hex ChainID, or "none"
  UniqueFd dir_;      // of the tree files; none for the empty tree
  UniqueFd objects_;
  std::unique_ptr<tree::MergedTree> tree_;
  std::atomic<bool> set_aside_{false};
};

}  // namespace veneer::fs
