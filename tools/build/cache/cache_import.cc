// ImportCache.
#include <algorithm>
#include <ctime>
#include <set>

#include "store/archive/compression.h"
#include "store/ingest.h"
#include "tools/build/cache/cache_exchange.h"
#include "tools/build/cache/cache_layout.h"

namespace veneer::build {
namespace {

constexpr const char* kBlobMediaType = "application/vnd.oci.image.layer.v1.tar+zstd";

class CacheImport {
 public:
  CacheImport(IngestSession& session, int dir, CacheContent content)
      : session_(session),
        catalog_(session.store().catalog()),
        dir_(dir),
        content_(std::move(content)) {}

  Result<> Run() {
    for (const CachedRecord& record : content_.records) TRY(Add(record));
    if (added_.empty()) return {};
    return session_.Publish(staged_, [&]() -> Result<> {
      for (const BlobRow& blob : blobs_) TRY(catalog_.PutBlob(blob));
      for (const BuildRecord& record : added_) TRY(catalog_.PutBuildRecord(record));
      return {};
    });
  }

 private:
  Result<> Add(const CachedRecord& record) {
    TRY_ASSIGN(const auto known, catalog_.FindBuildRecord(record.key));
    if (known) return {};
    const int64_t now = std::time(nullptr);
    BuildRecord row{.key = record.key,
                    .layers = {},
                    .description = record.description,
                    .created_at = std::min(record.created_at, now),
                    .last_used_at = now,
                    .uses = 0};
    for (const size_t place : record.layers) {
      TRY(Provide(place));
      row.layers.push_back(content_.layers[place].diff_id);
    }
    added_.push_back(std::move(row));
    return {};
  }

  // The layer is in the store, or staged.
  Result<> Provide(size_t place) {
    if (!provided_.insert(place).second) return {};
    const CachedLayer& layer = content_.layers[place];
    TRY_ASSIGN(const auto known, catalog_.FindLayer(layer.diff_id));
    if (known && session_.store().layers().IsReadable(layer.diff_id)) return {};
    auto staged = Stage(layer);
    if (!staged)
      return Invalid("the blob " + layer.blob.ToString() + ": " + staged.error().Message(),
                     staged.error().code());
    return {};
  }

  Result<> Stage(const CachedLayer& layer) {
    TRY_ASSIGN(const UniqueFd fd, cache_layout::OpenBlob(dir_, {layer.blob, layer.size}));
    FdSource file(fd.get());
    HashingSource raw(file);
    TRY_ASSIGN(const auto tar, Decompressor::Create(raw));
    TRY_ASSIGN(StagedLayer staged, IngestLayerTar(session_, *tar));
    TRY(raw.Drain());
    if (raw.digest() != layer.blob || raw.size() != layer.size)
      return Invalid("its content has digest " + raw.digest().ToString(), EBADMSG);
    if (staged.row.diff_id != layer.diff_id)
      return Invalid("it holds the layer " + staged.row.diff_id.ToString() + ", not " +
                         layer.diff_id.ToString(),
                     EBADMSG);
    blobs_.push_back({layer.blob, static_cast<int64_t>(layer.size), layer.diff_id,
                      std::string(CompressionName(tar->compression())), kBlobMediaType});
    staged_.push_back(std::move(staged));
    return {};
  }

  IngestSession& session_;
  Catalog& catalog_;
  const int dir_;
  const CacheContent content_;
  std::set<size_t> provided_;
  std::vector<StagedLayer> staged_;
  std::vector<BlobRow> blobs_;
  std::vector<BuildRecord> added_;
};

Result<> ImportFrom(Store& store, const std::string& directory) {
  TRY_ASSIGN(const UniqueFd dir, cache_layout::OpenLocked(directory, false));
  TRY_ASSIGN(const auto manifest, cache_layout::ReadIndex(dir.get()));
  if (!manifest) return Invalid("it is no build cache of veneer's", EBADMSG);
  TRY_ASSIGN(CacheContent content, cache_layout::ReadContent(dir.get(), *manifest));
  TRY_ASSIGN(const auto session, IngestSession::Begin(store));
  return CacheImport(*session, dir.get(), std::move(content)).Run();
}

}  // namespace

Result<> ImportCache(Store& store, const CacheLocation& from) {
  auto imported = ImportFrom(store, from.directory);
  if (imported) return {};
  return Invalid(
      "cannot import the cache from '" + from.directory + "': " + imported.error().Message(),
      imported.error().code());
}

}  // namespace veneer::build
