#include "tools/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <vector>

#include "store/base/unique_fd.h"

namespace veneer::tools {
namespace {

// A terminal of our own: what is written to `fd` can be read back.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)) {
    if (grantpt(master_.get()) != 0 || unlockpt(master_.get()) != 0) return;
    fd_ = UniqueFd(open(ptsname(master_.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    const winsize size{.ws_row = 24, .ws_col = 30, .ws_xpixel = 0, .ws_ypixel = 0};
    ioctl(fd_.get(), TIOCSWINSZ, &size);
  }
  int fd() const { return fd_.get(); }
  std::string Read() const {
    std::array<char, 65536> buffer{};
    const ssize_t size = read(master_.get(), buffer.data(), buffer.size());
    return size > 0 ? std::string(buffer.data(), size) : "";
  }

 private:
  UniqueFd master_;
  UniqueFd fd_;
};

TEST(Progress, ShowsWhatBytesAndRate) {
  constexpr int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(ProgressLine("loading layer", 0, 0, 0, 0), "loading layer  0B");
  EXPECT_EQ(ProgressLine("loading layer", 12300000, 124000000, kSecond / 4, 0),
            "loading layer  12.3MB / 124MB");
  EXPECT_EQ(ProgressLine("loading layer", 12300000, 124000000, 2 * kSecond, 0),
            "loading layer  12.3MB / 124MB  6.15MB/s");
  EXPECT_EQ(ProgressLine("a\x1b[2Jb", 0, 0, 0, 0), "a?[2Jb  0B");
  EXPECT_EQ(ProgressLine("a very long name", 5, 0, 0, 10), "a very l…");
}

TEST(Progress, IsSilentWhereNobodyLooks) {
  std::array<int, 2> pipe_fds{};
  ASSERT_EQ(pipe2(pipe_fds.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd reader(pipe_fds[0]);
  const UniqueFd writer(pipe_fds[1]);
  const Terminal terminal;
  ASSERT_GE(terminal.fd(), 0);
  for (const auto& [quiet, fd] : {std::pair(false, writer.get()), std::pair(true, terminal.fd())}) {
    Progress progress(quiet, fd);
    progress.Start("work", 10);
    progress.Add(10);
    EXPECT_EQ(progress.bytes(), 10U);
    progress.Done();
  }
  char c = 0;
  EXPECT_EQ(read(reader.get(), &c, 1), -1);
  EXPECT_EQ(terminal.Read(), "");
}

TEST(Progress, DrawsOnATerminalAndClearsAtTheEnd) {
  const Terminal terminal;
  ASSERT_GE(terminal.fd(), 0);
  {
    Progress progress(false, terminal.fd());
    progress.Start("loading", 2000);
    EXPECT_EQ(terminal.Read(), "\rloading  0B / 2kB\x1b[K");
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    progress.Add(1000);
    EXPECT_EQ(terminal.Read(), "\rloading  1kB / 2kB\x1b[K");
  }
  EXPECT_EQ(terminal.Read(), "\r\x1b[K");
}

TEST(Progress, CountsFromManyThreadsAndRedrawsSeldom) {
  const Terminal terminal;
  ASSERT_GE(terminal.fd(), 0);
  Progress progress(false, terminal.fd());
  progress.Start("w");
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20000; ++i) progress.Add(1);
      });
    }
  }
  const auto elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(progress.bytes(), 80000U);
  const std::string drawn = terminal.Read();
  EXPECT_LE(std::ranges::count(drawn, '\r'), 2 + elapsed / std::chrono::milliseconds(100));
}

}  // namespace
}  // namespace veneer::tools
