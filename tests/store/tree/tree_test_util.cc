#include "tests/store/tree/tree_test_util.h"

#include <dirent.h>
#include <fcntl.h>

#include <cstdlib>

#include "store/tree/dump.h"

namespace veneer::tree {

ScratchDir::ScratchDir() {
  path_ = testing::TempDir() + "tree_test_XXXXXX";
  if (!::mkdtemp(path_.data())) ADD_FAILURE() << "mkdtemp";
  fd_ = Must(OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY));
}

ScratchDir::~ScratchDir() { Must(RemoveTree(AT_FDCWD, path_)); }

Attributes File(uint64_t size, uint32_t mode) {
  return {.mode = S_IFREG | mode, .size = size, .mtime_sec = 1700000000};
}
Attributes Dir(uint32_t mode) { return {.mode = S_IFDIR | mode, .mtime_sec = 1700000000}; }
ObjectId Object(std::string_view content) { return ObjectId(Digest::Of(content)); }

void AddFile(LayerTreeBuilder& b, std::string_view path, uint32_t mode) {
  Must(b.Add(path, File(1, mode), Object(path), "", {}));
}
void AddDir(LayerTreeBuilder& b, std::string_view path, uint32_t mode) {
  Must(b.Add(path, Dir(mode), {}, "", {}));
}
void AddSymlink(LayerTreeBuilder& b, std::string_view path, std::string_view target) {
  Must(b.Add(path, {.mode = S_IFLNK | 0777}, {}, target, {}));
}

std::string TreeTest::LayerBytes(const Fill& fill) {
  auto builder = Must(LayerTreeBuilder::Create(dir_.fd()));
  fill(*builder);
  UniqueFd fd = Must(OpenAt(dir_.fd(), ".", O_TMPFILE | O_RDWR, 0600));
  Must(builder->Finish(fd.get()));
  struct stat st;
  EXPECT_EQ(::fstat(fd.get(), &st), 0);
  std::string bytes(st.st_size, '\0');
  EXPECT_EQ(Must(PreadUpTo(fd.get(), bytes.data(), bytes.size(), 0)), bytes.size());
  return bytes;
}

std::unique_ptr<LayerTree> TreeTest::OpenLayer(std::string_view bytes) {
  UniqueFd fd = Must(OpenAt(dir_.fd(), ".", O_TMPFILE | O_RDWR, 0600));
  Must(PwriteAll(fd.get(), bytes, 0));
  return Must(LayerTree::Open(fd.get()));
}

std::unique_ptr<LayerTree> TreeTest::Layer(const Fill& fill) { return OpenLayer(LayerBytes(fill)); }

ChainId TreeTest::Chain(size_t layers) {
  return ChainId(Digest::Of("chain of " + std::to_string(layers)));
}

Result<std::unique_ptr<MergedTree>> TreeTest::TryBase(const Layers& layers, size_t count) {
  if (count == 0) count = layers.size();
  std::vector<const LayerTree*> list;
  list.reserve(count);
  for (size_t i = 0; i < count; ++i) list.push_back(layers[i].get());
  // Apart from the files TryNext makes, whose chains have the same names.
  TRY(EnsureDir(dir_.fd(), "bases", 0700));
  TRY_ASSIGN(UniqueFd dir, OpenAt(dir_.fd(), "bases", O_RDONLY | O_DIRECTORY));
  std::string name = Chain(count).Hex();
  TRY_ASSIGN(UniqueFd fd, OpenAt(dir.get(), name, O_CREAT | O_TRUNC | O_RDWR, 0600));
  TRY(BuildBase(list, Chain(count), dir_.fd(), fd.get()));
  return MergedTree::Open(dir.get(), name);
}

std::unique_ptr<MergedTree> TreeTest::Base(const Layers& layers, size_t count) {
  return Must(TryBase(layers, count));
}

Result<std::unique_ptr<MergedTree>> TreeTest::TryNext(const MergedTree& parent,
                                                      const Layers& layers, size_t count) {
  std::string name = Chain(count).Hex();
  TRY_ASSIGN(UniqueFd fd, OpenAt(dir_.fd(), name, O_CREAT | O_EXCL | O_RDWR, 0600));
  TRY(BuildNext(parent, Chain(count - 1), *layers[count - 1], Chain(count), dir_.fd(), fd.get()));
  return MergedTree::Open(dir_.fd(), name);
}

std::unique_ptr<MergedTree> TreeTest::Next(const MergedTree& parent, const Layers& layers,
                                           size_t count) {
  return Must(TryNext(parent, layers, count));
}

uint64_t TreeTest::FileSize(const std::string& name) {
  return Must(StatAt(dir_.fd(), name, 0)).st_size;
}

template <typename Tree>
std::string DumpText(const Tree& tree) {
  std::string text;
  Must(Dump(tree, [&](std::string_view line) {
    text += line;
    text += '\n';
  }));
  return text;
}
template std::string DumpText(const LayerTree&);
template std::string DumpText(const MergedTree&);

std::string Paths(const MergedTree& tree) {
  std::string text;
  std::function<void(Ino, const std::string&)> walk = [&](Ino dir, const std::string& prefix) {
    std::vector<DirEntry> entries;
    Must(tree.ForEach(dir, "", [&](const DirEntry& e) {
      entries.push_back(e);
      return true;
    }));
    for (const DirEntry& e : entries) {
      std::string path = prefix + std::string(e.name);
      text += path + (e.type == DT_DIR ? "/\n" : "\n");
      if (e.type == DT_DIR) walk(e.ino, path + "/");
    }
  };
  walk(kRootIno, "");
  return text;
}

}  // namespace veneer::tree
