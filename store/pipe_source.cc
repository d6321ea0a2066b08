#include "store/pipe_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <new>

namespace veneer {

PipeSource::PipeSource(std::function<Result<>(ByteSink&)> produce) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    outcome_ = Errno("pipe");
    return;
  }
  read_end_.Reset(fds[0]);
  source_ = std::make_unique<FdSource>(fds[0]);
  producer_ = std::thread([this, write_end = fds[1], produce = std::move(produce)] {
    UniqueFd fd(write_end);
    FdSink sink(fd.get());
    try {
      outcome_ = produce(sink);
    } catch (const std::bad_alloc&) {
      outcome_ = Fail(ENOMEM, "rebuild");
    }
  });
}

PipeSource::~PipeSource() {
  read_end_.Reset();  // a producer that still writes gets EPIPE (SIGPIPE is ignored by every
                      // program of ours)
  if (producer_.joinable()) producer_.join();
}

Result<std::string_view> PipeSource::Next() {
  if (!source_) return std::unexpected(outcome_.error());
  return source_->Next();
}

Result<> PipeSource::Join() {
  if (producer_.joinable()) {
    read_end_.Reset();
    producer_.join();
  }
  return outcome_;
}

}  // namespace veneer
