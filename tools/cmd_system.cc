// system df, system check, system prune, version, debug tree.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "store/cache_mount.h"
#include "store/image_config.h"
#include "store/maintenance.h"
#include "store/tree/dump.h"
#include "tools/commands.h"
#include "tools/go_template.h"
#include "tools/mounter.h"
#include "tools/progress.h"
#include "tools/table.h"
#include "tools/units.h"

namespace veneer::tools {
namespace {

std::string Size(uint64_t bytes) { return HumanSize(bytes); }

std::string Reclaimable(uint64_t part, uint64_t whole) {
  if (whole == 0) return Size(part);
  return fmt::format("{} ({}%)", Size(part), part * 100 / whole);
}

Result<> DiskUsage(Context& context, const std::string& format) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(Usage usage, MeasureUsage(*store));
  uint64_t mounted = 0;
  TRY_ASSIGN(auto containers, store->catalog().Containers());
  for (const ContainerRow& container : containers) {
    auto path = MountPathOf(*store, container);
    if (!path || !path->empty()) ++mounted;
  }
  auto row = [](const char* type, uint64_t total, uint64_t active, const std::string& size,
                const std::string& reclaimable) {
    return Json{{"Active", std::to_string(active)},
                {"Reclaimable", reclaimable},
                {"Size", size},
                {"TotalCount", std::to_string(total)},
                {"Type", type}};
  };
  std::vector<Json> rows = {
      row("Images", usage.images, usage.active_images, Size(usage.image_bytes),
          Reclaimable(usage.reclaimable_bytes, usage.image_bytes)),
      row("Containers", usage.containers, mounted, Size(usage.container_bytes), Size(0)),
      row("Build Cache", usage.build_records + usage.cache_mounts, usage.active_cache_mounts,
          Size(usage.build_cache_bytes), Size(usage.build_cache_reclaimable_bytes)),
      row("Unreachable", usage.unreachable_bytes > 0, 0, Size(usage.unreachable_bytes),
          Reclaimable(usage.unreachable_bytes, usage.unreachable_bytes)),
  };
  TRY_ASSIGN(
      std::string text,
      FormatRows(format,
                 "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
                 {{"Type", "TYPE"},
                  {"TotalCount", "TOTAL"},
                  {"Active", "ACTIVE"},
                  {"Size", "SIZE"},
                  {"Reclaimable", "RECLAIMABLE"}},
                 rows));
  context.Print(text);
  if (!format.empty()) return {};
  auto saves = [&](uint64_t apart) {
    return apart > usage.object_bytes ? Size(apart - usage.object_bytes) : Size(0);
  };
  context.Print(fmt::format(
      "\n{} file contents, each stored once: {} on disk.\n"
      "One copy per layer would take {} (sharing saves {}); one per image {} (saves {}).\n",
      usage.objects, Size(usage.object_bytes), Size(usage.layer_content_bytes),
      saves(usage.layer_content_bytes), Size(usage.image_content_bytes),
      saves(usage.image_content_bytes)));
  return {};
}

Result<> RunCheck(Context& context, bool quick) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  Progress progress(false);
  progress.Start("Checking", 0);
  auto report = Check(*store, !quick, [&](uint64_t n) { progress.Add(n); });
  progress.Done();
  if (!report) return std::unexpected(report.error());
  for (const std::string& line : report->repaired) context.Print("repaired: " + line + "\n");
  for (const std::string& line : report->problems) context.Print("problem: " + line + "\n");
  context.Print(fmt::format("{} images, {} layers, {} objects, {} merged trees: {}\n",
                            report->images, report->layers, report->objects, report->chains,
                            report->problems.empty()
                                ? "no problem found"
                                : fmt::format("{} problems", report->problems.size())));
  if (report->unreachable_objects > 0) {
    context.Print(
        fmt::format("{} objects are reached by nothing; 'veneer system prune' removes them\n",
                    report->unreachable_objects));
  }
  if (!report->problems.empty()) {
    return Invalid("the store has problems; remove the images named above and load them again",
                   EBADMSG);
  }
  return {};
}

struct PruneFlags {
  bool all = false;
  bool force = false;
};

