#include "store/base/background_sha256.h"

#include <algorithm>
#include <utility>

namespace veneer {

Result<> BackgroundSha256::Update(std::string_view data) {
  while (!data.empty()) {
    size_t n = std::min(data.size(), kPiece - piece_.size());
    piece_.append(data.substr(0, n));
    data.remove_prefix(n);
    if (piece_.size() == kPiece) TRY(Give());
  }
  return {};
}

Result<> BackgroundSha256::Give() {
  TRY(worker_.Give([this, piece = std::move(piece_)]() mutable -> Result<> {
    hash_.Update(piece);
    piece.clear();
    MutexLock lock(mu_);
    free_.push_back(std::move(piece));
    return {};
  }));
  MutexLock lock(mu_);
  if (free_.empty()) {
    piece_ = std::string();
    piece_.reserve(kPiece);
  } else {
    piece_ = std::move(free_.back());
    free_.pop_back();
  }
  return {};
}

Result<Digest> BackgroundSha256::Finish() {
  TRY(worker_.Finish());
  hash_.Update(piece_);
  return hash_.Finish();
}

}  // namespace veneer
