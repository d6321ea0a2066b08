// inspect: Docker's JSON documents of images and containers.
#include <fmt/format.h>

#include <memory>

#include "store/container_store.h"
#include "store/image_reference.h"
#include "store/json.h"
#include "tools/commands.h"
#include "tools/go_template.h"
#include "tools/image_lookup.h"
#include "tools/inspect_zeros.h"
#include "tools/mounter.h"
#include "tools/units.h"

namespace veneer::tools {
namespace {

Json ConfigOf(const std::string& text) {
  auto config = ParseJson(text);
  return config && config->is_object() ? *config : Json::object();
}

std::string TextAt(const nlohmann::ordered_json& json, const char* key) {
  auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

Result<Json> ImageDocument(Store& store, const ImageId& id) {
  TRY_ASSIGN(ImageFacts facts, DescribeImage(store, id));
  const auto& config = facts.config.json;
  Json tags = Json::array(), digests = Json::array(), layers = Json::array();
  for (const std::string& name : facts.references) {
    TRY_ASSIGN(ImageReference reference, ImageReference::Parse(name));
    (reference.digest() ? digests : tags).push_back(reference.Familiar());
  }
  for (const DiffId& layer : facts.config.diff_ids) layers.push_back(layer.ToString());
  Json document;
  document["Id"] = id.ToString();
  document["RepoTags"] = tags;
  document["RepoDigests"] = digests;
  document["Parent"] = "";
  std::string comment = TextAt(config, "comment");
  if (comment.empty() && config.contains("history") && config["history"].is_array() &&
      !config["history"].empty()) {
    comment = TextAt(config["history"].back(), "comment");
  }
  document["Comment"] = comment;
  document["Created"] = TextAt(config, "created");
  document["DockerVersion"] = TextAt(config, "docker_version");
  document["Author"] = TextAt(config, "author");
  const auto own = config.find("config");
  document["Config"] = own != config.end() && own->is_object() ? Json(*own) : Json::object();
  document["Architecture"] = TextAt(config, "architecture");
  if (std::string variant = TextAt(config, "variant"); !variant.empty())
    document["Variant"] = variant;
  document["Os"] = TextAt(config, "os");
  document["Size"] = facts.size;
  document["VirtualSize"] = facts.size;
  document["GraphDriver"] = {{"Name", "veneer"},
                             {"Data", {{"Tree", store.chains().PathOf(facts.config.diff_ids)}}}};
  document["RootFS"] = {{"Type", "layers"}, {"Layers", layers}};
  document["Metadata"] = {{"LastTagTime", "0001-01-01T00:00:00Z"}};
  return document;
}

Result<Json> ContainerDocument(Store& store, const ContainerRow& container) {
  auto mounted = MountPathOf(store, container);
  std::string path = mounted ? *mounted : "";
  TRY_ASSIGN(auto layers, store.catalog().ImageLayers(container.image));
  Json config = ConfigOf(container.config);
  Json words = Json::array();
  for (const char* key : {"Entrypoint", "Cmd"}) {
    if (!config.contains(key) || !config[key].is_array()) continue;
    for (const Json& word : config[key]) words.push_back(word);
  }
  Json arguments = Json::array();
  for (size_t i = 1; i < words.size(); ++i) arguments.push_back(words[i]);
  Json document;
  document["Id"] = container.id;
  document["Created"] = FormatRfc3339Nano({container.created_at, 0});
  document["Path"] = words.empty() ? Json("") : words[0];
  document["Args"] = arguments;
  document["State"] = {
      {"Status", path.empty() ? "created" : "mounted"}, {"Running", false}, {"Mountpoint", path}};
  document["Image"] = container.image.ToString();
  document["Name"] = "/" + container.name;
  document["Driver"] = "veneer";
  document["GraphDriver"] = {{"Name", "veneer"},
                             {"Data",
                              {{"Tree", store.chains().PathOf(layers)},
                               {"UpperDir", UpperPath(store, container)},
                               {"WorkDir", WorkPath(store, container)},
                               {"MergedDir", path}}}};
  config["Image"] = container.image_name;
  document["Config"] = config;
  return document;
}

struct InspectFlags {
  std::vector<std::string> names;
  std::string format;
  std::string type;
};

Result<Json> Document(Store& store, const std::string& name, Inspectable what) {
  if (what != Inspectable::kImage) {
    auto container = FindContainer(store, name);
    if (container) return ContainerDocument(store, *container);
    if (what == Inspectable::kContainer || container.error().code() != ENOENT) {
      return std::unexpected(container.error());
    }
  }
  auto image = ResolveImage(store, name);
  if (image) return ImageDocument(store, image->id);
  if (what == Inspectable::kAny && image.error().code() == ENOENT)
    return Invalid("No such object: " + name, ENOENT);
  return std::unexpected(image.error());
}

Result<> Inspect(Context& context, const InspectFlags& flags, Inspectable what) {
  if (!flags.type.empty())
    what = flags.type == "image" ? Inspectable::kImage : Inspectable::kContainer;
  std::optional<Template> format;
  if (!flags.format.empty() && flags.format != "json") {
    TRY_ASSIGN(format, Template::Parse(flags.format));
  }
  TRY_ASSIGN(Store * store, context.OpenStore());
  Json documents = Json::array();
  Result<> outcome;
  for (const std::string& name : flags.names) {
    auto document = Document(*store, name, what);
    if (document && format) {
      const bool is_image = document->contains("RootFS");
      auto text = format->Execute(*document, is_image ? ImageZeros() : ContainerZeros());
      if (text) {
        context.Print(*text + "\n");
        continue;
      }
      document = std::unexpected(text.error());
    }
    if (document) {
      documents.push_back(std::move(*document));
      continue;
    }
    if (!outcome) Context::Complain(outcome.error().Message());
    outcome = std::unexpected(document.error());
  }
  // As Docker: what was found is printed, also when something was not.
  using Handler = Json::error_handler_t;
  if (!format) {
    bool compact = flags.format == "json";
    context.Print(documents.dump(compact ? -1 : 4, ' ', false, Handler::replace) + "\n");
  }
  return outcome;
}

}  // namespace

void AddInspect(CLI::App& parent, Context& context, Inspectable what) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* c =
      parent.add_subcommand("inspect", "Show everything about images or containers, as JSON");
  c->add_option("NAME", flags->names, "Names or IDs")->required();
  c->add_option("-f,--format", flags->format,
                "json, or a Go template such as '{{json .RootFS.Layers}}'");
  if (what == Inspectable::kAny) {
    c->add_option("--type", flags->type, "image or container")
        ->check(CLI::IsMember({"image", "container", ""}));
  }
  context.Run(c, [&context, flags, what] { return Inspect(context, *flags, what); });
}

}  // namespace veneer::tools
