#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "bench/worker/worker.h"
#include "fs/control.h"

namespace veneer::bench {
namespace {

constexpr uint64_t kPage = 4096;

int OpenFile(const std::string& file, int flags) {
  int fd = open(file.c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0) Die(file);
  return fd;
}

uint64_t SizeOf(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0) Die("fstat");
  return static_cast<uint64_t>(st.st_size);
}

// Until nothing is being copied up in the background of the mount that has `file`. Other
// filesystems than ours know no such thing, nor the question, which is put to the root of a mount.
void AwaitCopies(const std::string& file) {
  for (std::filesystem::path dir = std::filesystem::absolute(file).parent_path();;
       dir = dir.parent_path()) {
    int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) Die(dir);
    fs::control::Stats stats = {};
    int asked = ioctl(fd, fs::control::kStats, &stats);
    while (asked == 0 && stats.copying > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      asked = ioctl(fd, fs::control::kStats, &stats);
    }
    close(fd);
    if (asked == 0 || dir == dir.root_path()) return;
  }
}

// Reads one byte of each page that `next` names, of a mapping of the whole file.
template <typename Next>
double Touch(const std::string& file, uint64_t count, Next next) {
  int fd = OpenFile(file, O_RDONLY);
  uint64_t pages = SizeOf(fd) / kPage;
  if (count == 0) count = pages;
  Stopwatch watch;
  void* mapped = mmap(nullptr, pages * kPage, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) Die("mmap");
  const volatile char* bytes = static_cast<const char*>(mapped);
  unsigned sum = 0;
  for (uint64_t i = 0; i < count; ++i)
    sum += static_cast<unsigned char>(bytes[next(i, pages) * kPage]);
  (void)sum;
  munmap(mapped, pages * kPage);
  close(fd);
  return watch.Seconds();
}

}  // namespace

double SequentialRead(const std::string& file, uint64_t block) {
  std::vector<char> buffer(block);
  Stopwatch watch;
  int fd = OpenFile(file, O_RDONLY);
  ssize_t n;
  while ((n = read(fd, buffer.data(), buffer.size())) > 0) {
  }
  if (n < 0) Die(file);
  close(fd);
  return watch.Seconds();
}

double RandomRead(const std::string& file, uint64_t count) {
  char buffer[kPage];
  Random random(7);
  Stopwatch watch;
  int fd = OpenFile(file, O_RDONLY);
  uint64_t pages = SizeOf(fd) / kPage;
  for (uint64_t i = 0; i < count; ++i) {
    off_t at = static_cast<off_t>(random.Below(pages) * kPage);
    if (pread(fd, buffer, kPage, at) != static_cast<ssize_t>(kPage)) Die(file);
  }
  close(fd);
  return watch.Seconds();
}

double MappedRead(const std::string& file) {
  return Touch(file, 0, [](uint64_t i, uint64_t) { return i; });
}

double MappedRandomRead(const std::string& file, uint64_t count) {
  Random random(9);
  return Touch(file, count, [&](uint64_t, uint64_t pages) { return random.Below(pages); });
}

double FirstWrite(const std::string& file) {
  Stopwatch watch;
  int fd = OpenFile(file, O_WRONLY);
  if (pwrite(fd, "x", 1, 0) != 1 || close(fd) != 0) Die(file);
  const double seconds = watch.Seconds();
  AwaitCopies(file);
  return seconds;
}

double SequentialWrite(const std::string& file, uint64_t size) {
  std::vector<char> buffer(128 << 10, 'x');
  Stopwatch watch;
  int fd = OpenFile(file, O_WRONLY | O_CREAT | O_TRUNC);
  for (uint64_t written = 0; written < size; written += buffer.size()) {
    if (write(fd, buffer.data(), buffer.size()) != static_cast<ssize_t>(buffer.size())) Die(file);
  }
  if (close(fd) != 0) Die(file);
  return watch.Seconds();
}

double RandomWrite(const std::string& file, uint64_t count) {
  char buffer[kPage] = {'y'};
  Random random(5);
  int fd = OpenFile(file, O_WRONLY);
  uint64_t pages = SizeOf(fd) / kPage;
  Stopwatch watch;
  for (uint64_t i = 0; i < count; ++i) {
    off_t at = static_cast<off_t>(random.Below(pages) * kPage);
    if (pwrite(fd, buffer, kPage, at) != static_cast<ssize_t>(kPage)) Die(file);
  }
  if (close(fd) != 0) Die(file);
  return watch.Seconds();
}

double ChangeMode(const std::string& file) {
  struct stat st;
  if (stat(file.c_str(), &st) != 0) Die(file);
  Stopwatch watch;
  if (chmod(file.c_str(), (st.st_mode & 07777) ^ 0011) != 0) Die(file);
  return watch.Seconds();
}

}  // namespace veneer::bench
