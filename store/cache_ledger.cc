#include "store/cache_ledger.h"

#include <fcntl.h>

#include <algorithm>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>

#include "store/base/beneath.h"
#include "store/disk_usage.h"
#include "store/layer_objects.h"

namespace veneer {

class CacheLedger::Reader {
 public:
  explicit Reader(Store& store) : store_(store) {}

  Result<CacheLedger> Run() {
    TRY_ASSIGN(ledger_.records_, store_.catalog().BuildRecords());
    TRY_ASSIGN(trees_dir_, OpenAt(store_.root_fd(), ChainStore::kFolder, O_RDONLY | O_DIRECTORY));
    TRY(ReadImages());
    for (const BuildRecord& record : ledger_.records_) ReadRecord(record);
    for (auto& [id, layer] : ledger_.layers_) {
      for (uint32_t file : layer.files) {
        ++ledger_.files_[file].holders;
        ledger_.files_[file].in_image |= layer.in_image;
      }
      if (layer.holders == 0) MarkObjectsOfImage(id);
    }
    for (const File& file : ledger_.files_) {
      if (file.holders > 0 && !file.in_image) ledger_.bytes_ += file.bytes;
    }
    return std::move(ledger_);
  }

 private:
  Result<> ReadImages() {
    TRY_ASSIGN(auto images, store_.catalog().Images());
    for (const ImageRow& image : images) {
      TRY_ASSIGN(auto layers, store_.catalog().ImageLayers(image.id));
      for (const DiffId& id : layers) ledger_.layers_[id].in_image = true;
      for (std::string& name : TreesOf(layers)) trees_of_images_.insert(std::move(name));
    }
    return {};
  }

  void ReadRecord(const BuildRecord& record) {
    ChainId chain;
    for (size_t i = 0; i < record.layers.size(); ++i) {
      const DiffId& id = record.layers[i];
      chain = NextChainId(i == 0 ? nullptr : &chain, id);
      int64_t& last_use = ledger_.last_use_[chain];
      last_use = std::max(last_use, record.last_used_at);
      Layer& layer = ledger_.layers_[id];
      if (layer.holders++ == 0) ReadLayer(id, layer);
    }
    std::vector<uint32_t>& trees = ledger_.trees_.emplace_back();
    for (const std::string& name : TreesOf(record.layers)) {
      auto [entry, is_new] = tree_files_.try_emplace(name, 0);
      if (is_new) {
        entry->second = AddFile(BytesOf(std::string(ChainStore::kFolder) + "/" + name));
        ledger_.files_[entry->second].in_image = trees_of_images_.contains(name);
      }
      trees.push_back(entry->second);
      ++ledger_.files_[entry->second].holders;
    }
  }

  // Names in `chains/`; none where there is no merged tree that can be opened.
  std::vector<std::string> TreesOf(const std::vector<DiffId>& layers) {
    if (layers.empty()) return {};
    auto tree = tree::MergedTree::Open(trees_dir_.get(), ChainIdOf(layers).Hex());
    return tree ? (*tree)->file_names() : std::vector<std::string>{};
  }

  void ReadLayer(const DiffId& id, Layer& layer) {
    layer.files.push_back(AddFile(BytesOf(LayerStore::FolderOf(id))));
    ForEachObject(id, [&](const ObjectId& object) {
      auto [entry, is_new] = objects_.try_emplace(object, 0);
      if (is_new) entry->second = AddFile(store_.objects().AllocatedBytes(object).value_or(0));
      layer.files.push_back(entry->second);
    });
    std::sort(layer.files.begin(), layer.files.end());
    layer.files.erase(std::unique(layer.files.begin(), layer.files.end()), layer.files.end());
    for (uint32_t file : layer.files) layer.bytes += ledger_.files_[file].bytes;
  }

  void MarkObjectsOfImage(const DiffId& id) {
    ForEachObject(id, [&](const ObjectId& object) {
      auto entry = objects_.find(object);
      if (entry != objects_.end()) ledger_.files_[entry->second].in_image = true;
    });
  }

  // A layer that cannot be read is the business of a sweep and of a check.
  template <typename Visit>
  void ForEachObject(const DiffId& id, Visit visit) {
    auto each = [&](const ObjectId& object, uint64_t) { visit(object); };
    std::ignore = ForEachObjectOfRecipe(store_, id, each);
    std::ignore = ForEachObjectOfTree(store_, id, each);
  }

  uint64_t BytesOf(const std::string& path) {
    return AllocatedBytes(store_.root_fd(), path).value_or(0);
  }

  uint32_t AddFile(uint64_t bytes) {
    ledger_.files_.push_back({.bytes = bytes});
    return static_cast<uint32_t>(ledger_.files_.size() - 1);
  }

  Store& store_;
  CacheLedger ledger_;
  UniqueFd trees_dir_;
  std::unordered_map<ObjectId, uint32_t, DigestHash> objects_;  // those that the cache reaches
  std::unordered_map<std::string, uint32_t> tree_files_;
  std::set<std::string> trees_of_images_;
};

Result<CacheLedger> CacheLedger::Read(Store& store) { return Reader(store).Run(); }

uint64_t CacheLedger::LayerBytes(size_t record) const {
  const std::vector<DiffId>& layers = records_[record].layers;
  return layers.empty() ? 0 : layers_.at(layers.back()).bytes;
}

bool CacheLedger::IsShared(size_t record) const {
  const std::vector<DiffId>& layers = records_[record].layers;
  return !layers.empty() && layers_.at(layers.back()).in_image;
}

int64_t CacheLedger::LastUse(size_t record) const {
  const BuildRecord& r = records_[record];
  return r.layers.empty() ? r.last_used_at : last_use_.at(ChainIdOf(r.layers));
}

void CacheLedger::Remove(size_t record) {
  auto release = [&](uint32_t index) {
    File& file = files_[index];
    if (--file.holders == 0 && !file.in_image) bytes_ -= file.bytes;
  };
  for (uint32_t tree : trees_[record]) release(tree);
  for (const DiffId& id : records_[record].layers) {
    Layer& layer = layers_.at(id);
    if (--layer.holders > 0) continue;
    for (uint32_t file : layer.files) release(file);
  }
}

}  // namespace veneer
