#include "store/layer_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <optional>
#include <vector>

#include "store/base/beneath.h"
#include "store/ingest.h"
#include "store/pipe_source.h"
#include "store/store.h"
#include "store/tree/chain_builder.h"

namespace veneer {

std::string LayerStore::FolderOf(const DiffId& id) { return "layers/" + id.Hex(); }

Result<std::unique_ptr<tree::LayerTree>> LayerStore::OpenTree(const DiffId& id) {
  auto open = [&]() -> Result<std::unique_ptr<tree::LayerTree>> {
    TRY_ASSIGN(UniqueFd fd, OpenAt(store_.root_fd(), FolderOf(id) + "/tree", O_RDONLY));
    return tree::LayerTree::Open(fd.get());
  };
  auto opened = open();
  if (opened || (opened.error().code() != EBADMSG && opened.error().code() != ENOENT))
    return opened;
  TRY(RebuildTree(id));
  return open();
}

Result<> LayerStore::RebuildTree(const DiffId& id) {
  TRY_ASSIGN(auto session, IngestSession::Begin(store_));
  PipeSource tar([&](ByteSink& out) { return WriteTar(id, out); });
  auto ingested = IngestLayerTar(*session, tar);
  TRY(tar.Join());  // why the tar could not be made says more than that it ended early
  TRY_ASSIGN(StagedLayer layer, std::move(ingested));
  if (layer.row.diff_id != id)
    return Invalid("layer " + id.ToString() + " is damaged beyond its tree", EBADMSG);
  std::string from = layer.folder + "/tree", to = FolderOf(id) + "/tree";
  TRY_ASSIGN(UniqueFd fd, OpenAt(session->dir_fd(), from, O_RDONLY));
  if (fsync(fd.get()) != 0) return Errno("fsync tree");
  if (renameat(session->dir_fd(), from.c_str(), store_.root_fd(), to.c_str()) != 0)
    return Errno("rename tree");
  return FsyncDir(store_.root_fd(), FolderOf(id));
}

bool LayerStore::IsReadable(const DiffId& id) {
  auto fd = OpenAt(store_.root_fd(), FolderOf(id) + "/tree", O_RDONLY);
  return fd && tree::LayerTree::Open(fd->get()) && Recipe(id);
}

Result<LayerStore::OpenRecipe> LayerStore::Recipe(const DiffId& id) {
  OpenRecipe open;
  TRY_ASSIGN(open.fd, OpenAt(store_.root_fd(), FolderOf(id) + "/recipe", O_RDONLY));
  TRY_ASSIGN(open.reader, RecipeReader::Open(open.fd.get()));
  return open;
}

Result<> LayerStore::WriteTar(const DiffId& id, ByteSink& out) {
  struct Tee : ByteSink {
    explicit Tee(ByteSink& to) : out(to) {}
    Result<> Write(std::string_view data) override {
      hash.Update(data);
      return out.Write(data);
    }
    ByteSink& out;
    Sha256 hash;
  };
  TRY_ASSIGN(OpenRecipe recipe, Recipe(id));
  Tee tee(out);
  TRY(recipe.reader->Rebuild([&](const ObjectId& object) { return store_.objects().Open(object); },
                             tee));
  if (tee.hash.Finish() != id.digest)
    return Invalid("layer " + id.ToString() + " is damaged in the store", EBADMSG);
  return {};
}

Result<> LayerStore::Remove(const DiffId& id) { return RemoveTree(store_.root_fd(), FolderOf(id)); }

std::string ChainStore::PathOf(std::span<const DiffId> layers) const {
  if (layers.empty()) return "none";
  return store_.path() + "/" + kFolder + "/" + ChainIdOf(layers).Hex();
}

Result<std::unique_ptr<tree::MergedTree>> ChainStore::Open(std::span<const DiffId> layers) {
  if (layers.empty()) return tree::MergedTree::Empty();
  auto open = [&]() -> Result<std::unique_ptr<tree::MergedTree>> {
    TRY_ASSIGN(UniqueFd dir, OpenAt(store_.root_fd(), kFolder, O_RDONLY | O_DIRECTORY));
    return tree::MergedTree::Open(dir.get(), ChainIdOf(layers).Hex());
  };
  auto opened = open();
  if (opened || (opened.error().code() != EBADMSG && opened.error().code() != ENOENT))
    return opened;
  TRY(Build(layers));
  return open();
}

Result<> ChainStore::BuildOnce(std::span<const DiffId> layers) {
  TRY_ASSIGN(UniqueFd chains, OpenAt(store_.root_fd(), kFolder, O_RDONLY | O_DIRECTORY));
  TRY_ASSIGN(UniqueFd file, OpenAt(chains.get(), ".", O_TMPFILE | O_RDWR, 0400));
  ChainId chain = ChainIdOf(layers);

  std::unique_ptr<tree::MergedTree> parent;
  if (layers.size() > 1) {
    auto opened =
        tree::MergedTree::Open(chains.get(), ChainIdOf(layers.first(layers.size() - 1)).Hex());
    // A damaged parent is no reason to build on it; from the layers is always possible.
    if (opened && (*opened)->VerifyAll()) parent = std::move(*opened);
  }
  if (parent) {
    TRY_ASSIGN(auto top, store_.layers().OpenTree(layers.back()));
    TRY(tree::BuildNext(*parent, ChainIdOf(layers.first(layers.size() - 1)), *top, chain,
                        chains.get(), file.get()));
  } else {
    std::vector<std::unique_ptr<tree::LayerTree>> trees;
    std::vector<const tree::LayerTree*> pointers;
    for (const DiffId& layer : layers) {
      TRY_ASSIGN(auto tree, store_.layers().OpenTree(layer));
      pointers.push_back(tree.get());
      trees.push_back(std::move(tree));
    }
    TRY(tree::BuildBase(pointers, chain, chains.get(), file.get()));
  }
  if (fsync(file.get()) != 0) return Errno("fsync chain");
  // A name for the unnamed file, then over the old one: linkat does not replace.
  std::string temporary = "new-" + RandomHex();
  if (linkat(AT_FDCWD, FdPath(file.get()).c_str(), chains.get(), temporary.c_str(),
             AT_SYMLINK_FOLLOW) != 0 ||
      renameat(chains.get(), temporary.c_str(), chains.get(), chain.Hex().c_str()) != 0) {
    auto error = Errno("publish chain " + chain.Hex());
    unlinkat(chains.get(), temporary.c_str(), 0);
    return error;
  }
  return {};
}

Result<> ChainStore::Build(std::span<const DiffId> layers) {
  auto built = BuildOnce(layers);
  if (built || built.error().code() != EBADMSG) return built;
  // Damage deep inside a layer's tree shows only when that block is read: make such trees anew, and
  // try once more.
  for (const DiffId& layer : layers) {
    TRY_ASSIGN(auto tree, store_.layers().OpenTree(layer));
    if (!tree->VerifyAll()) TRY(store_.layers().RebuildTree(layer));
  }
  return BuildOnce(layers);
}

Result<bool> ChainStore::VerifyAndRepair(std::span<const DiffId> layers) {
  if (layers.empty()) return false;
  TRY_ASSIGN(UniqueFd chains, OpenAt(store_.root_fd(), kFolder, O_RDONLY | O_DIRECTORY));
  auto opened = tree::MergedTree::Open(chains.get(), ChainIdOf(layers).Hex());
  if (opened && (*opened)->VerifyAll()) return false;
  // Bases below may be what is damaged: drop every file of the chain, so that all of it is made
  // anew.
  if (opened) {
    for (const std::string& name : (*opened)->file_names()) unlinkat(chains.get(), name.c_str(), 0);
  }
  unlinkat(chains.get(), ChainIdOf(layers).Hex().c_str(), 0);
  TRY(Build(layers));
  return true;
}

}  // namespace veneer
