// load, save, import, export: images and root filesystems in and out of the store.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <memory>

#include "store/archive/compression.h"
#include "store/base/beneath.h"
#include "store/commit.h"
#include "store/container_store.h"
#include "store/image_load.h"
#include "store/image_reference.h"
#include "store/image_save.h"
#include "tools/change_instruction.h"
#include "tools/commands.h"
#include "tools/creation_time.h"
#include "tools/export_tree.h"
#include "tools/image_lookup.h"
#include "tools/mounter.h"
#include "tools/output_file.h"
#include "tools/progress.h"
#include "tools/units.h"

namespace veneer::tools {
namespace {

// Counts what passes to the progress line.
class ProgressSink : public ByteSink {
 public:
  ProgressSink(ByteSink& to, Progress& progress) : to_(to), progress_(progress) {}
  Result<> Write(std::string_view data) override {
    progress_.Add(data.size());
    return to_.Write(data);
  }

 private:
  ByteSink& to_;
  Progress& progress_;
};

uint64_t FileSize(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0;
}

std::string FamiliarName(const std::string& canonical) {
  auto reference = ImageReference::Parse(canonical);
  return reference ? reference->Familiar() : canonical;
}

struct LoadFlags {
  std::string input;
  std::string platform;
  bool quiet = false;
};

Result<> Load(Context& context, const LoadFlags& flags) {
  LoadOptions options;
  if (!flags.platform.empty()) {
    if (!flags.platform.starts_with("linux/") || flags.platform.size() == 6) {
      throw UsageError("--platform '" + flags.platform + "' is not of the form linux/ARCHITECTURE");
    }
    options.architecture = flags.platform.substr(6, flags.platform.find('/', 6) - 6);
  }
  std::string name =
      flags.input.empty() || flags.input == "-" ? "standard input" : "'" + flags.input + "'";
  UniqueFd file;
  bool is_directory = false;
  if (flags.input.empty() || flags.input == "-") {
    if (isatty(STDIN_FILENO))
      return Invalid("nothing to load: give -i FILE, or pipe an archive in");
    file.Reset(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  } else {
    auto opened = OpenAt(AT_FDCWD, flags.input, O_RDONLY);
    if (!opened)
      return Invalid("cannot read " + name + ": " + strerror(opened.error().code()), ENOENT);
    file = std::move(*opened);
    struct stat st;
    is_directory = fstat(file.get(), &st) == 0 && S_ISDIR(st.st_mode);
  }
  TRY_ASSIGN(Store * store, context.OpenStore());
  Progress progress(flags.quiet);
  progress.Start("Loading", is_directory ? 0 : FileSize(file.get()));
  options.on_bytes = [&](uint64_t n) { progress.Add(n); };
  auto loaded = is_directory ? LoadLayout(*store, flags.input, options)
                             : LoadArchive(*store, file.get(), options);
  progress.Done();
  if (!loaded)
    return Invalid("cannot load " + name + ": " + loaded.error().Message(), loaded.error().code());
  for (const LoadedImage& image : *loaded) {
    for (const std::string& reference : image.references) {
      context.Print("Loaded image: " + FamiliarName(reference) + "\n");
    }
    if (image.references.empty()) context.Print("Loaded image ID: " + image.id.ToString() + "\n");
  }
  return {};
}

struct SaveFlags {
  std::vector<std::string> images;
  std::string output;
  std::string format = "docker";
};

// As docker save: a repository's name alone means all of its tags.
Result<std::vector<ResolvedImage>> ImagesCalled(Store& store, const std::string& text) {
  std::vector<ResolvedImage> images;
  auto wanted = ImageReference::Parse(text);
  if (wanted && IsNameOnly(text)) {
    TRY_ASSIGN(auto rows, store.catalog().References());
    for (const ReferenceRow& row : rows) {
      TRY_ASSIGN(ImageReference reference, ImageReference::Parse(row.name));
      if (reference.Name() == wanted->Name() && !reference.digest())
        images.push_back({row.image, row.name});
    }
  }
  if (!images.empty()) return images;
  TRY_ASSIGN(ResolvedImage image, ResolveImage(store, text));
  images.push_back(image);
  return images;
}

Result<> Save(Context& context, const SaveFlags& flags) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  std::vector<SaveItem> items;
  for (const std::string& text : flags.images) {
    TRY_ASSIGN(auto images, ImagesCalled(*store, text));
    for (const ResolvedImage& image : images) {
      auto same = std::find_if(items.begin(), items.end(),
                               [&](const SaveItem& i) { return i.image == image.id; });
      if (same == items.end()) same = items.insert(items.end(), {image.id, {}});
      if (!image.reference.empty()) same->references.push_back(image.reference);
    }
  }
  std::error_code ec;
  bool directory = flags.output.ends_with('/') || std::filesystem::is_directory(flags.output, ec);
  if (directory) {
    if (flags.format != "oci") {
      return Invalid(
          "'" + flags.output + "' is a directory; only --format oci writes one (a layout)", EISDIR);
    }
    auto saved = SaveLayout(*store, items, flags.output);
    if (!saved) return Invalid("cannot save to '" + flags.output + "': " + saved.error().Message());
    return {};
  }
  TRY_ASSIGN(OutputFile out, OutputFile::Open(flags.output));
  FdSink file(out.fd());
  Progress progress(flags.output.empty() && !isatty(STDERR_FILENO));
  ProgressSink sink(file, progress);
  progress.Start("Saving", 0);
  auto saved = SaveArchive(*store, items,
                           flags.format == "oci" ? SaveFormat::kOci : SaveFormat::kDocker, sink);
  progress.Done();
  if (!saved) return Invalid("cannot save: " + saved.error().Message());
  return out.Commit();
}

struct ImportFlags {
  std::string input;
  std::string reference;
  std::string message;
  std::vector<std::string> changes;
};

Result<> Import(Context& context, const ImportFlags& flags) {
  CommitOptions options;
  options.config = nlohmann::ordered_json::object();
  TRY(ApplyChanges(flags.changes, options.config));
  if (!flags.reference.empty()) {
    TRY_ASSIGN(ImageReference reference, ImageReference::Parse(flags.reference));
    if (reference.digest()) return Invalid("refusing to create a tag with a digest reference");
    options.reference = reference.Canonical();
  }
  options.message = flags.message.empty() ? "Imported from " + flags.input : flags.message;
  options.created = CreationTime();
  UniqueFd file;
  if (flags.input == "-") {
    file.Reset(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  } else {
    auto opened = OpenAt(AT_FDCWD, flags.input, O_RDONLY);
    if (!opened)
      return Invalid("cannot read '" + flags.input + "': " + strerror(opened.error().code()),
                     ENOENT);
    file = std::move(*opened);
  }
  TRY_ASSIGN(Store * store, context.OpenStore());
  Progress progress(false);
  progress.Start("Importing", 0);
  FdSource source(file.get());
  auto import = [&]() -> Result<ImageId> {
    TRY_ASSIGN(auto tar, Decompressor::Create(source));
    return ImportTar(*store, *tar, options);
  };
  auto id = import();
  progress.Done();
  if (!id) return Invalid("cannot import '" + flags.input + "': " + id.error().Message());
  context.Print(id->ToString() + "\n");
  return {};
}

Result<> Export(Context& context, const std::string& name, const std::string& output) {
  TRY_ASSIGN(Store * store, context.OpenStore());
  TRY_ASSIGN(ContainerRow container, FindContainer(*store, name));
  TRY_ASSIGN(OutputFile out, OutputFile::Open(output));
  FdSink file(out.fd());
  Progress progress(false);
  ProgressSink sink(file, progress);
  TRY_ASSIGN(TemporaryMount mount, TemporaryMount::Of(*store, container));
  progress.Start("Exporting", 0);
  auto exported = ExportTree(mount.path(), sink);
  progress.Done();
  TRY(mount.Release());
  TRY(exported);
  return out.Commit();
}

}  // namespace

void AddLoad(CLI::App& parent, Context& context) {
  auto flags = std::make_shared<LoadFlags>();
  CLI::App* c =
      parent.add_subcommand("load", "Load images from a docker or OCI archive, or an OCI layout");
  c->add_option("-i,--input", flags->input,
                "Archive or layout directory (default: standard input)");
  c->add_flag("-q,--quiet", flags->quiet, "No progress");
  c->add_option("--platform", flags->platform,
                "Of a multi-platform index, e.g. linux/arm64 (default: this host's)");
  context.Run(c, [&context, flags] { return Load(context, *flags); });
}

void AddSave(CLI::App& parent, Context& context) {
  auto flags = std::make_shared<SaveFlags>();
  CLI::App* c = parent.add_subcommand(
      "save", "Save images to an archive that docker, podman and skopeo read");
  c->add_option("IMAGE", flags->images, "Images to save; of a name without a tag all")->required();
  c->add_option("-o,--output", flags->output,
                "File, or directory with --format oci (default: standard output)");
  c->add_option("--format", flags->format, "docker or oci")
      ->check(CLI::IsMember({"docker", "oci"}));
  context.Run(c, [&context, flags] { return Save(context, *flags); });
}

void AddImport(CLI::App& parent, Context& context) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* c = parent.add_subcommand("import", "Make an image from the tar of a root filesystem");
  c->add_option("FILE", flags->input, "Tar, compressed or not; - is standard input")->required();
  c->add_option("REFERENCE", flags->reference, "Name of the image");
  c->add_option("-m,--message", flags->message, "Comment of the history entry");
  c->add_option("-c,--change", flags->changes, "Dockerfile instruction to apply")
      ->allow_extra_args(false);
  context.Run(c, [&context, flags] { return Import(context, *flags); });
}

void AddExport(CLI::App& parent, Context& context) {
  auto name = std::make_shared<std::string>();
  auto output = std::make_shared<std::string>();
  CLI::App* c = parent.add_subcommand("export", "Write a container's whole filesystem as a tar");
  c->add_option("CONTAINER", *name, "Name or ID")->required();
  c->add_option("-o,--output", *output, "File (default: standard output)");
  context.Run(c, [&context, name, output] { return Export(context, *name, *output); });
}

}  // namespace veneer::tools