Result<bool> Confirmed(Context& context, const PruneFlags& flags) {
  if (flags.force) return true;
  context.Print(fmt::format(
      "WARNING! This will remove:\n  - {}\n  - all build cache\n"
      "  - everything that nothing refers to\n\n"
      "Are you sure you want to continue? [y/N] ",
      flags.all ? "all images without a container" : "all images without a name or a container"));
  std::fflush(stdout);
  std::string answer;  // at the end of input: no
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

Result<RemovedCacheMounts> RemoveUnusedCacheMounts(Store& store) {
  TRY_ASSIGN(auto mounts, CacheMounts(store));
  std::vector<std::string> folders;
  for (const CacheMountInfo& mount : mounts) folders.push_back(mount.folder);
  return RemoveCacheMounts(store, folders);
}

Result<> Prune(Context& context, const PruneFlags& flags) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(bool go, Confirmed(context, flags));
  if (!go) return {};
  Catalog& catalog = store->catalog();
  std::vector<std::string> deleted, forgotten;
  TRY(catalog.InTransaction([&]() -> Result<> {
    TRY_ASSIGN(auto images, catalog.Images());
    TRY_ASSIGN(auto containers, catalog.Containers());
    for (const ImageRow& image : images) {
      bool used = std::any_of(containers.begin(), containers.end(),
                              [&](const ContainerRow& c) { return c.image == image.id; });
      TRY_ASSIGN(auto names, catalog.ReferencesTo(image.id));
      if (used || (!names.empty() && !flags.all)) continue;
      for (const std::string& name : names) deleted.push_back("untagged: " + name);
      deleted.push_back("deleted: " + image.id.ToString());
      TRY(catalog.DeleteImage(image.id));
    }
    TRY_ASSIGN(auto records, catalog.BuildRecords());
    for (const BuildRecord& record : records) {
      forgotten.push_back(record.key.Hex());
      TRY(catalog.DeleteBuildRecord(record.key));
    }
    return {};
  }));
  TRY_ASSIGN(RemovedCacheMounts mounts, RemoveUnusedCacheMounts(*store));
  forgotten.insert(forgotten.end(), mounts.folders.begin(), mounts.folders.end());
  TRY_ASSIGN(SweepReport report, Sweep(*store));
  auto print = [&](const char* title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    context.Print(std::string(title) + ":\n");
    for (const std::string& line : lines) context.Print(line + "\n");
    context.Print("\n");
  };
  print("Deleted Images", deleted);
  print("Deleted build cache objects", forgotten);
  context.Print("Total reclaimed space: " + Size(report.bytes + mounts.bytes) + "\n");
  return {};
}

Result<> Version(Context& context, const std::string& format) {
  Json version = {
      {"Version", VENEER_VERSION}, {"SchemaVersion", kCatalogSchemaVersion}, {"Os", "linux"}};
  version["Arch"] = HostArchitecture();
  if (format == "json") {
    context.Print(version.dump() + "\n");
  } else if (!format.empty()) {
    TRY_ASSIGN(Template parsed, Template::Parse(format));
    TRY_ASSIGN(std::string text, parsed.Execute(version));
    context.Print(text + "\n");
  } else {
    context.Print(fmt::format("Version:  {}\nOS/Arch:  linux/{}\nStore:    schema {}\n",
                              VENEER_VERSION, HostArchitecture(), kCatalogSchemaVersion));
  }
  return {};
}

}  // namespace

void AddDiskUsage(CLI::App& parent, Context& context) {
  auto format = std::make_shared<std::string>();
  CLI::App* c =
      parent.add_subcommand("df", "Show what uses the store's space, and what sharing saves");
  c->add_option("--format", *format, "table, json, or a Go template");
  context.Run(c, [&context, format] { return DiskUsage(context, *format); });
}

void AddCheck(CLI::App& parent, Context& context) {
  auto quick = std::make_shared<bool>(false);
  CLI::App* c =
      parent.add_subcommand("check", "Verify everything in the store; rebuild damaged trees");
  c->add_flag("--quick", *quick, "Sizes and trees only: do not read file contents");
  context.Run(c, [&context, quick] { return RunCheck(context, *quick); });
}

void AddPrune(CLI::App& parent, Context& context) {
  auto flags = std::make_shared<PruneFlags>();
  CLI::App* c = parent.add_subcommand(
      "prune", "Remove images without a name, the build cache, and what nothing refers to");
  c->add_flag("-a,--all", flags->all, "Also images with a name, when no container uses them");
  c->add_flag("-f,--force", flags->force, "Do not ask");
  context.Run(c, [&context, flags] {
    return context.AsOwner([&]() -> Result<> {
      const Result<> pruned = Prune(context, *flags);
      flags->force = true;  // nobody is asked twice
      return pruned;
    });
  });
}

void AddVersion(CLI::App& parent, Context& context) {
  auto format = std::make_shared<std::string>();
  CLI::App* c = parent.add_subcommand("version", "Show the version");
  c->add_option("-f,--format", *format, "json, or a Go template");
  context.Run(c, [&context, format] { return Version(context, *format); });
}

void AddDebug(CLI::App& parent, Context& context) {
  CLI::App* debug =
      parent.add_subcommand("debug", "Look into the store's files")->require_subcommand(1);
  auto file = std::make_shared<std::string>();
  CLI::App* c = debug->add_subcommand(
      "tree", "Dump a layer's or a chain's tree as text (docs/tree-format.md)");
  c->add_option("FILE", *file, "layers/<diffid>/tree or chains/<chainid>")->required();
  context.Run(c, [&context, file]() -> Result<> {
    auto dumped = tree::DumpFile(*file, [&](std::string_view line) {
      context.Print(line);
      context.Print("\n");
    });
    if (!dumped) return Invalid("cannot dump '" + *file + "': " + dumped.error().Message());
    return {};
  });
}

}  // namespace veneer::tools
