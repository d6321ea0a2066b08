#include "tools/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <chrono>

#include "tools/units.h"

namespace veneer::tools {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kRedrawEvery = kSecond / 10;
constexpr int64_t kNoRateBefore = kSecond / 2;

int64_t MonotonicNanos() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

int TerminalColumns(int fd) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

// A line that cannot be written is no reason to fail the work.
void Write(int fd, const std::string& text) { (void)!write(fd, text.data(), text.size()); }

}  // namespace

std::string ProgressLine(std::string_view what, uint64_t bytes, uint64_t total,
                         int64_t elapsed_nanos, int columns) {
  std::string line;
  for (const char c : what) {
    const auto byte = static_cast<unsigned char>(c);
    line.push_back(byte < 0x20 || byte == 0x7F ? '?' : c);
  }
  line += "  " + HumanSize(bytes);
  if (total > 0) line += " / " + HumanSize(total);
  if (elapsed_nanos >= kNoRateBefore) {
    const double rate = static_cast<double>(bytes) * kSecond / static_cast<double>(elapsed_nanos);
    line += "  " + HumanSize(static_cast<uint64_t>(rate)) + "/s";
  }
  // One column stays free: writing in the last one wraps on some terminals.
  return columns > 1 ? Ellipsis(line, columns - 1) : line;
}

Progress::Progress(bool quiet, int fd) : fd_(fd), shown_(!quiet && isatty(fd) == 1) {}

Progress::~Progress() { Done(); }

void Progress::Start(std::string_view what, uint64_t total_bytes) {
  bytes_.store(0, std::memory_order_relaxed);
  if (!shown_) return;
  const MutexLock lock(mu_);
  what_ = what;
  total_ = total_bytes;
  started_ = MonotonicNanos();
  active_ = true;
  Draw(started_);
}

void Progress::Add(uint64_t bytes) {
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (!shown_) return;
  const int64_t now = MonotonicNanos();
  int64_t due = next_draw_.load(std::memory_order_relaxed);
  // Whoever moves the time forward draws; the others go on.
  if (now < due || !next_draw_.compare_exchange_strong(due, now + kRedrawEvery)) return;
  const MutexLock lock(mu_);
  if (active_) Draw(now);
}

void Progress::Done() {
  if (!shown_) return;
  const MutexLock lock(mu_);
  active_ = false;
  ClearLine();
}

void Progress::Draw(int64_t now) {
  next_draw_.store(now + kRedrawEvery, std::memory_order_relaxed);
  const std::string line =
      ProgressLine(what_, bytes(), total_, now - started_, TerminalColumns(fd_));
  Write(fd_, "\r" + line + "\x1b[K");
  drawn_ = true;
}

void Progress::ClearLine() {
  if (drawn_) Write(fd_, "\r\x1b[K");
  drawn_ = false;
}

}  // namespace veneer::tools
