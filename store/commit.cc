#include "store/commit.h"

#include <fcntl.h>

#include <ctime>

#include "store/base/beneath.h"
#include "store/container_store.h"
#include "store/image_config.h"
#include "store/ingest.h"
#include "store/layer_writer.h"
#include "store/upper_walk.h"

namespace veneer {
namespace {

using Json = nlohmann::ordered_json;

// "cmd" of the history: what the container would have run.
std::string CommandLine(const Json& config) {
  std::string line;
  for (const char* key : {"Entrypoint", "Cmd"}) {
    auto it = config.find(key);
    if (it == config.end() || !it->is_array()) continue;
    for (const Json& word : *it) {
      if (word.is_string()) line += (line.empty() ? "" : " ") + word.get<std::string>();
    }
  }
  return line;
}

// The config of an image made of `parent` (null for none) and one more layer.
Json NewConfig(const ImageConfig* parent, const DiffId& layer, const std::string& created_by,
               const CommitOptions& options) {
  Json json = parent ? parent->json : Json::object();
  // Fields of the container that a parent was made from say nothing about this image.
  for (const char* key :
       {"container", "container_config", "docker_version", "id", "parent", "author", "comment"}) {
    json.erase(key);
  }
  if (!json.contains("architecture")) json["architecture"] = HostArchitecture();
  if (!json.contains("os")) json["os"] = "linux";
  json["created"] = options.created;
  if (!options.author.empty()) json["author"] = options.author;
  if (options.config.is_object() && !options.config.empty()) {
    json["config"] = options.config;
  } else {
    json["config"] = Json::object();
  }
  Json ids = Json::array();
  if (parent) {
    for (const DiffId& id : parent->diff_ids) ids.push_back(id.ToString());
  }
  ids.push_back(layer.ToString());
  json["rootfs"] = {{"type", "layers"}, {"diff_ids", ids}};
  Json entry = Json::object();
  entry["created"] = options.created;
  if (!options.author.empty()) entry["author"] = options.author;
  entry["created_by"] = created_by;
  if (!options.message.empty()) entry["comment"] = options.message;
  if (!json.contains("history") || !json["history"].is_array()) json["history"] = Json::array();
  json["history"].push_back(entry);
  return json;
}

Result<ImageId> PublishImage(IngestSession& session, const StagedLayer& layer,
                             const ImageConfig* parent, const std::string& created_by,
                             const CommitOptions& options) {
  Json json = NewConfig(parent, layer.row.diff_id, created_by, options);
  // Invalid UTF-8 (a message typed in another encoding) must not throw.
  std::string raw = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  TRY_ASSIGN(ImageConfig config, ImageConfig::Parse(raw));
  ImageId id = ImageConfig::IdOf(raw);
  Catalog& catalog = session.store().catalog();
  TRY(session.Publish({&layer, 1}, [&]() -> Result<> {
    TRY(catalog.PutImage({id, raw, std::time(nullptr)}, config.diff_ids));
    if (!options.reference.empty()) TRY(catalog.SetReference(options.reference, id));
    return {};
  }));
  (void)session.store().chains().Open(config.diff_ids);  // a cache: made now, or when first needed
  return id;
}

}  // namespace

Result<ImageId> CommitContainer(Store& store, const ContainerRow& container,
                                const CommitOptions& options) {
  TRY_ASSIGN(auto session, IngestSession::Begin(store));
  TRY_ASSIGN(auto row, store.catalog().FindImage(container.image));
  if (!row) return Invalid("the image of container " + container.name + " is missing", ENOENT);
  TRY_ASSIGN(ImageConfig parent, ImageConfig::Parse(row->config));
  TRY_ASSIGN(auto chain, store.chains().Open(parent.diff_ids));
  TRY_ASSIGN(UniqueFd upper, OpenAt(AT_FDCWD, UpperPath(store, container), O_RDONLY | O_DIRECTORY));
  TRY_ASSIGN(auto writer, LayerWriter::Create(*session));
  TRY(WalkUpper(upper.get(), *chain,
                [&](const UpperChange& change) { return writer->Add(change, options.on_bytes); }));
  TRY_ASSIGN(StagedLayer layer, writer->Finish());
  if (options.fixed) TRY(options.fixed());
  Json before = Json::parse(container.config, nullptr, /*allow_exceptions=*/false);
  return PublishImage(*session, layer, &parent, before.is_object() ? CommandLine(before) : "",
                      options);
}

Result<ImageId> ImportTar(Store& store, ByteSource& tar, const CommitOptions& options) {
  TRY_ASSIGN(auto session, IngestSession::Begin(store));
  TRY_ASSIGN(StagedLayer layer, IngestLayerTar(*session, tar));
  return PublishImage(*session, layer, nullptr, "", options);
}

}  // namespace veneer
