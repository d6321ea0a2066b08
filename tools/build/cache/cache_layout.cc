#include "tools/build/cache/cache_layout.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "store/archive/byte_stream.h"
#include "store/base/beneath.h"
#include "store/json.h"

namespace veneer::build::cache_layout {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";
constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kConfigType = "application/vnd.veneer.buildcache.v1+json";
constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar+zstd";
constexpr uint64_t kMaxDocument = uint64_t{64} << 20;
constexpr int kVersion = 1;

std::string Dump(const Json& json) {
  // A description may hold any bytes.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json Descriptor(const char* media_type, const CacheBlob& blob) {
  return {{"mediaType", media_type}, {"digest", blob.digest.ToString()}, {"size", blob.size}};
}

std::unexpected<Error> Senseless(const char* document) {
  return Invalid(std::string(document) + " does not say what it should", EBADMSG);
}

// Members of documents that others wrote; nothing where they are missing or of another type.
const Json* Member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(key);
  return at == object.end() ? nullptr : &*at;
}

std::string Text(const Json& object, const char* key) {
  const Json* const member = Member(object, key);
  return member && member->is_string() ? member->get<std::string>() : std::string();
}

std::optional<uint64_t> Number(const Json* value) {
  if (!value || !value->is_number_unsigned()) return std::nullopt;
  return value->get<uint64_t>();
}

std::optional<Digest> DigestIn(const Json& object, const char* key) {
  auto digest = Digest::Parse(Text(object, key));
  if (!digest) return std::nullopt;
  return *digest;
}

std::optional<CacheBlob> BlobIn(const Json& descriptor) {
  const auto digest = DigestIn(descriptor, "digest");
  const auto size = Number(Member(descriptor, "size"));
  if (!digest || !size) return std::nullopt;
  return CacheBlob{*digest, *size};
}

const Json& List(const Json& object, const char* key) {
  static const Json empty = Json::array();
  const Json* const list = Member(object, key);
  return list && list->is_array() ? *list : empty;
}

Result<CachedRecord> ReadRecord(const Json& json, size_t layers) {
  const auto key = DigestIn(json, "key");
  if (!key) return Senseless("the list of its records");
  CachedRecord record{.key = *key, .layers = {}, .description = Text(json, "description")};
  record.created_at = static_cast<int64_t>(Number(Member(json, "created")).value_or(0));
  for (const Json& place : List(json, "layers")) {
    const auto number = Number(&place);
    if (!number || *number >= layers) return Senseless("the list of its records");
    record.layers.push_back(*number);
  }
  return record;
}

Result<CacheContent> ReadConfig(std::string_view text) {
  TRY_ASSIGN(const Json json, ParseJson(text));
  if (Number(Member(json, "version")) != kVersion)
    return Invalid("it is of a version that this veneer does not know", EBADMSG);
  CacheContent content;
  for (const Json& layer : List(json, "layers")) {
    const auto diff_id = DigestIn(layer, "diffId");
    const auto blob = BlobIn(layer);
    if (!diff_id || !blob) return Senseless("the list of its layers");
    content.layers.push_back({DiffId(*diff_id), blob->digest, blob->size});
  }
  for (const Json& json_record : List(json, "records")) {
    TRY_ASSIGN(CachedRecord record, ReadRecord(json_record, content.layers.size()));
    content.records.push_back(std::move(record));
  }
  return content;
}

Result<UniqueFd> OpenFile(int dir, const std::string& path) {
  // Not waiting for somebody to write, should it be a FIFO.
  TRY_ASSIGN(UniqueFd fd, OpenBeneath(dir, path, O_RDONLY | O_NONBLOCK));
  TRY_ASSIGN(const struct stat st, StatAt(fd.get(), "", AT_EMPTY_PATH));
  if (!S_ISREG(st.st_mode)) return Invalid(path + " is no regular file", EBADMSG);
  return fd;
}

// A blob that is a document.
Result<std::string> ReadBlob(int dir, const CacheBlob& blob) {
  if (blob.size > kMaxDocument)
    return Invalid("the blob " + blob.digest.ToString() + " is too large", EFBIG);
  TRY_ASSIGN(const UniqueFd fd, OpenBlob(dir, blob));
  std::string text(blob.size, '\0');
  TRY_ASSIGN(const size_t n, ReadUpTo(fd.get(), text.data(), text.size()));
  if (n != text.size() || Digest::Of(text) != blob.digest)
    return Invalid("the blob " + blob.digest.ToString() + " is damaged", EBADMSG);
  return text;
}

}  // namespace

