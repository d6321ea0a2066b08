#include "bench/micro/scratch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "store/object_store.h"
#include "store/tree/chain_builder.h"
#include "store/tree/layer_tree_builder.h"

namespace veneer::bench {

void Die(const Error& error) {
  std::fprintf(stderr, "veneer_micro_bench: %s\n", error.Message().c_str());
  std::exit(1);
}

Scratch::Scratch() {
  path_ = (std::filesystem::temp_directory_path() / "veneer-micro.XXXXXX").string();
  if (!mkdtemp(path_.data())) Die(Errno("make a temporary folder").error());
  fd_ = UniqueFd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void Scratch::MakeDir(std::string_view name) const {
  std::filesystem::create_directories(*this / name);
}

void Scratch::WriteFile(std::string_view name, std::string_view content) const {
  UniqueFd file(open((*this / name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!file || write(file.get(), content.data(), content.size()) < 0)
    Die(Errno("write " + std::string(name)).error());
}

std::string FileName(int64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "file%06ld", static_cast<long>(number));
  return name;
}

std::string MakeChain(const Scratch& scratch, int64_t layers, int64_t files) {
  const std::string content = "content\n";
  ObjectId object(Digest::Of(content));
  std::string path = ObjectStore::PathOf(object);
  scratch.MakeDir(path.substr(0, path.rfind('/')));
  scratch.WriteFile(path, content);

  std::vector<std::unique_ptr<tree::LayerTree>> made;
  std::vector<const tree::LayerTree*> pointers;
  for (int64_t layer = 0; layer < layers; ++layer) {
    auto builder = Must(tree::LayerTreeBuilder::Create(scratch.fd()));
    Must(builder->Add("dir", {.mode = S_IFDIR | 0755}, {}, "", {}));
    for (int64_t i = layer; i < files; i += layers)
      Must(builder->Add("dir/" + FileName(i), {.mode = S_IFREG | 0644, .size = content.size()},
                        object, "", {}));
    UniqueFd file(openat(scratch.fd(), ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
    Must(builder->Finish(file.get()));
    made.push_back(Must(tree::LayerTree::Open(file.get())));
    pointers.push_back(made.back().get());
  }
  ChainId chain(Digest::Of(std::to_string(layers) + " layers"));
  UniqueFd file(openat(scratch.fd(), chain.Hex().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  Must(tree::BuildBase(pointers, chain, scratch.fd(), file.get()));
  return chain.Hex();
}

}  // namespace veneer::bench
