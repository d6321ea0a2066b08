#include "tools/build/log/tty_log.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <utility>

#include "tools/build/log/tty_frame.h"

namespace veneer::build {
namespace {

constexpr std::chrono::milliseconds kRedrawEvery{100};
constexpr std::string_view kHideCursor = "\x1b[?25l";
constexpr std::string_view kShowCursor = "\x1b[?25h";
constexpr std::string_view kEraseLineEnd = "\x1b[K";
constexpr std::string_view kEraseBelow = "\x1b[J";
// Of a failed vertex more is kept than the plain log has: there it can be read above.
constexpr size_t kTailLines = 100;

// Of the terminal; what BuildKit assumes where nobody knows.
std::pair<int, int> ColumnsAndRows(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {80, 10};
  return {size.ws_col, size.ws_row};
}

}  // namespace

TtyLog::TtyLog(int fd, LogClock clock, bool colours)
    : VertexLog(fd, std::move(clock), kTailLines), colours_(colours), began_(clock_()) {
  ticker_ = std::make_unique<Ticker>(kRedrawEvery, [this] { Tick(); });
}

TtyLog::~TtyLog() = default;

void TtyLog::OnAdd(Vertex) { changed_ = true; }
void TtyLog::OnStart(Vertex) { changed_ = true; }
void TtyLog::OnOutput(Vertex, std::string_view, bool) { changed_ = true; }
void TtyLog::OnEnd(Vertex) { changed_ = true; }

std::string TtyLog::Picture(bool last) {
  const auto [columns, rows] = ColumnsAndRows(fd_);
  const std::vector<std::string> lines = FrameLines(vertexes_, {.columns = columns,
                                                                .rows = rows,
                                                                .colours = colours_,
                                                                .began = began_,
                                                                .now = clock_(),
                                                                .last = last});
  std::string out(kHideCursor);
  if (drawn_ > 0) out += fmt::format("\x1b[{}A\r", drawn_);
  for (const std::string& line : lines) {
    out += line;
    out += kEraseLineEnd;
    out += '\n';
  }
  out += kEraseBelow;
  out += kShowCursor;
  drawn_ = lines.size();
  return out;
}

void TtyLog::Tick() {
  std::string picture;
  {
    const MutexLock lock(mu_);
    // The times of those that run change by themselves.
    if (!std::exchange(changed_, false) && std::ranges::none_of(vertexes_, &VertexRecord::Running))
      return;
    picture = Picture(false);
  }
  Write(picture);  // without the lock: a terminal that was stopped (Ctrl-S) stops no build
}

void TtyLog::Finish() {
  ticker_.reset();  // from here on nobody else writes
  VertexLog::Finish();
}

void TtyLog::OnFinish() { Write(Picture(true) + ErrorBlocks() + WarningBlock(colours_)); }

}  // namespace veneer::build
