// Any bytes as a tree file: an error or a tree that can be walked, never a crash.
#include "store/tree/dump.h"
#include "store/tree/layer_tree.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  veneer::UniqueFd fd = veneer::fuzz::FileOf(data, size);
  if (!fd) return 0;
  auto tree = veneer::tree::LayerTree::Open(fd.get());
  if (tree) (void)veneer::tree::Dump(**tree, [](std::string_view) {});
  return 0;
}
