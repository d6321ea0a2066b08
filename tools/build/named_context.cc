#include "tools/build/named_context.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <vector>

#include "store/base/beneath.h"
#include "store/image_load.h"
#include "store/image_reference.h"
#include "tools/build/build_input.h"
#include "tools/build/context_archive.h"
#include "tools/build/dockerfile_file.h"
#include "tools/build/fetch.h"
#include "tools/build/language/copy_rules.h"
#include "tools/build/store_image.h"
#include "tools/image_lookup.h"

namespace veneer::build {
namespace {

Result<NamedContext> OfImage(Store& store, const ImageId& id) {
  NamedContext context;
  TRY_ASSIGN(context.image, ReadBaseImage(store, id));
  return context;
}

Result<NamedContext> OfStore(Store& store, const std::string& name) {
  TRY_ASSIGN(const tools::ResolvedImage image, tools::ResolveImage(store, name));
  return OfImage(store, image.id);
}

// The image with this tag; without one, the only image there is, or the one called latest.
Result<NamedContext> Choose(Store& store, const std::vector<LoadedImage>& images,
                            const std::string& tag, const std::string& where) {
  if (tag.empty() && images.size() == 1) return OfImage(store, images.front().id);
  const std::string wanted = tag.empty() ? "latest" : tag;
  for (const LoadedImage& image : images) {
    const bool named = std::ranges::any_of(image.references, [&](const std::string& reference) {
      const Result<ImageReference> parsed = ImageReference::Parse(reference);
      return parsed && parsed->tag() == wanted;
    });
    if (named || image.id.ToString() == tag) return OfImage(store, image.id);
  }
  return Invalid(where + " has no image " + wanted, ENOENT);
}

Result<NamedContext> OfLayout(Store& store, const std::string& text) {
  std::string directory = text, tag;
  if (const size_t at = directory.find('@'); at != std::string::npos) {
    tag = directory.substr(at + 1);
    directory.resize(at);
  }
  if (const size_t colon = directory.rfind(':');
      colon != std::string::npos && directory.find('/', colon) == std::string::npos) {
    if (tag.empty()) tag = directory.substr(colon + 1);
    directory.resize(colon);
  }
  TRY_ASSIGN(const std::vector<LoadedImage> images, LoadLayout(store, directory, {}));
  return Choose(store, images, tag, directory);
}

}  // namespace

Result<NamedContext> OpenNamedContext(Store& store, const std::string& value,
                                      const std::string& scratch,
                                      const std::function<bool()>& cancelled) {
  for (const std::string scheme : {"docker-image://", "container-image://"}) {
    if (value.starts_with(scheme)) return OfStore(store, value.substr(scheme.size()));
  }
  constexpr std::string_view kLayout = "oci-layout://";
  if (value.starts_with(kLayout)) return OfLayout(store, value.substr(kLayout.size()));
  NamedContext context;
  if (IsGitSource(value)) {
    TRY_ASSIGN(const GitSource source, ParseGitSource(value));
    TRY_ASSIGN(context.directory, FetchGit(source, scratch, {"", cancelled}));
    return context;
  }
  if (IsHttpSource(value)) {
    TRY_ASSIGN(const FetchedFile fetched, FetchFile(value, scratch, {"", cancelled}));
    TRY_ASSIGN(const UniqueFd file, OpenAt(AT_FDCWD, fetched.path, O_RDONLY));
    context.directory = scratch + "/context";
    TRY(EnsureDir(AT_FDCWD, context.directory, 0700));
    TRY(UnpackContext("", file.get(), context.directory));
    return context;
  }
  char real[PATH_MAX];
  struct stat st;
  if (realpath(value.c_str(), real) == nullptr || stat(real, &st) != 0)
    return Errno("build context " + value);
  if (S_ISDIR(st.st_mode)) {
    context.directory = real;
    TRY_ASSIGN(const std::string text, ReadIgnoreFile({.is_input = true}, context.directory));
    TRY_ASSIGN(IgnoreMatcher matcher, IgnoreMatcher::Parse(ReadIgnorePatterns(text)));
    if (!matcher.empty())
      context.ignore = std::make_shared<const IgnoreMatcher>(std::move(matcher));
    return context;
  }
  TRY_ASSIGN(const UniqueFd file, OpenAt(AT_FDCWD, real, O_RDONLY));
  TRY_ASSIGN(const std::vector<LoadedImage> images, LoadArchive(store, file.get(), {}));
  return Choose(store, images, "", value);
}

}  // namespace veneer::build
