#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>

#include "bench/worker/worker.h"

namespace veneer::bench {

void LookupsMeanwhile(const std::string& root, const std::string& dir, uint64_t pause,
                      const std::string& file, const std::vector<std::string>& command) {
  int dirfd = open((root + "/" + dir).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dirfd < 0) Die(dir);
  std::atomic<bool> done{false};
  double seconds = 0;
  std::thread busy([&] {
    Stopwatch watch;
    if (command.empty()) {
      FirstWrite(root + "/" + file);  // which ends when its copy does
    } else {
      Run(command);
    }
    seconds = watch.Seconds();
    done = true;
  });
  prctl(PR_SET_TIMERSLACK, 1UL);  // nanosecond: else pauses are 50 microseconds longer
  std::vector<double> took;
  struct stat st;
  // Where the copy is a clone it is over before the first lookup: a few are made in any case.
  for (uint64_t i = 0; !done || i < 100; ++i) {
    std::string name = "nobody-asked-" + std::to_string(i);
    Stopwatch watch;
    if (fstatat(dirfd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) Die(name);
    took.push_back(watch.Seconds());
    std::this_thread::sleep_for(std::chrono::microseconds(pause));
  }
  busy.join();
  std::sort(took.begin(), took.end());
  auto percentile = [&](double part) {
    return took[std::min(took.size() - 1,
                         static_cast<size_t>(part * static_cast<double>(took.size())))];
  };
  std::printf(
      "{\"copy\": %.6f, \"lookups\": %zu, \"p50\": %.9f, \"p99\": %.9f, \"p99.9\": %.9f, \"max\": "
      "%.9f}\n",
      seconds, took.size(), percentile(0.5), percentile(0.99), percentile(0.999), took.back());
}

}  // namespace veneer::bench
