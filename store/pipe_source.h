// PipeSource: a ByteSource fed by a function that writes, run in a thread of its own, through a
// pipe.
#pragma once

#include <functional>
#include <thread>

#include "store/archive/byte_stream.h"
#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer {

class PipeSource : public ByteSource {
 public:
  explicit PipeSource(std::function<Result<>(ByteSink&)> produce);
  ~PipeSource() override;

  Result<std::string_view> Next() override;
  // Waits for the producer; its error, if it had one. REQUIRES: Next() returned empty, or nobody
  // reads on.
  Result<> Join();

 private:
  UniqueFd read_end_;
  std::thread producer_;
  Result<> outcome_;
  std::unique_ptr<FdSource> source_;
};

}  // namespace veneer
