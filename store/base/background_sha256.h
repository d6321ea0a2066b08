// BackgroundSha256: a SHA-256 that a second thread computes, for streams whose reader has other
// work to do. Short ones are hashed where they are read. Not thread-safe: one thread at a time
// calls it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/mutex.h"
#include "store/base/result.h"
#include "store/base/worker.h"

namespace veneer {

class BackgroundSha256 {
 public:
  Result<> Update(std::string_view data);  // copies; waits while the other thread is far behind
  Result<Digest> Finish();                 // ends the computation; nothing may follow

 private:
  static constexpr size_t kPiece = 256 << 10;
  static constexpr size_t kMaxWaiting = 8;

  Result<> Give();

  Sha256 hash_;
  std::string piece_;  // not yet given to the thread
  Mutex mu_;
  std::vector<std::string> free_ GUARDED_BY(mu_);  // pieces to use again: their memory is there
  Worker worker_{kMaxWaiting};
};

}  // namespace veneer
