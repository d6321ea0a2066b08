#include "store/archive/canonical_tar.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "store/archive/pax_records.h"
#include "store/archive/tar_header.h"

namespace veneer {

namespace {

constexpr uint64_t kMaxOctal7 = 07777777;       // what eight bytes hold
constexpr uint64_t kMaxOctal11 = 077777777777;  // what twelve bytes hold

// What stands in a header whose PAX record says it better, for people who look at the bytes.
std::string AsciiPart(std::string_view s) {
  std::string out(s.substr(0, tar_fields::kName.length));
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '_');
  return out;
}

struct SplitName {
  std::string_view prefix, name;
};

// How ustar says a path, if it can. Bytes that are not ASCII are left as they are: every reader
// takes them raw from there, whereas a PAX record that is not UTF-8 makes some complain.
std::optional<SplitName> SplitPath(std::string_view path) {
  if (path.size() <= tar_fields::kName.length) return SplitName{.prefix = {}, .name = path};
  // The latest slash that leaves a name and is not too late for the prefix.
  size_t slash =
      path.substr(0, std::min(path.size() - 1, tar_fields::kPrefix.length + 1)).rfind('/');
  if (slash == path.npos || slash == 0) return std::nullopt;
  SplitName split{.prefix = path.substr(0, slash), .name = path.substr(slash + 1)};
  if (split.name.size() > tar_fields::kName.length) return std::nullopt;
  return split;
}

std::string FormatTime(int64_t seconds, uint32_t nanoseconds) {
  std::string sign;
  auto whole = static_cast<uint64_t>(seconds);
  if (seconds < 0) {
    sign = "-";
    whole = -whole;
    if (nanoseconds > 0) {  // which count forward from `seconds`
      --whole;
      nanoseconds = 1'000'000'000 - nanoseconds;
    }
  }
  std::string text = fmt::format("{}{}", sign, whole);
  if (nanoseconds == 0) return text;
  text += fmt::format(".{:09}", nanoseconds);
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

char TypeFlag(const TarEntry& entry) {
  if (entry.kind == TarEntry::Kind::kHardLink) return '1';
  switch (entry.attr.mode & S_IFMT) {
    case S_IFREG:
      return '0';
    case S_IFLNK:
      return '2';
    case S_IFCHR:
      return '3';
    case S_IFBLK:
      return '4';
    case S_IFDIR:
      return '5';
    case S_IFIFO:
      return '6';
    default:
      return '\0';
  }
}

// One header block in the making.
class Block {
 public:
  Block(char type, uint32_t permissions) : bytes_(kTarBlock, '\0') {
    bytes_[tar_fields::kType] = type;
    Text({.offset = tar_fields::kMagic, .length = 8}, std::string_view("ustar\00000", 8));
    Octal(tar_fields::kMode, permissions);
    for (TarField f : {tar_fields::kUid, tar_fields::kGid, tar_fields::kSize, tar_fields::kMtime,
                       tar_fields::kDevMajor, tar_fields::kDevMinor}) {
      Octal(f, 0);
    }
  }
  void Text(TarField field, std::string_view text) {
    text = text.substr(0, field.length);
    bytes_.replace(field.offset, text.size(), text);
  }
  void Octal(TarField field, uint64_t value) {
    Text(field, fmt::format("{:0{}o}", value, field.length - 1));
  }
  const std::string& Finish() {
    Text(tar_fields::kChecksum, std::string(tar_fields::kChecksum.length, ' '));
    uint64_t sum = 0;
    for (char c : bytes_) sum += static_cast<unsigned char>(c);
    Text(tar_fields::kChecksum, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
    return bytes_;
  }

 private:
  std::string bytes_;
};

class UstarWriter : public CanonicalTarWriter {
 public:
  UstarWriter(ByteSink& literal, ByteSink& payload) : literal_(literal), payload_(payload) {}

  Result<> WriteEntry(const TarEntry& entry) override {
    if (left_ != 0) return Fail(EINVAL, "tar: content is missing");
    const tree::Attributes& attr = entry.attr;
    char type = TypeFlag(entry);
    if (type == '\0') return Fail(EINVAL, "tar: a type of file it cannot carry");
    std::string path = entry.path;
    if (type == '5' && !path.ends_with('/')) path += '/';
    bool link = type == '1' || type == '2';
    if (path.empty() || path.find('\0') != path.npos ||
        (link && (entry.link_target.empty() || entry.link_target.find('\0') != path.npos))) {
      return Fail(EINVAL, "tar: a name it cannot carry");
    }

    TRY(WritePadding());
    std::map<std::string, std::string> pax;
    Block block(type, attr.mode & 07777);
    auto number = [&](TarField field, const char* key, uint64_t value, uint64_t max) {
      if (value <= max) {
        block.Octal(field, value);
      } else {
        pax[key] = fmt::format("{}", value);
      }
    };
    if (auto split = SplitPath(path)) {
      block.Text(tar_fields::kPrefix, split->prefix);
      block.Text(tar_fields::kName, split->name);
    } else {
      block.Text(tar_fields::kName, AsciiPart(path));
      pax["path"] = path;
    }
    if (link) {
      if (entry.link_target.size() <= tar_fields::kLinkName.length) {
        block.Text(tar_fields::kLinkName, entry.link_target);
      } else {
        block.Text(tar_fields::kLinkName, AsciiPart(entry.link_target));
        pax["linkpath"] = entry.link_target;
      }
    }
    number(tar_fields::kUid, "uid", attr.uid, kMaxOctal7);
    number(tar_fields::kGid, "gid", attr.gid, kMaxOctal7);
    left_ = type == '0' ? attr.size : 0;
    padding_ = -left_ % kTarBlock;
    number(tar_fields::kSize, "size", left_, kMaxOctal11);
    if (attr.mtime_sec >= 0 && static_cast<uint64_t>(attr.mtime_sec) <= kMaxOctal11) {
      block.Octal(tar_fields::kMtime, static_cast<uint64_t>(attr.mtime_sec));
      if (attr.mtime_nsec != 0) pax["mtime"] = FormatTime(attr.mtime_sec, attr.mtime_nsec);
    } else {
      pax["mtime"] = FormatTime(attr.mtime_sec, attr.mtime_nsec);
    }
    if (type == '3' || type == '4') {
      if (attr.rdev_major > kMaxOctal7 || attr.rdev_minor > kMaxOctal7) {
        return Fail(EINVAL, "tar: a device number it cannot carry");
      }
      block.Octal(tar_fields::kDevMajor, attr.rdev_major);
      block.Octal(tar_fields::kDevMinor, attr.rdev_minor);
    }
    // A hard link's attributes are those of the file it names.
    if (type != '1') {
      for (const tree::Xattr& x : entry.xattrs) {
        if (x.name.empty() || x.name.find_first_of(std::string_view("=\0", 2)) != x.name.npos) {
          return Fail(EINVAL, "tar: an xattr name it cannot carry");
        }
        pax["SCHILY.xattr." + x.name] = x.value;
      }
    }
    if (!pax.empty()) TRY(WritePax(path, pax));
    return literal_.Write(block.Finish());
  }

  Result<> WriteContent(std::string_view data) override {
    if (data.empty()) return {};
    if (data.size() > left_) return Fail(EINVAL, "tar: more content than the entry's size");
    TRY(payload_.Write(data));
    left_ -= data.size();
    return {};
  }

  Result<> Finish() override {
    if (left_ != 0) return Fail(EINVAL, "tar: content is missing");
    TRY(WritePadding());
    return literal_.Write(std::string(2 * kTarBlock, '\0'));
  }

 private:
  Result<> WritePax(std::string_view path, const std::map<std::string, std::string>& records) {
    std::string body;
    for (const auto& [key, value] : records) AppendPaxRecord(body, key, value);
    while (path.ends_with('/')) path.remove_suffix(1);
    Block block('x', 0644);
    block.Text(tar_fields::kName,
               "PaxHeaders.0/" + AsciiPart(path.substr(path.find_last_of('/') + 1)));
    block.Octal(tar_fields::kSize, body.size());
    TRY(literal_.Write(block.Finish()));
    body.append(-body.size() % kTarBlock, '\0');
    return literal_.Write(body);
  }

  Result<> WritePadding() {
    if (padding_ == 0) return {};
    return literal_.Write(std::string(std::exchange(padding_, 0), '\0'));
  }

  ByteSink& literal_;
  ByteSink& payload_;
  uint64_t left_ = 0;     // of the current file's content
  uint64_t padding_ = 0;  // due after it
};

}  // namespace

Result<std::unique_ptr<CanonicalTarWriter>> CanonicalTarWriter::Create(ByteSink& literal,
                                                                       ByteSink& payload) {
  return std::make_unique<UstarWriter>(literal, payload);
}

}  // namespace veneer