std::string Config(const CacheContent& content) {
  Json layers = Json::array();
  for (const CachedLayer& layer : content.layers) {
    layers.push_back({{"diffId", layer.diff_id.ToString()},
                      {"digest", layer.blob.ToString()},
                      {"size", layer.size}});
  }
  Json records = Json::array();
  for (const CachedRecord& record : content.records) {
    records.push_back(
        {{"key", record.key.ToString()},
         {"layers", record.layers},
         {"description", record.description},
         {"created", static_cast<uint64_t>(std::max<int64_t>(0, record.created_at))}});
  }
  return Dump({{"version", kVersion}, {"layers", layers}, {"records", records}});
}

std::string Manifest(const CacheContent& content, const CacheBlob& config) {
  Json layers = Json::array();
  for (const CachedLayer& layer : content.layers)
    layers.push_back(Descriptor(kLayerType, {layer.blob, layer.size}));
  return Dump({{"schemaVersion", 2},
               {"mediaType", kManifestType},
               {"config", Descriptor(kConfigType, config)},
               {"layers", layers}});
}

std::string Index(const CacheBlob& manifest) {
  Json entry = Descriptor(kManifestType, manifest);
  entry["artifactType"] = kConfigType;
  entry["annotations"] = {{"org.opencontainers.image.ref.name", "latest"}};
  return Dump({{"schemaVersion", 2},
               {"mediaType", kIndexType},
               {"manifests", Json::array({std::move(entry)})}});
}

Result<std::optional<CacheBlob>> ReadIndex(int dir) {
  TRY_ASSIGN(const UniqueFd fd, OpenFile(dir, kIndexFile));
  TRY_ASSIGN(const struct stat st, StatAt(fd.get(), "", AT_EMPTY_PATH));
  if (static_cast<uint64_t>(st.st_size) > kMaxDocument)
    return Invalid("its index.json is too large", EFBIG);
  std::string text(static_cast<size_t>(st.st_size), '\0');
  TRY_ASSIGN(const size_t n, ReadUpTo(fd.get(), text.data(), text.size()));
  const auto json = ParseJson(std::string_view(text).substr(0, n));
  if (!json) return Invalid("its index.json is " + json.error().Message(), EBADMSG);
  const Json& manifests = List(*json, "manifests");
  if (manifests.size() != 1 || Text(manifests.front(), "artifactType") != kConfigType)
    return std::nullopt;
  const auto manifest = BlobIn(manifests.front());
  if (!manifest) return Senseless("its index.json");
  return manifest;
}

Result<UniqueFd> OpenBlob(int dir, const CacheBlob& blob) {
  const std::string name = "the blob " + blob.digest.ToString();
  auto fd = OpenFile(dir, std::string(kBlobs) + "/" + blob.digest.Hex());
  if (!fd && fd.error().code() == ENOENT) return Invalid(name + " is missing", EBADMSG);
  if (!fd) return Invalid(name + ": " + fd.error().Message(), fd.error().code());
  TRY_ASSIGN(const struct stat st, StatAt(fd->get(), "", AT_EMPTY_PATH));
  if (static_cast<uint64_t>(st.st_size) != blob.size)
    return Invalid(name + " has another size than it should", EBADMSG);
  return fd;
}

bool IsSound(int dir, const CacheBlob& blob) {
  const auto fd = OpenBlob(dir, blob);
  if (!fd) return false;
  FdSource source(fd->get());
  HashingSource hashed(source);
  return hashed.Drain() && hashed.digest() == blob.digest;
}

Result<CacheContent> ReadContent(int dir, const CacheBlob& manifest) {
  TRY_ASSIGN(const std::string manifest_text, ReadBlob(dir, manifest));
  TRY_ASSIGN(const Json json, ParseJson(manifest_text));
  const Json* const descriptor = Member(json, "config");
  const auto config = descriptor ? BlobIn(*descriptor) : std::nullopt;
  if (!config || Text(*descriptor, "mediaType") != kConfigType) return Senseless("its manifest");
  TRY_ASSIGN(const std::string config_text, ReadBlob(dir, *config));
  return ReadConfig(config_text);
}

Result<UniqueFd> OpenLocked(const std::string& directory, bool exclusive) {
  TRY_ASSIGN(UniqueFd dir, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  int locked = -1;
  do {
    locked = flock(dir.get(), exclusive ? LOCK_EX : LOCK_SH);
  } while (locked != 0 && errno == EINTR);
  return dir;
}

}  // namespace veneer::build::cache_layout
