// CacheLayout: the OCI layout that a build cache is exported to: its files, and the documents in it
// (docs/build-cache-format.md).
//
// Private to exporting and importing. What is read was written by others: everything is checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::build {

struct CachedLayer {
  DiffId diff_id;
  Digest blob;  // of the compressed tar
  uint64_t size = 0;
};

struct CachedRecord {
  Digest key;
  std::vector<size_t>
      layers;  // places in CacheContent::layers, the lowest layer of the chain first
  std::string description;
  int64_t created_at = 0;
};

struct CacheContent {
  std::vector<CachedLayer> layers;
  std::vector<CachedRecord> records;
};

// One blob that a document names.
struct CacheBlob {
  Digest digest;
  uint64_t size = 0;
};

namespace cache_layout {

inline constexpr const char* kLayoutFile = "oci-layout";
inline constexpr const char* kIndexFile = "index.json";
inline constexpr const char* kBlobs = "blobs/sha256";
inline constexpr const char* kLayoutText = R"({"imageLayoutVersion":"1.0.0"})";

// The documents. Same content, same bytes.
std::string Config(const CacheContent& content);
std::string Manifest(const CacheContent& content, const CacheBlob& config);
std::string Index(const CacheBlob& manifest);

// Which manifest index.json names as the build cache. ENOENT: there is no index.json. nullopt:
// another kind of layout, or one that holds more. EBADMSG: damaged.
Result<std::optional<CacheBlob>> ReadIndex(int dir);

// The file of a blob, from its start; nobody has read it yet. EBADMSG: it is missing, no file, or
// of another size.
Result<UniqueFd> OpenBlob(int dir, const CacheBlob& blob);
// The blob is there and its content is what its name says.
bool IsSound(int dir, const CacheBlob& blob);

// What the manifest `manifest` leads to. EBADMSG: something is missing, damaged or senseless.
Result<CacheContent> ReadContent(int dir, const CacheBlob& manifest);

// A layout that can be read or written, whole, for as long as the descriptor is open: flocked
// (exclusively, or shared), which waits. Where the filesystem has no locks, it goes without.
Result<UniqueFd> OpenLocked(const std::string& directory, bool exclusive);

}  // namespace cache_layout
}  // namespace veneer::build
