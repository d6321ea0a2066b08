// images, history, tag, rmi.
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <set>

#include "store/image_reference.h"
#include "store/lease.h"
#include "store/maintenance.h"
#include "tools/commands.h"
#include "tools/history_format.h"
#include "tools/image_lookup.h"
#include "tools/table.h"
#include "tools/units.h"

namespace veneer::tools {
namespace {

struct ImagesFlags {
  std::string repository;
  std::vector<std::string> filters;
  std::string format;
  bool all = false, quiet = false, no_trunc = false, digests = false;
};

const Json kImageHeaders = {{"ID", "IMAGE ID"},
                            {"Repository", "REPOSITORY"},
                            {"Tag", "TAG"},
                            {"Digest", "DIGEST"},
                            {"CreatedSince", "CREATED"},
                            {"CreatedAt", "CREATED AT"},
                            {"Size", "SIZE"},
                            {"VirtualSize", "SIZE"},
                            {"SharedSize", "SHARED SIZE"},
                            {"UniqueSize", "UNIQUE SIZE"},
                            {"Containers", "CONTAINERS"}};

// One row of `images`: a reference, or an image without any.
struct ImageLine {
  const ImageFacts* image;
  std::string repository = "<none>";
  std::string tag = "<none>";
};

bool MatchesLabel(const ImageFacts& image, const std::string& wanted) {
  auto config = image.config.json.find("config");
  if (config == image.config.json.end() || !config->is_object()) return false;
  auto labels = config->find("Labels");
  if (labels == config->end() || !labels->is_object()) return false;
  std::string key = wanted.substr(0, wanted.find('='));
  auto label = labels->find(key);
  if (label == labels->end()) return false;
  return key.size() == wanted.size() ||
         (label->is_string() && label->get<std::string>() == wanted.substr(key.size() + 1));
}

// When an image was made, to compare; images that do not say come first.
std::pair<int64_t, int32_t> CreatedAt(const ImageFacts& image) {
  auto time = ParseRfc3339(image.config.created());
  return time ? std::pair(time->seconds, time->nanos) : std::pair(INT64_MIN, 0);
}

// Docker's reference filter: a shell pattern on the name, with or without the tag.
bool MatchesReference(const std::string& pattern, const ImageLine& line) {
  return fnmatch(pattern.c_str(), line.repository.c_str(), FNM_PATHNAME) == 0 ||
         fnmatch(pattern.c_str(), (line.repository + ":" + line.tag).c_str(), FNM_PATHNAME) == 0;
}

// Keeps the lines that every --filter lets through.
Result<> ApplyFilters(Store& store, const std::vector<std::string>& filters,
                      std::vector<ImageLine>& lines) {
  for (const std::string& filter : filters) {
    if (filter.empty()) continue;
    size_t eq = filter.find('=');
    if (eq == filter.npos)
      throw UsageError("invalid argument \"" + filter + "\": a filter is of the form name=value");
    std::string key = filter.substr(0, eq), value = filter.substr(eq + 1);
    std::function<bool(const ImageLine&)> keep;
    if (key == "dangling") {
      bool dangling = value == "true" || value == "1";
      keep = [=](const ImageLine& l) { return (l.tag == "<none>") == dangling; };
    } else if (key == "label") {
      keep = [=](const ImageLine& l) { return MatchesLabel(*l.image, value); };
    } else if (key == "reference") {
      keep = [=](const ImageLine& l) { return MatchesReference(value, l); };
    } else if (key == "before" || key == "since") {
      TRY_ASSIGN(ResolvedImage other, ResolveImage(store, value));
      TRY_ASSIGN(ImageFacts facts, DescribeImage(store, other.id));
      bool before = key == "before";
      auto limit = CreatedAt(facts);
      keep = [=](const ImageLine& l) {
        return before ? CreatedAt(*l.image) < limit : limit < CreatedAt(*l.image);
      };
    } else {
      throw UsageError("invalid filter '" + key +
                       "'; known are before, dangling, label, reference, since");
    }
    std::erase_if(lines, [&](const ImageLine& l) { return !keep(l); });
  }
  return {};
}

Result<std::vector<ImageLine>> LinesOf(const std::vector<ImageFacts>& images) {
  std::vector<ImageLine> lines;
  for (const ImageFacts& image : images) {
    for (const std::string& name : image.references) {
      TRY_ASSIGN(ImageReference reference, ImageReference::Parse(name));
      lines.push_back(
          {&image, reference.FamiliarName(), reference.tag().empty() ? "<none>" : reference.tag()});
    }
    if (image.references.empty()) lines.push_back({&image});
  }
  return lines;
}

Result<> Images(Context& context, const ImagesFlags& flags) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(auto rows, store->catalog().Images());
  std::vector<ImageFacts> images;
  for (const ImageRow& row : rows) {
    TRY_ASSIGN(ImageFacts facts, DescribeImage(*store, row.id));
    images.push_back(std::move(facts));
  }
  // Newest first, as Docker lists them.
  std::stable_sort(images.begin(), images.end(), [](const ImageFacts& a, const ImageFacts& b) {
    return CreatedAt(b) < CreatedAt(a);
  });
  TRY_ASSIGN(auto lines, LinesOf(images));
  if (!flags.repository.empty()) {
    std::string pattern = flags.repository;
    // docker.io/library/debian is listed as debian.
    if (auto name = ImageReference::Parse(pattern))
      pattern = IsNameOnly(pattern) ? name->FamiliarName() : name->Familiar();
    std::erase_if(lines, [&](const ImageLine& l) { return !MatchesReference(pattern, l); });
  }
  TRY(ApplyFilters(*store, flags.filters, lines));
  TRY_ASSIGN(auto containers, store->catalog().Containers());

