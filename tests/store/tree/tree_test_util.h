// What the tests of store/tree share: a scratch directory, and trees built in it from short
// descriptions.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/beneath.h"
#include "store/base/unique_fd.h"
#include "store/tree/chain_builder.h"
#include "store/tree/layer_tree.h"
#include "store/tree/layer_tree_builder.h"
#include "store/tree/merged_tree.h"

namespace veneer::tree {

// A directory that goes away with the object.
class ScratchDir {
 public:
  ScratchDir();
  ~ScratchDir();
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd fd_;
};

// Fails the test and gives T{} where a Result holds an error.
template <typename T>
T Must(Result<T> r) {
  if (!r) {
    ADD_FAILURE() << r.error().Message();
    return T{};
  }
  return std::move(*r);
}
inline void Must(Result<> r) {
  if (!r) ADD_FAILURE() << r.error().Message();
}

Attributes File(uint64_t size = 0, uint32_t mode = 0644);
Attributes Dir(uint32_t mode = 0755);
ObjectId Object(std::string_view content);

using Fill = std::function<void(LayerTreeBuilder&)>;

// Short forms for what most tests add.
void AddFile(LayerTreeBuilder& b, std::string_view path,
             uint32_t mode = 0644);  // 1 byte, the path's object
void AddDir(LayerTreeBuilder& b, std::string_view path, uint32_t mode = 0755);
void AddSymlink(LayerTreeBuilder& b, std::string_view path, std::string_view target);

class TreeTest : public testing::Test {
 protected:
  std::unique_ptr<LayerTree> Layer(const Fill& fill);
  // The layer's file, for tests of its bytes.
  std::string LayerBytes(const Fill& fill);
  std::unique_ptr<LayerTree> OpenLayer(std::string_view bytes);

  static ChainId Chain(size_t layers);  // a made-up ID for a chain of that many layers
  using Layers = std::vector<std::unique_ptr<LayerTree>>;
  // Builds a base of the first `count` layers (0: all) and opens it.
  Result<std::unique_ptr<MergedTree>> TryBase(const Layers& layers, size_t count = 0);
  std::unique_ptr<MergedTree> Base(const Layers& layers, size_t count = 0);
  // Builds the tree of the first `count` layers onto `parent`, that of one less, and opens it.
  Result<std::unique_ptr<MergedTree>> TryNext(const MergedTree& parent, const Layers& layers,
                                              size_t count);
  std::unique_ptr<MergedTree> Next(const MergedTree& parent, const Layers& layers, size_t count);
  uint64_t FileSize(const std::string& name);

  ScratchDir dir_;
};

template <typename Tree>
std::string DumpText(const Tree& tree);
// "path" of every name, one per line, then " -> number" for links to the same inode: what most
// merge tests compare.
std::string Paths(const MergedTree& tree);

}  // namespace veneer::tree
