// Reading --output.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <span>

#include "store/image_reference.h"
#include "tools/build/language/csv_fields.h"
#include "tools/build/language/go_number.h"
#include "tools/build/language/text.h"
#include "tools/build/output/build_output.h"

namespace veneer::build {
namespace {

// Keys of the exporters, but for type and dest.
constexpr std::array<std::string_view, 13> kImageKeys = {"name",
                                                         "push",
                                                         "push-by-digest",
                                                         "insecure",
                                                         "unpack",
                                                         "store",
                                                         "compression",
                                                         "compression-level",
                                                         "force-compression",
                                                         "oci-mediatypes",
                                                         "tar",
                                                         "rewrite-timestamp",
                                                         "dangling-name-prefix"};
constexpr std::array<std::string_view, 1> kFileKeys = {"platform-split"};

class OutputReader {
 public:
  Result<OutputSpec> Read(const std::vector<std::string>& fields) {
    for (const std::string& field : fields) {
      const size_t equals = field.find('=');
      if (equals == std::string::npos) return Invalid("invalid value " + field);
      const std::string key = ToLower(TrimSpace(std::string_view(field).substr(0, equals)));
      values_[key] = field.substr(equals + 1);
    }
    if (!values_.contains("type")) return Invalid("type is required for output");
    type_ = Take("type");
    spec_.destination = Take("dest");
    TRY(ReadType());
    return std::move(spec_);
  }

 private:
  std::string Take(const std::string& key) {
    const auto node = values_.extract(key);
    return node ? node.mapped() : std::string();
  }

  // A key that is true or false; nothing where it is not given.
  Result<std::optional<bool>> TakeBool(const std::string& key) {
    if (!values_.contains(key)) return std::nullopt;
    const std::optional<bool> value = ParseBool(Take(key));
    if (!value) return Invalid("non-bool value specified for " + key);
    return value;
  }

  Result<> ReadType() {
    if (type_ == "registry" || type_ == "image") return ReadImage();
    if (type_ == "oci" || type_ == "docker") return ReadArchive();
    if (type_ == "local" || type_ == "tar") return ReadFiles();
    if (type_ != "cacheonly")
      return Invalid(fmt::format("exporter \"{}\" could not be found", type_));
    spec_.kind = OutputKind::kNone;
    return CheckKeys({});
  }

  Result<> CheckKeys(std::span<const std::string_view> known) const {
    for (const auto& [key, value] : values_) {
      if (key.starts_with("annotation"))
        return Invalid("annotations of images are not supported yet (" + key + ")", ENOTSUP);
      if (std::ranges::find(known, key) != known.end()) continue;
      const std::vector<std::string> options(known.begin(), known.end());
      return Invalid(fmt::format("unknown key \"{}\" for the exporter {}{}", key, type_,
                                 DidYouMean(key, options, true)));
    }
    return {};
  }

  Result<> ReadNames() {
    const std::string names = Take("name");
    if (names.empty()) return {};
    for (const std::string& name : Split(names, ',')) {
      const Result<ImageReference> reference = ImageReference::Parse(name);
      if (!reference)
        return Invalid("failed to parse " + name + ": " + reference.error().Message());
      if (reference->digest()) return Invalid("refusing to create a tag with a digest reference");
      spec_.names.push_back(reference->Canonical());
    }
    return {};
  }

  // What the three kinds of images have in common.
  Result<> ReadImageKeys() {
    TRY(CheckKeys(kImageKeys));
    TRY_ASSIGN(const auto push, TakeBool("push"));
    if (type_ == "registry" || push.value_or(false))
      return Invalid("pushing an image needs a registry client, which veneer does not have yet",
                     ENOTSUP);
    for (const char* key :
         {"push-by-digest", "insecure", "unpack", "force-compression", "rewrite-timestamp"})
      TRY(TakeBool(key));
    return ReadNames();
  }

  Result<> ReadImage() {
    spec_.kind = OutputKind::kImage;
    TRY(ReadImageKeys());
    TRY_ASSIGN(const auto store, TakeBool("store"));
    if (!store.value_or(true)) spec_.kind = OutputKind::kNone;
    return {};
  }

  Result<> ReadArchive() {
    TRY(ReadImageKeys());
    const std::string compression = Take("compression");
    if (!compression.empty() && compression != "uncompressed")
      return Invalid("layers of an archive are not compressed yet: compression=" + compression,
                     ENOTSUP);
    TRY_ASSIGN(const auto oci_types, TakeBool("oci-mediatypes"));
    if (type_ == "oci" && !oci_types.value_or(true))
      return Invalid("the exporter oci writes OCI media types only");
    spec_.as_archive = ParseBool(Take("tar")).value_or(true);
    spec_.kind = type_ == "oci" ? OutputKind::kOci : OutputKind::kDocker;
    if (spec_.kind == OutputKind::kDocker) {
      if (!spec_.as_archive)
        return Invalid("type=docker is an archive; a directory is type=oci,tar=false", ENOTSUP);
      if (spec_.destination.empty()) {  // Docker's own store
        spec_.kind = OutputKind::kImage;
        return {};
      }
    }
    return spec_.as_archive ? CheckFile() : CheckDirectory();
  }

  Result<> ReadFiles() {
    TRY(CheckKeys(kFileKeys));
    TRY(TakeBool("platform-split"));
    spec_.kind = type_ == "local" ? OutputKind::kLocal : OutputKind::kTar;
    return spec_.kind == OutputKind::kLocal ? CheckDirectory() : CheckFile();
  }

  Result<> CheckFile() {
    std::string& dest = spec_.destination;
    if (dest.empty()) dest = "-";
    struct stat st = {};
    if (dest == "-") {
      if (isatty(STDOUT_FILENO) == 1)
        return Invalid(fmt::format(
            "dest file is required for {} exporter. refusing to write to console", type_));
    } else if (stat(dest.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
      return Invalid(fmt::format("destination file {} is a directory", dest));
    }
    return {};
  }

  Result<> CheckDirectory() {
    const std::string& dest = spec_.destination;
    if (dest.empty()) return Invalid(fmt::format("dest is required for {} exporter", type_));
    if (dest == "-") return Invalid(fmt::format("dest cannot be stdout for {} exporter", type_));
    struct stat st = {};
    if (stat(dest.c_str(), &st) == 0 && !S_ISDIR(st.st_mode))
      return Invalid(fmt::format("destination directory {} is a file", dest));
    return {};
  }

  std::map<std::string, std::string> values_;
  std::string type_;
  OutputSpec spec_;
};

}  // namespace

Result<OutputSpec> ParseOutput(std::string_view text) {
  if (text.empty()) return Invalid("type is required for output");
  TRY_ASSIGN(std::vector<std::string> fields, CsvFields(text));
  if (fields.size() == 1 && fields.front() == text && !text.starts_with("type="))
    fields = {text == "-" ? "type=tar" : "type=local", "dest=" + fields.front()};
  return OutputReader().Read(fields);
}

}  // namespace veneer::build
