#include "tools/build/dockerfile_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "store/base/unique_fd.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

constexpr size_t kMaxSize = 16 << 20;

Result<std::string> ReadAll(int fd, const std::string& name) {
  std::string text;
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Errno("read " + name);
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(got));
    if (text.size() > kMaxSize) return Invalid(name + ": larger than 16 MiB", EFBIG);
  }
}

Result<std::string> ReadFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return Errno("open " + path);
  struct stat status;
  struct statfs filesystem;
  if (fstat(fd.get(), &status) != 0 || fstatfs(fd.get(), &filesystem) != 0)
    return Errno("stat " + path);
  if (S_ISDIR(status.st_mode)) return Fail(EISDIR, "read " + path);
  // Nobody may ever write to one with a name; pipes without are a shell's <(...).
  if (S_ISFIFO(status.st_mode) && filesystem.f_type != PIPEFS_MAGIC)
    return Invalid(path + ": a FIFO cannot be read here");
  if (fcntl(fd.get(), F_SETFL, 0) != 0) return Errno("fcntl " + path);
  return ReadAll(fd.get(), path);
}

// The file, or nothing if there is none.
Result<std::optional<std::string>> ReadIfThere(const std::string& path) {
  Result<std::string> text = ReadFile(path);
  if (text) return std::move(*text);
  if (text.error().code() == ENOENT || text.error().code() == ENOTDIR) return std::nullopt;
  return std::unexpected(text.error());
}

}  // namespace

Result<DockerfileFile> ReadDockerfile(const std::string& file, const std::string& context) {
  DockerfileFile out;
  if (file == "-") {
    out.name = "Dockerfile";
    out.is_input = true;
    TRY_ASSIGN(out.text, ReadAll(STDIN_FILENO, "standard input"));
  } else {
    struct stat status;
    if (stat(context.c_str(), &status) != 0) return Errno("build context " + context);
    if (!S_ISDIR(status.st_mode)) return Fail(ENOTDIR, "build context " + context);
    const auto in_context = [&](const char* name) {
      return CleanPath((std::filesystem::path(context) / name).string());
    };
    std::string path = file.empty() ? in_context("Dockerfile") : file;
    TRY_ASSIGN(std::optional<std::string> text, ReadIfThere(path));
    if (!text && file.empty()) {
      TRY_ASSIGN(text, ReadIfThere(in_context("dockerfile")));
      if (text) path = in_context("dockerfile");
    }
    if (!text) return Fail(ENOENT, "open " + path);
    out.name = path;
    out.text = std::move(*text);
  }
  if (out.text.empty()) return Invalid("the Dockerfile cannot be empty");
  return out;
}

Result<std::string> ReadIgnoreFile(const DockerfileFile& file, const std::string& context) {
  if (!file.is_input) {
    TRY_ASSIGN(std::optional<std::string> own, ReadIfThere(file.name + ".dockerignore"));
    if (own) return std::move(*own);
  }
  TRY_ASSIGN(std::optional<std::string> common,
             ReadIfThere((std::filesystem::path(context) / ".dockerignore").string()));
  return std::move(common).value_or("");
}

}  // namespace veneer::build
