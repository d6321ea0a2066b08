#include "tools/build/cache/layer_cache.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "store/catalog.h"
#include "store/layer_writer.h"
#include "tools/build/cache/step_key.h"

namespace veneer::build {

Result<LayerCache> LayerCache::Open(const std::string& store_root) {
  TRY_ASSIGN(std::unique_ptr<Store> store, Store::Open(store_root));
  return LayerCache(std::move(store));
}

bool LayerCache::IsWhole(const BuildRecord& record) {
  return std::ranges::all_of(record.layers,
                             [&](const DiffId& id) { return store_->layers().IsReadable(id); });
}

Result<std::optional<CachedChain>> LayerCache::Find(const Digest& key) {
  TRY_ASSIGN(auto record, store_->catalog().FindBuildRecord(key));
  if (!record || !IsWhole(*record)) return std::nullopt;
  TRY(store_->catalog().UseBuildRecord(key, std::time(nullptr)));
  return CachedChain{std::move(record->layers), record->created_at};
}

Result<CachedChain> LayerCache::Make(
    const Digest& key, std::span<const DiffId> below, const std::string& description,
    std::optional<int64_t> created_at, bool replaced,
    const std::function<Result<StagedLayer>(IngestSession&)>& stage) {
  TRY_ASSIGN(auto session, IngestSession::Begin(*store_));
  TRY_ASSIGN(const StagedLayer layer, stage(*session));
  BuildRecord record;
  record.key = key;
  record.layers.assign(below.begin(), below.end());
  record.layers.push_back(layer.row.diff_id);
  record.description = description;
  record.last_used_at = std::time(nullptr);
  record.created_at = created_at.value_or(record.last_used_at);
  record.uses = 1;
  TRY(session->Publish({&layer, 1}, [&]() -> Result<> {
    if (!replaced) {
      TRY_ASSIGN(auto faster, store_->catalog().FindBuildRecord(key));
      if (faster && IsWhole(*faster)) {
        record = std::move(*faster);
        return {};
      }
    }
    return store_->catalog().PutBuildRecord(record);
  }));
  return CachedChain{std::move(record.layers), record.created_at};
}

Result<CachedChain> LayerCache::OfCopy(CopySpec spec, const std::string& description,
                                       std::optional<int64_t> epoch) {
  TRY_ASSIGN(const auto copy, CopyStep::Prepare(*store_, std::move(spec), nullptr));
  const Digest key = StepKey("tree 1").Add(copy->Key().view()).AddOptional(epoch).Finish();
  TRY_ASSIGN(std::optional<CachedChain> found, Find(key));
  if (found) return std::move(*found);
  return Make(key, {}, description, epoch, false,
              [&](IngestSession& session) -> Result<StagedLayer> {
                TRY_ASSIGN(auto writer, LayerWriter::Create(session));
                TRY(copy->Write(*writer, epoch));
                return writer->Finish();
              });
}

Result<std::shared_ptr<const tree::MergedTree>> LayerCache::Tree(std::span<const DiffId> layers) {
  TRY_ASSIGN(auto tree, store_->chains().Open(layers));
  return std::shared_ptr<const tree::MergedTree>(std::move(tree));
}

}  // namespace veneer::build