  std::vector<Json> data;
  std::set<std::string> shown;
  for (const ImageLine& line : lines) {
    std::string id =
        flags.no_trunc ? line.image->id.ToString() : ShortId(line.image->id.ToString());
    if (flags.quiet) {
      if (shown.insert(id).second) context.Print(id + "\n");
      continue;
    }
    int64_t created = CreatedAt(*line.image).first;
    if (created == INT64_MIN) created = 0;
    auto uses = std::count_if(containers.begin(), containers.end(),
                              [&](const ContainerRow& c) { return c.image == line.image->id; });
    data.push_back(Json{{"Containers", std::to_string(uses)},
                        {"CreatedAt", created > 0 ? FormatLocalTime(created) : "N/A"},
                        {"CreatedSince", HumanSince(created, std::time(nullptr))},
                        {"Digest", "<none>"},
                        {"ID", id},
                        {"Repository", line.repository},
                        {"SharedSize", "N/A"},
                        {"Size", HumanSize(static_cast<uint64_t>(line.image->size))},
                        {"Tag", line.tag},
                        {"UniqueSize", "N/A"},
                        {"VirtualSize", HumanSize(static_cast<uint64_t>(line.image->size))}});
  }
  if (flags.quiet) return {};
  std::string table =
      flags.digests
          ? "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
          : "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
  TRY_ASSIGN(std::string text, FormatRows(flags.format, table, kImageHeaders, data));
  context.Print(text);
  return {};
}

struct HistoryFlags {
  std::string image;
  std::string format;
  bool human = true, quiet = false, no_trunc = false;
};

Result<> History(Context& context, const HistoryFlags& flags) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(ResolvedImage image, ResolveImage(*store, flags.image));
  TRY_ASSIGN(ImageFacts facts, DescribeImage(*store, image.id));
  std::vector<uint64_t> sizes;
  sizes.reserve(facts.layers.size());
  for (const LayerRow& layer : facts.layers)
    sizes.push_back(static_cast<uint64_t>(layer.content_size));
  HistoryOptions options;
  options.human = flags.human;
  options.no_trunc = flags.no_trunc;
  options.quiet = flags.quiet;
  options.format = flags.format;
  TRY_ASSIGN(std::string text, FormatHistory(image.id.ToString(), facts.config.json, sizes, options,
                                             std::time(nullptr)));
  context.Print(text);
  return {};
}

Result<> Tag(Context& context, const std::string& source, const std::string& target) {
  TRY_ASSIGN(ImageReference reference, ImageReference::Parse(target));
  if (reference.digest()) return Invalid("refusing to create a tag with a digest reference");
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(WorkLease lease, WorkLease::Shared(store->root_fd()));
  // In one transaction: the image must not be removed between the two.
  return store->catalog().InTransaction([&]() -> Result<> {
    TRY_ASSIGN(ResolvedImage image, ResolveImage(*store, source));
    return store->catalog().SetReference(reference.Canonical(), image.id);
  });
}

