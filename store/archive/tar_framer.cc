#include "store/archive/tar_framer.h"

#include <fmt/format.h>

#include <algorithm>

namespace veneer {

namespace {

constexpr uint64_t kMaxExtension = uint64_t{1} << 20;  // libarchive's own limit
constexpr size_t kMaxPath = size_t{64} << 10;
constexpr uint32_t kMaxExtensions = 30;  // before one entry; libarchive gives up at 32
// libarchive keeps a list of a sparse file's extents; this bounds it to some 40 MB.
constexpr uint64_t kMaxSparseExtents = uint64_t{1} << 19;
constexpr uint32_t kMaxMapDigits = 19;

uint64_t PaddingOf(uint64_t size) { return -size % kTarBlock; }

// libarchive takes unknown types for regular files, as POSIX asks.
TarFrame::Kind KindOf(char type) {
  switch (type) {
    case '1':
      return TarFrame::Kind::kHardLink;
    case '2':
      return TarFrame::Kind::kSymlink;
    case '3':
      return TarFrame::Kind::kCharDevice;
    case '4':
      return TarFrame::Kind::kBlockDevice;
    case '5':
    case 'D':
      return TarFrame::Kind::kDirectory;
    case '6':
      return TarFrame::Kind::kFifo;
    default:
      return TarFrame::Kind::kRegular;
  }
}

std::string UntilNul(std::string_view s) { return std::string(s.substr(0, s.find('\0'))); }

}  // namespace

std::string QuoteTarPath(std::string_view path) {
  constexpr size_t kShown = 200;
  std::string out = "\"";
  for (char c : path.substr(0, kShown)) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c >= ' ' && c < 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out + (path.size() > kShown ? "...\"" : "\"");
}

std::unexpected<Error> TarFramer::Bad(std::string_view what) const {
  std::string where = frame_.path.empty() ? "" : " (" + QuoteTarPath(frame_.path) + ")";
  return Invalid(fmt::format("tar entry at offset {}{}: {}", frame_.start, where, what), EBADMSG);
}

void TarFramer::Expect(State state, uint64_t bytes) {
  state_ = state;
  left_ = bytes;
  collected_.clear();
}

Result<> TarFramer::Feed(std::string_view chunk) {
  while (!chunk.empty()) {
    if (state_ == State::kEnd) left_ = chunk.size();
    size_t n = std::min<uint64_t>(left_, chunk.size());
    if (state_ == State::kSparseMap) n = 1;
    std::string_view part = chunk.substr(0, n);
    chunk.remove_prefix(n);
    position_ += n;
    left_ -= n;
    if (state_ != State::kPayload) literals_ += part;
    switch (state_) {
      case State::kHeader:
      case State::kExtension:
      case State::kSparseBlock:
        collected_ += part;
        break;
      case State::kSparseMap:
        TRY(FeedSparseMap(part[0]));
        continue;
      default:
        break;
    }
    if (left_ != 0) continue;
    switch (state_) {
      case State::kHeader:
        TRY(OnHeader());
        break;
      case State::kExtension:
        TRY(OnExtension());
        break;
      case State::kSparseBlock: {
        SparseExtension more = ParseSparseExtension(collected_);
        TRY(CountSparseExtents(more.extents));
        if (more.continues) {
          Expect(State::kSparseBlock, kTarBlock);
        } else {
          BeginBody(stored_);
        }
        break;
      }
      case State::kSparseMap:
        break;
      case State::kSparseMapRest:
        BeginBody(stored_ - map_bytes_);
        break;
      case State::kPayload:
      case State::kLiteralBody:
        BeginPadding();
        break;
      case State::kPadding:
        Expect(State::kHeader, kTarBlock);
        break;
      case State::kEnd:
        break;
    }
  }
  return {};
}

Result<> TarFramer::End() const {
  if (state_ == State::kEnd) return {};
  if (state_ == State::kHeader && collected_.empty() && !needs_entry_) return {};
  return Invalid(fmt::format("the tar is truncated: it ends at offset {}", position_), EBADMSG);
}

Result<> TarFramer::OnHeader() {
  if (!in_entry_) {
    frame_ = TarFrame();
    frame_.start = position_ - kTarBlock;
    in_entry_ = true;
    needs_entry_ = false;
    extensions_ = 0;
    long_path_.reset();
    long_link_.reset();
    pax_.reset();
  }
  if (IsZeroBlock(collected_)) {
    if (needs_entry_) return Bad("an extension header without an entry");
    in_entry_ = false;
    state_ = State::kEnd;
    return {};
  }
  Result<TarHeader> header = ParseTarHeader(collected_);
  if (!header) return Bad(header.error().context());
  switch (header->type) {
    case 'x':
    case 'X':
    case 'g':
    case 'L':
    case 'K':
      if (header->size > kMaxExtension) return Bad("an extension header of more than 1 MiB");
      if (++extensions_ > kMaxExtensions) return Bad("too many extension headers");
      if (header->type != 'g') needs_entry_ = true;
      if (header->type != 'L' && header->type != 'K') pax_archive_ = true;
      extension_type_ = header->type;
      extension_size_ = header->size;
      if (header->size == 0) {
        collected_.clear();
        return OnExtension();
      }
      Expect(State::kExtension, header->size + PaddingOf(header->size));
      return {};
    case 'V':
      if (header->size != 0) return Bad("a volume header with a body");
      if (++extensions_ > kMaxExtensions) return Bad("too many extension headers");
      Expect(State::kHeader, kTarBlock);
      return {};
    case 'M':
      return Bad("the rest of a file from another volume");
    case 'N':
      return Bad("an old GNU table of names");
    case 'A':
      return Bad("a Solaris ACL header");
    default:
      return OnEntry(*header);
  }
}

Result<> TarFramer::OnExtension() {
  std::string_view body = std::string_view(collected_).substr(0, extension_size_);
  auto repeated = [&] { return Bad("two extension headers of the same kind"); };
  switch (extension_type_) {
    case 'L':
      if (long_path_) return repeated();
      long_path_ = UntilNul(body);
      if (long_path_->empty()) return Bad("an empty long name");
      break;
    case 'K':
      if (long_link_) return repeated();
      long_link_ = UntilNul(body);
      if (long_link_->empty()) return Bad("an empty long link name");
      break;
    default: {
      Result<PaxRecords> records = ParsePaxRecords(body);
      if (!records) return Bad(records.error().context());
      if (extension_type_ == 'g') {
        // Global records are passed over, as libarchive and Go's archive/tar do; GNU tar heeds
        // them.
        if (records->path || records->link_path || records->size || records->any_sparse) {
          return Bad("a global PAX header with names or sizes");
        }
      } else {
        if (pax_) return repeated();
        pax_ = std::move(*records);
      }
    }
  }
  Expect(State::kHeader, kTarBlock);
  return {};
}

Result<> TarFramer::ChooseNames(const TarHeader& header) {
  auto choose = [this](std::string& to, const std::string& plain,
                       const std::optional<std::string>& gnu,
                       const std::optional<std::string>& pax) -> Result<> {
    if (gnu && pax && *gnu != *pax) return Bad("a GNU long name and a PAX name that differ");
    to = gnu ? *gnu : pax ? *pax : plain;
    if (to.size() > kMaxPath) return Bad("a name of more than 64 KiB");
    return {};
  };
  std::optional<std::string> pax_path, pax_link;
  if (pax_) {
    pax_path = pax_->sparse_path ? pax_->sparse_path : pax_->path;
    pax_link = pax_->link_path;
  }
  TRY(choose(frame_.path, header.path, long_path_, pax_path));
  bool link = frame_.kind == TarFrame::Kind::kHardLink || frame_.kind == TarFrame::Kind::kSymlink;
  if (!link && (long_link_ || pax_link)) return Bad("a link name for what is no link");
  if (link) TRY(choose(frame_.link_path, header.link_path, long_link_, pax_link));
  return {};
}

Result<uint64_t> TarFramer::StoredSize(const TarHeader& header) {
  std::optional<uint64_t> pax = pax_ ? pax_->size : std::nullopt;
  switch (header.type) {
    case '1':
      // POSIX lets a PAX hard link carry the file's content; older writers gave the size and no
      // content. This is libarchive's way to tell them apart.
      if (pax) return *pax;
      return pax_archive_ && header.dialect == TarDialect::kUstar ? header.size : 0;
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
      if (pax && *pax != 0) return Bad("a PAX size for what has no content");
      return 0;
    default:
      return pax ? *pax : header.size;
  }
}

Result<> TarFramer::OnEntry(const TarHeader& header) {
  if (header.dialect != TarDialect::kUstar) pax_archive_ = false;
  frame_.kind = KindOf(header.type);
  frame_.permissions = header.permissions;
  if (pax_) {
    frame_.uid = pax_->uid;
    frame_.gid = pax_->gid;
    frame_.mtime = pax_->mtime;
    frame_.acl_access = pax_->acl_access;
    frame_.acl_default = pax_->acl_default;
  }
  TRY(ChooseNames(header));
  TRY_ASSIGN(stored_, StoredSize(header));
  bool slash = frame_.path.ends_with('/');
  if (slash && frame_.kind == TarFrame::Kind::kRegular) {
    // The oldest tars have no type for directories.
    frame_.kind = TarFrame::Kind::kDirectory;
    if (stored_ != 0) return Bad("a directory with content");
  }
  if (slash && frame_.kind == TarFrame::Kind::kHardLink && stored_ != 0) {
    return Bad("a directory with content");
  }
  if (header.type == 'S' || header.has_sparse_fields || (pax_ && pax_->any_sparse)) {
    return OnSparse(header, stored_);
  }
  BeginBody(stored_);
  return {};
}

Result<> TarFramer::OnSparse(const TarHeader& header, uint64_t stored) {
  bool old_gnu = header.type == 'S';
  bool pax = pax_ && pax_->any_sparse;
  if (frame_.kind != TarFrame::Kind::kRegular || old_gnu == pax ||
      (old_gnu && header.dialect != TarDialect::kGnu) ||
      (pax && (header.type != '0' || header.old_regular || header.has_sparse_fields))) {
    return Bad("sparse file fields where they do not belong");
  }
  frame_.sparse = true;
  sparse_extents_ = 0;
  if (old_gnu) {
    TRY(CountSparseExtents(header.sparse_extents));
    if (header.sparse_continues) {
      // libarchive does not look at the extension blocks when the header itself has no extent.
      if (header.sparse_extents == 0) return Bad("a sparse map that begins in its extension");
      Expect(State::kSparseBlock, kTarBlock);
    } else {
      BeginBody(stored);
    }
    return {};
  }
  if (!pax_->sparse_major && !pax_->sparse_minor) {
    if (!pax_->sparse_map) return Bad("a sparse file without a map");
    BeginBody(stored);
    return {};
  }
  if (pax_->sparse_major != 1u || pax_->sparse_minor != 0u || pax_->sparse_map) {
    return Bad("an unknown sparse file format");
  }
  map_bytes_ = map_number_ = map_numbers_left_ = 0;
  map_digits_ = 0;
  map_counted_ = false;
  if (stored == 0) return Bad("a sparse file without a map");
  Expect(State::kSparseMap, stored);
  return {};
}

Result<> TarFramer::CountSparseExtents(uint64_t more) {
  sparse_extents_ += more;
  if (more > kMaxSparseExtents || sparse_extents_ > kMaxSparseExtents) {
    return Bad("a sparse file of too many pieces");
  }
  return {};
}

// The map is lines of decimal numbers: how many extents, then an offset and a length for each.
Result<> TarFramer::FeedSparseMap(char c) {
  ++map_bytes_;
  if (c >= '0' && c <= '9') {
    if (++map_digits_ > kMaxMapDigits) return Bad("a number in the sparse map is too long");
    map_number_ = map_number_ * 10 + static_cast<uint64_t>(c - '0');
  } else if (c != '\n' || map_digits_ == 0) {
    return Bad("the sparse map is not made of numbers");
  } else {
    if (!map_counted_) {
      map_counted_ = true;
      TRY(CountSparseExtents(map_number_));
      map_numbers_left_ = 2 * map_number_;
    } else {
      --map_numbers_left_;
    }
    map_number_ = 0;
    map_digits_ = 0;
    if (map_numbers_left_ == 0) {
      uint64_t rest = PaddingOf(map_bytes_);
      if (rest > left_) return Bad("the sparse map is longer than the entry");
      map_bytes_ += rest;
      if (rest == 0) {
        BeginBody(stored_ - map_bytes_);
      } else {
        Expect(State::kSparseMapRest, rest);
      }
      return {};
    }
  }
  if (left_ == 0) return Bad("the sparse map is longer than the entry");
  return {};
}

void TarFramer::BeginBody(uint64_t stored) {
  frame_.body = position_;
  stored_ = stored;
  bool content = frame_.kind == TarFrame::Kind::kRegular;
  frame_.payload = content ? stored : 0;
  if (frame_.payload > 0) payload_marks_.push_back(literals_passed_ + literals_.size());
  frames_.push_back(std::move(frame_));
  in_entry_ = needs_entry_ = false;
  if (stored == 0) {
    BeginPadding();
  } else {
    Expect(content ? State::kPayload : State::kLiteralBody, stored);
  }
}

void TarFramer::BeginPadding() {
  // A 1.0 map ends on a block's border, so what is left of the body pads as the whole of it would.
  if (uint64_t padding = PaddingOf(stored_)) {
    Expect(State::kPadding, padding);
  } else {
    Expect(State::kHeader, kTarBlock);
  }
}

std::optional<TarFrame> TarFramer::TakeFrame() {
  if (frames_.empty()) return std::nullopt;
  TarFrame frame = std::move(frames_.front());
  frames_.pop_front();
  return frame;
}

std::string_view TarFramer::TakeLiterals() {
  // What the last call gave out is forgotten here; moving the rest only when it is the smaller part
  // keeps this linear.
  if (literals_taken_ >= literals_.size() - literals_taken_) {
    literals_.erase(0, literals_taken_);
    literals_passed_ += literals_taken_;
    literals_taken_ = 0;
  }
  size_t until = literals_.size();
  if (!payload_marks_.empty()) until = payload_marks_.front() - literals_passed_;
  std::string_view ready =
      std::string_view(literals_).substr(literals_taken_, until - literals_taken_);
  literals_taken_ = until;
  return ready;
}

void TarFramer::PassPayload() { payload_marks_.pop_front(); }

}  // namespace veneer
