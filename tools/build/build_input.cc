#include "tools/build/build_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "store/base/beneath.h"
#include "store/base/unique_fd.h"
#include "tools/build/context_archive.h"
#include "tools/build/fetch.h"
#include "tools/build/language/copy_rules.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

constexpr size_t kLargestDockerfile = 16 << 20;
constexpr size_t kHead = 1024;  // enough to tell an archive

Result<std::string> Folder(const std::string& scratch, const char* name) {
  std::string path = scratch + "/" + name;
  TRY(EnsureDir(AT_FDCWD, path, 0755));
  return path;
}

// The Dockerfile and the ignore file of a context that was brought here.
Result<BuildInput> InContext(const std::string& file, std::string directory) {
  BuildInput input;
  if (file != "-") {
    const std::string path = CleanPath("/" + (file.empty() ? "Dockerfile" : file));
    TRY_ASSIGN(const UniqueFd root, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
    const auto found = OpenBeneath(root.get(), path.substr(1), O_RDONLY);
    if (!found) {
      return Invalid("failed to read dockerfile: open " + path.substr(1) + ": " +
                         strerror(found.error().code()),
                     found.error().code());
    }
    TRY_ASSIGN(input.dockerfile, ReadDockerfile(directory + path, directory));
    TRY_ASSIGN(input.ignore_text, ReadIgnoreFile(input.dockerfile, directory));
    input.dockerfile.name = path.substr(1);
  } else {
    TRY_ASSIGN(input.dockerfile, ReadDockerfile(file, directory));
    TRY_ASSIGN(input.ignore_text, ReadIgnoreFile(input.dockerfile, directory));
  }
  input.directory = std::move(directory);
  return input;
}

// An archive, or a Dockerfile without a context: which of them, its first bytes tell.
Result<BuildInput> FromStream(const std::string& file, int fd, const std::string& scratch) {
  std::string head(kHead, '\0');
  TRY_ASSIGN(const size_t size, ReadUpTo(fd, head.data(), head.size()));
  head.resize(size);
  if (LooksLikeArchive(head)) {
    TRY_ASSIGN(std::string directory, Folder(scratch, "context"));
    TRY(UnpackContext(head, fd, directory));
    return InContext(file, std::move(directory));
  }
  if (!file.empty() && file != "-")
    return Invalid("the build context is neither an archive nor a directory", EINVAL);
  BuildInput input;
  input.dockerfile.name = "Dockerfile";
  input.dockerfile.is_input = true;
  std::string& text = input.dockerfile.text;
  text = std::move(head);
  for (std::string more(1 << 16, '\0');;) {
    TRY_ASSIGN(const size_t n, ReadUpTo(fd, more.data(), more.size()));
    text.append(more, 0, n);
    if (text.size() > kLargestDockerfile) return Invalid("Dockerfile: larger than 16 MiB", EFBIG);
    if (n < more.size()) break;
  }
  if (text.empty()) return Invalid("the Dockerfile cannot be empty");
  return input;
}

}  // namespace

bool IsElsewhere(const std::string& context) {
  return context == "-" || IsGitSource(context) || IsHttpSource(context);
}

Result<BuildInput> OpenBuildInput(const std::string& file, const std::string& context,
                                  const std::string& scratch, bool keep_git_dir,
                                  const std::function<bool()>& cancelled) {
  if (context == "-") {
    if (file == "-")
      return Invalid("invalid argument: can't use stdin for both build context and dockerfile");
    return FromStream(file, STDIN_FILENO, scratch);
  }
  if (IsGitSource(context)) {
    TRY_ASSIGN(const GitSource source, ParseGitSource(context, keep_git_dir));
    TRY_ASSIGN(const std::string folder, Folder(scratch, "git"));
    TRY_ASSIGN(std::string directory, FetchGit(source, folder, {"", cancelled}));
    return InContext(file, std::move(directory));
  }
  if (IsHttpSource(context)) {
    TRY_ASSIGN(const FetchedFile fetched, FetchFile(context, scratch, {"", cancelled}));
    TRY_ASSIGN(const UniqueFd fd, OpenAt(AT_FDCWD, fetched.path, O_RDONLY));
    return FromStream(file, fd.get(), scratch);
  }
  BuildInput input;
  TRY_ASSIGN(input.dockerfile, ReadDockerfile(file, context));
  TRY_ASSIGN(input.ignore_text, ReadIgnoreFile(input.dockerfile, context));
  char real[PATH_MAX];
  if (realpath(context.c_str(), real) == nullptr) return Errno("build context " + context);
  input.directory = real;
  return input;
}

}  // namespace veneer::build