// Removes one name, or an image with all of its names; what no image needs any more goes with it.
Result<> RemoveOne(Context& context, Store& store, const std::string& text, bool force) {
  TRY_ASSIGN(ResolvedImage image, ResolveImage(store, text));
  Catalog& catalog = store.catalog();
  TRY_ASSIGN(auto layers, catalog.ImageLayers(image.id));
  std::vector<std::string> untagged;
  bool deleted = false;
  TRY(catalog.InTransaction([&]() -> Result<> {
    TRY_ASSIGN(auto names, catalog.ReferencesTo(image.id));
    TRY_ASSIGN(auto containers, catalog.Containers());
    auto user = std::find_if(containers.begin(), containers.end(),
                             [&](const ContainerRow& c) { return c.image == image.id; });
    bool by_name = !image.reference.empty();
    bool last = !by_name || names.size() <= 1;
    if (!by_name && names.size() > 1 && !force) {
      return Invalid("conflict: unable to delete " + ShortId(image.id.ToString()) +
                     " (must be forced) - image is referenced in multiple repositories");
    }
    if (last && user != containers.end() && !(force && by_name)) {
      return Invalid("conflict: unable to remove '" + text + "' - container " + ShortId(user->id) +
                         " (" + user->name +
                         ") is using the image; remove it first with 'veneer rm'",
                     EBUSY);
    }
    for (const std::string& name : names) {
      if (by_name && name != image.reference) continue;
      TRY(catalog.DeleteReference(name));
      untagged.push_back(name);
    }
    if (last && user == containers.end()) {
      deleted = true;
      return catalog.DeleteImage(image.id);
    }
    return {};
  }));
  for (const std::string& name : untagged) {
    TRY_ASSIGN(ImageReference reference, ImageReference::Parse(name));
    context.Print("Untagged: " + reference.Familiar() + "\n");
  }
  if (!deleted) return {};
  context.Print("Deleted: " + image.id.ToString() + "\n");
  // What is left behind while another process works goes with the next prune.
  TRY(TryReclaim(store, layers));
  return {};
}

}  // namespace

void AddImages(CLI::App& parent, Context& context, const std::string& name) {
  auto flags = std::make_shared<ImagesFlags>();
  CLI::App* c = parent.add_subcommand(name, "List images");
  if (name == "ls") c->alias("list");
  c->add_option("REPOSITORY", flags->repository,
                "Only images of this name or shell pattern, with or without :TAG");
  c->add_flag("-a,--all", flags->all, "All images (there are no hidden ones)");
  c->add_flag("-q,--quiet", flags->quiet, "IDs only");
  c->add_flag("--no-trunc", flags->no_trunc, "Whole IDs");
  c->add_flag("--digests", flags->digests, "Show digests");
  c->add_option("-f,--filter", flags->filters, "before=, dangling=, label=, reference=, since=")
      ->allow_extra_args(false);
  c->add_option("--format", flags->format, "table, json, or a Go template");
  context.Run(c, [&context, flags] { return Images(context, *flags); });
}

void AddHistory(CLI::App& parent, Context& context) {
  auto flags = std::make_shared<HistoryFlags>();
  CLI::App* c = parent.add_subcommand("history", "Show how an image was made");
  c->add_option("IMAGE", flags->image, "Name or ID")->required();
  c->add_flag("-H,--human,!--no-human", flags->human,
              "Sizes and dates for people (default; -H=false turns it off)");
  c->add_flag("-q,--quiet", flags->quiet, "IDs only");
  c->add_flag("--no-trunc", flags->no_trunc, "Whole IDs and commands");
  c->add_option("--format", flags->format, "table, json, or a Go template");
  context.Run(c, [&context, flags] { return History(context, *flags); });
}

void AddTag(CLI::App& parent, Context& context) {
  auto source = std::make_shared<std::string>(), target = std::make_shared<std::string>();
  CLI::App* c = parent.add_subcommand("tag", "Give an image another name");
  c->add_option("SOURCE", *source, "Name or ID of the image")->required();
  c->add_option("TARGET", *target, "The new name")->required();
  context.Run(c, [&context, source, target] { return Tag(context, *source, *target); });
}

void AddRemoveImage(CLI::App& parent, Context& context, const std::string& name) {
  auto images = std::make_shared<std::vector<std::string>>();
  auto force = std::make_shared<bool>(false);
  CLI::App* c = parent.add_subcommand(name, "Remove images, or names of images");
  if (name == "rm") c->alias("remove");
  c->add_option("IMAGE", *images, "Names or IDs")->required();
  c->add_flag("-f,--force", *force, "Also when several names or a container refer to it");
  context.Run(c, [&context, images, force]() -> Result<> {
    TRY_ASSIGN(Store * store, context.OpenStore());
    Result<> outcome;
    for (const std::string& image : *images) {
      auto removed = RemoveOne(context, *store, image, *force);
      if (removed) continue;
      if (!outcome) Context::Complain(outcome.error().Message());
      outcome = std::unexpected(removed.error());
    }
    return outcome;
  });
}

}  // namespace veneer::tools
