// ExportCache.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "store/archive/compression.h"
#include "store/base/beneath.h"
#include "store/directory.h"
#include "store/lease.h"
#include "tools/build/cache/cache_exchange.h"
#include "tools/build/cache/cache_layout.h"
#include "tools/output_file.h"

namespace veneer::build {
namespace {

// Counts and hashes what it passes on.
class HashingSink : public ByteSink {
 public:
  explicit HashingSink(ByteSink& to) : to_(to) {}
  Result<> Write(std::string_view data) override {
    hash_.Update(data);
    size_ += data.size();
    return to_.Write(data);
  }
  CacheBlob Finish() { return {hash_.Finish(), size_}; }

 private:
  ByteSink& to_;
  Sha256 hash_;
  uint64_t size_ = 0;
};

class CacheExport {
 public:
  CacheExport(Store& store, UniqueFd dir) : store_(store), dir_(std::move(dir)) {}

  Result<> Run(const std::vector<Digest>& keys) {
    TRY(ReadFormer());
    if (!has_layout_)
      TRY(WriteFile(dir_.get(), cache_layout::kLayoutFile, cache_layout::kLayoutText));
    TRY(EnsureDir(dir_.get(), "blobs", 0755));
    TRY(EnsureDir(dir_.get(), cache_layout::kBlobs, 0755));
    TRY_ASSIGN(blobs_, OpenAt(dir_.get(), cache_layout::kBlobs, O_RDONLY | O_DIRECTORY));
    for (const Digest& key : keys) TRY(AddRecord(key));
    TRY_ASSIGN(const CacheBlob config, WriteBlob(cache_layout::Config(content_)));
    TRY_ASSIGN(const CacheBlob manifest, WriteBlob(cache_layout::Manifest(content_, config)));
    // The index names only blobs that are there, whatever happens now.
    TRY(FsyncDir(blobs_.get(), "."));
    TRY(WriteFile(dir_.get(), cache_layout::kIndexFile, cache_layout::Index(manifest)));
    TRY(FsyncDir(dir_.get(), "."));
    RemoveOthers();
    return {};
  }

 private:
  // What is there already: nothing, or an earlier export. A blob of it that is damaged is written
  // again; what is not ours is left alone.
  Result<> ReadFormer() {
    TRY_ASSIGN(const auto names, ListDirectory(dir_.get(), "."));
    has_layout_ = std::ranges::find(names, cache_layout::kLayoutFile) != names.end();
    if (!has_layout_ && !names.empty())
      return Invalid("it is not empty, and no build cache", ENOTEMPTY);
    const auto manifest = cache_layout::ReadIndex(dir_.get());
    if (!manifest && manifest.error().code() == ENOENT) return {};  // an export was interrupted
    if (!manifest) return std::unexpected(manifest.error());
    if (!*manifest) return Invalid("it is an image layout, and no build cache", ENOTEMPTY);
    const auto former = cache_layout::ReadContent(dir_.get(), **manifest);
    if (!former) return {};
    for (const CachedLayer& layer : former->layers) former_.emplace(layer.diff_id, layer);
    return {};
  }

  Result<> AddRecord(const Digest& key) {
    if (!keys_.insert(key).second) return {};
    TRY_ASSIGN(const auto row, store_.catalog().FindBuildRecord(key));
    if (!row) return {};  // pruned meanwhile
    CachedRecord record{
        .key = key, .layers = {}, .description = row->description, .created_at = row->created_at};
    for (const DiffId& layer : row->layers) {
      TRY_ASSIGN(const size_t place, AddLayer(layer));
      record.layers.push_back(place);
    }
    content_.records.push_back(std::move(record));
    return {};
  }

  Result<size_t> AddLayer(const DiffId& id) {
    const auto [place, is_new] = places_.try_emplace(id, content_.layers.size());
    if (!is_new) return place->second;
    const auto former = former_.find(id);
    if (former != former_.end() &&
        cache_layout::IsSound(dir_.get(), {former->second.blob, former->second.size})) {
      content_.layers.push_back(former->second);
    } else {
      TRY_ASSIGN(const CacheBlob blob, WriteLayer(id));
      content_.layers.push_back({id, blob.digest, blob.size});
    }
    wanted_.insert(content_.layers.back().blob.Hex());
    return place->second;
  }

  Result<CacheBlob> WriteLayer(const DiffId& id) {
    TRY_ASSIGN(tools::NewFile file, tools::NewFile::Create(blobs_.get(), 0644));
    FdSink sink(file.fd());
    HashingSink hashed(sink);
    TRY_ASSIGN(const auto compressor, Compressor::Create(Compression::kZstd, 0, hashed));
    TRY(store_.layers().WriteTar(id, *compressor));
    TRY(compressor->Finish());
    if (fsync(file.fd()) != 0) return Errno("fsync");
    const CacheBlob blob = hashed.Finish();
    TRY(file.Commit(blob.digest.Hex()));
    return blob;
  }

  Result<CacheBlob> WriteBlob(const std::string& text) {
    const CacheBlob blob{Digest::Of(text), text.size()};
    wanted_.insert(blob.digest.Hex());
    if (!cache_layout::IsSound(dir_.get(), blob))
      TRY(WriteFile(blobs_.get(), blob.digest.Hex(), text));
    return blob;
  }

  static Result<> WriteFile(int dir, const std::string& name, std::string_view text) {
    TRY_ASSIGN(tools::NewFile file, tools::NewFile::Create(dir, 0644));
    TRY(WriteAll(file.fd(), text));
    if (fsync(file.fd()) != 0) return Errno("fsync");
    return file.Commit(name);
  }

  // Blobs of the earlier export, and what a process that died left. One that stays is no harm.
  void RemoveOthers() {
    const auto names = ListDirectory(blobs_.get(), ".");
    if (!names) return;
    for (const std::string& name : *names) {
      const bool is_blob = Digest::ParseHex(name).has_value();
      const bool is_left = name.starts_with(tools::kTemporaryPrefix);
      if ((is_blob && !wanted_.contains(name)) || is_left) unlinkat(blobs_.get(), name.c_str(), 0);
    }
  }

  Store& store_;
  UniqueFd dir_;  // flocked: nobody else exports
  UniqueFd blobs_;
  bool has_layout_ = false;
  std::map<DiffId, CachedLayer> former_;
  CacheContent content_;
  std::set<Digest> keys_;
  std::map<DiffId, size_t> places_;  // in content_.layers
  std::set<std::string> wanted_;     // names of blobs
};

Result<> ExportTo(Store& store, const std::vector<Digest>& keys, const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Fail(error.value(), "create it");
  TRY_ASSIGN(UniqueFd dir, cache_layout::OpenLocked(directory, true));
  TRY_ASSIGN(const WorkLease lease, WorkLease::Shared(store.root_fd()));
  return CacheExport(store, std::move(dir)).Run(keys);
}

}  // namespace

Result<> ExportCache(Store& store, const std::vector<Digest>& keys, const CacheLocation& to) {
  auto exported = ExportTo(store, keys, to.directory);
  if (exported) return {};
  return Invalid("cannot export the cache to '" + to.directory + "': " + exported.error().Message(),
                 exported.error().code());
}

}  // namespace veneer::build
