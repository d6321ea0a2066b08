#include "tools/build/copy/copy_key.h"

#include <sys/stat.h>

#include <cstdint>
#include <string_view>

#include "store/base/bytes.h"

namespace veneer::build {
namespace {

constexpr std::string_view kVersion = "veneer copy 1";

// Numbers have 8 bytes and texts their length before them, so nothing can be taken for another.
class KeyHash {
 public:
  void Number(uint64_t value) {
    AppendLE(pending_, value);
    if (pending_.size() >= kPiece) Flush();
  }
  void Text(std::string_view text) {
    Number(text.size());
    pending_ += text;
  }
  Digest Finish() {
    Flush();
    return hash_.Finish();
  }

 private:
  static constexpr size_t kPiece = 64 << 10;
  void Flush() {
    hash_.Update(pending_);
    pending_.clear();
  }

  Sha256 hash_;
  std::string pending_;
};

void AddEntry(const CopiedEntry& entry, bool only_content, KeyHash& key) {
  key.Number(entry.depth);
  key.Number(entry.implied ? 1 : 0);
  // What a source itself is called is the source's to say, and of a directory that gives its
  // content nothing is copied but that.
  if (entry.depth > 0) key.Text(entry.name());
  key.Number(entry.attr.mode & uint32_t{S_IFMT});
  if (only_content) return;
  key.Number(entry.attr.mode);
  key.Number(entry.attr.uid);
  key.Number(entry.attr.gid);
  key.Number(entry.attr.rdev_major);
  key.Number(entry.attr.rdev_minor);
  key.Number(entry.xattrs.size());
  for (const tree::Xattr& xattr : entry.xattrs) {
    key.Text(xattr.name);
    key.Text(xattr.value);
  }
  key.Text(entry.link_target);
  key.Number(entry.first_name + 1);  // kNone + 1 == 0
  if (!S_ISREG(entry.attr.mode)) return;
  key.Number(entry.attr.size);
  key.Text(entry.has_content() ? entry.content.digest.view() : std::string_view());
}

}  // namespace

Digest CopyKey(const CopyManner& manner, const std::vector<CopiedSource>& sources) {
  KeyHash key;
  key.Text(kVersion);
  key.Text(manner.destination);
  key.Number(manner.owner ? 1 : 0);
  if (manner.owner) {
    key.Number(manner.owner->uid);
    key.Number(manner.owner->gid);
  }
  key.Text(manner.chmod);
  key.Number(manner.parents ? 1 : 0);
  key.Number(manner.link ? 1 : 0);
  key.Number(sources.size());
  for (const CopiedSource& source : sources) {
    const bool is_directory = S_ISDIR(source.entries.front().attr.mode);
    key.Number(source.unpack ? 1 : 0);
    key.Number(source.contents_only ? 1 : 0);
    key.Text(is_directory || source.unpack ? std::string_view() : source.name);
    key.Number(source.entries.size());
    for (const CopiedEntry& entry : source.entries)
      AddEntry(entry, entry.depth == 0 && is_directory && source.contents_only, key);
  }
  return key.Finish();
}

}  // namespace veneer::build
