#include "tools/build/output/build_output.h"

#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "store/archive/byte_stream.h"
#include "store/archive/canonical_tar.h"
#include "store/image_save.h"
#include "tools/build/output/chain_walk.h"
#include "tools/build/output/local_output.h"
#include "tools/output_file.h"

namespace veneer::build {
namespace {

// The image becomes what its names mean, in one step.
Result<> Record(Store& store, const BuildResult& result, const OutputSpec& output) {
  TRY(store.catalog().InTransaction([&]() -> Result<> {
    TRY(store.catalog().PutImage({result.image, result.config, std::time(nullptr)}, result.layers));
    for (const std::string& name : NamesIn(result, output))
      TRY(store.catalog().SetReference(name, result.image));
    return {};
  }));
  (void)store.chains().Open(result.layers);  // a cache: made now, or when first needed
  return {};
}

// The error, where there is one, with the destination before it.
Result<> To(const OutputSpec& output, Result<> written) {
  if (written) return written;
  const std::string where =
      WritesToStandardOutput(output) ? "standard output" : "'" + output.destination + "'";
  return Invalid("cannot write the output to " + where + ": " + written.error().Message(),
                 written.error().code());
}

SaveItem ItemOf(const BuildResult& result, const OutputSpec& output) {
  return {result.image, NamesIn(result, output), result.config};
}

Result<> WriteContent(const ObjectStore& objects, const ChainEntry& entry,
                      CanonicalTarWriter& tar) {
  if (entry.attr.size == 0) return {};
  TRY_ASSIGN(const UniqueFd fd, objects.Open(entry.object));
  FdSource content(fd.get(), entry.attr.size);
  for (;;) {
    TRY_ASSIGN(const std::string_view piece, content.Next());
    if (piece.empty()) return {};
    TRY(tar.WriteContent(piece));
  }
}

Result<> WriteTar(Store& store, const BuildResult& result, ByteSink& out) {
  TRY_ASSIGN(const auto tree, store.chains().Open(result.layers));
  TRY_ASSIGN(const auto tar, CanonicalTarWriter::Create(out, out));
  TRY(WalkChain(*tree, result.source_date_epoch, [&](const ChainEntry& entry) -> Result<> {
    const bool is_link = !entry.first_name.empty();
    TarEntry header{.path = entry.path,
                    .kind = is_link ? TarEntry::Kind::kHardLink : TarEntry::Kind::kInode,
                    .attr = entry.attr,
                    .link_target = is_link ? entry.first_name : entry.link_target,
                    .xattrs = is_link ? std::vector<tree::Xattr>() : entry.xattrs};
    auto written = tar->WriteEntry(header);
    if (written && !is_link && S_ISREG(entry.attr.mode))
      written = WriteContent(store.objects(), entry, *tar);
    if (!written) return std::unexpected(written.error().Within("'/" + entry.path + "'"));
    return {};
  }));
  return tar->Finish();
}

Result<> WriteFile(Store& store, const BuildResult& result, const OutputSpec& output) {
  TRY_ASSIGN(tools::OutputFile file,
             tools::OutputFile::Open(output.destination == "-" ? "" : output.destination));
  FdSink sink(file.fd());
  if (output.kind == OutputKind::kTar) {
    TRY(To(output, WriteTar(store, result, sink)));
  } else {
    const SaveItem item = ItemOf(result, output);
    const SaveFormat format =
        output.kind == OutputKind::kOci ? SaveFormat::kOci : SaveFormat::kDocker;
    TRY(To(output, SaveArchive(store, {&item, 1}, format, sink)));
  }
  return file.Commit();
}

Result<> WriteDirectory(Store& store, const BuildResult& result, const OutputSpec& output) {
  if (output.kind == OutputKind::kLocal) {
    TRY_ASSIGN(const auto tree, store.chains().Open(result.layers));
    return To(output, WriteLocalOutput(store, *tree, result.source_date_epoch, output.destination));
  }
  const SaveItem item = ItemOf(result, output);
  return To(output, SaveLayout(store, {&item, 1}, output.destination));
}

}  // namespace

std::vector<std::string> NamesIn(const BuildResult& result, const OutputSpec& output) {
  std::vector<std::string> names = result.references;
  for (const std::string& name : output.names) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

std::string TitleOf(const OutputSpec& output) {
  switch (output.kind) {
    case OutputKind::kImage:
      return "exporting to image";
    case OutputKind::kOci:
      return "exporting to oci image format";
    case OutputKind::kDocker:
      return "exporting to docker image format";
    case OutputKind::kTar:
      return "exporting to client tarball";
    case OutputKind::kLocal:
      return "exporting to client directory";
    case OutputKind::kNone:
      break;
  }
  return "";
}

std::vector<std::string> DoneIn(const BuildResult& result, const OutputSpec& output) {
  std::vector<std::string> lines;
  switch (output.kind) {
    case OutputKind::kImage:
      lines = {"writing image " + result.image.ToString()};
      for (const std::string& name : NamesIn(result, output)) lines.push_back("naming to " + name);
      break;
    case OutputKind::kOci:
    case OutputKind::kDocker:
      lines = {"exporting config " + result.image.ToString()};
      lines.emplace_back(output.as_archive ? "sending tarball" : "copying files");
      break;
    case OutputKind::kTar:
      lines = {"sending tarball"};
      break;
    case OutputKind::kLocal:
      lines = {"copying files"};
      break;
    case OutputKind::kNone:
      break;
  }
  for (std::string& line : lines) line += " done";
  return lines;
}

bool WritesToStandardOutput(const OutputSpec& output) { return output.destination == "-"; }

Result<> WriteOutput(Store& store, const BuildResult& result, const OutputSpec& output) {
  switch (output.kind) {
    case OutputKind::kImage:
      return Record(store, result, output);
    case OutputKind::kOci:
    case OutputKind::kDocker:
      return output.as_archive ? WriteFile(store, result, output)
                               : WriteDirectory(store, result, output);
    case OutputKind::kTar:
      return WriteFile(store, result, output);
    case OutputKind::kLocal:
      return WriteDirectory(store, result, output);
    case OutputKind::kNone:
      return {};
  }
  return {};
}

}  // namespace veneer::build
