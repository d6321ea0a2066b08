#include "store/image_reference.h"

#include <algorithm>
#include <array>
#include <string>

namespace veneer {
namespace {

constexpr std::string_view kDefaultDomain = "docker.io";
constexpr std::string_view kLegacyDefaultDomain = "index.docker.io";
constexpr std::string_view kOfficialPrefix = "library/";
constexpr std::string_view kDefaultTag = "latest";
constexpr size_t kMaxNameLength = 255;
constexpr size_t kMaxTagLength = 128;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsLowerAlnum(char c) { return IsLower(c) || IsDigit(c); }
bool IsAlnum(char c) { return IsLowerAlnum(c) || IsUpper(c); }
bool IsLowerHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); }
bool IsHex(char c) { return IsLowerHex(c) || (c >= 'A' && c <= 'F'); }
bool HasUpper(std::string_view text) { return std::ranges::any_of(text, IsUpper); }

template <typename Predicate>
bool AllOf(std::string_view text, Predicate is) {
  return !text.empty() && std::ranges::all_of(text, is);
}

// Calls `valid` on each part of `text` between separators; all must be.
template <typename Predicate>
bool EachPart(std::string_view text, char separator, Predicate valid) {
  while (true) {
    const size_t end = text.find(separator);
    if (!valid(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

// [a-zA-Z0-9], with dashes inside.
bool IsDomainComponent(std::string_view text) {
  const auto is_char = [](char c) { return IsAlnum(c) || c == '-'; };
  return AllOf(text, is_char) && text.front() != '-' && text.back() != '-';
}

bool IsDomain(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return false;
    if (!AllOf(text.substr(1, close - 1), [](char c) { return IsHex(c) || c == ':'; }))
      return false;
    const std::string_view port = text.substr(close + 1);
    return port.empty() || (port.front() == ':' && AllOf(port.substr(1), IsDigit));
  }
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    if (!AllOf(text.substr(colon + 1), IsDigit)) return false;
    text = text.substr(0, colon);
  }
  return EachPart(text, '.', IsDomainComponent);
}

// [a-z0-9]+ runs, joined by ".", "_", "__" or any number of dashes.
bool IsPathComponent(std::string_view text) {
  if (text.empty() || !IsLowerAlnum(text.front()) || !IsLowerAlnum(text.back())) return false;
  for (size_t i = 0; i < text.size();) {
    if (IsLowerAlnum(text[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (!IsLowerAlnum(text[end])) ++end;
    const std::string_view joint = text.substr(i, end - i);
    const bool dashes = AllOf(joint, [](char c) { return c == '-'; });
    if (joint != "." && joint != "_" && joint != "__" && !dashes) return false;
    i = end;
  }
  return true;
}

// algorithm:hex, well-formed but not yet known to be one we can compute.
bool IsDigestShaped(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view hex = text.substr(colon + 1);
  if (hex.size() < 32 || !std::ranges::all_of(hex, IsHex)) return false;
  bool start = true;  // a letter starts each part
  for (const char c : text.substr(0, colon)) {
    const bool letter = IsLower(c) || IsUpper(c);
    if (start ? !letter : !IsAlnum(c) && !std::string_view("-_+.").contains(c)) return false;
    start = !IsAlnum(c);
  }
  return !start;
}

Result<Digest> ParseDigest(std::string_view text) {
  const std::string_view algorithm = text.substr(0, text.find(':'));
  const std::string_view hex = text.substr(algorithm.size() + 1);
  if (algorithm != "sha256") return Invalid("unsupported digest algorithm");
  if (hex.size() != 2 * Digest::kSize) return Invalid("invalid checksum digest length");
  if (!std::ranges::all_of(hex, IsLowerHex)) return Invalid("invalid checksum digest format");
  return Digest::ParseHex(hex);
}

struct Split {
  std::string domain;
  std::string remainder;
};

Split SplitDomain(std::string_view name) {
  Split split{std::string(kDefaultDomain), std::string(name)};
  const size_t slash = name.find('/');
  if (slash != std::string_view::npos) {
    const std::string_view first = name.substr(0, slash);
    const bool is_domain = first.find_first_of(".:") != std::string_view::npos ||
                           first == "localhost" || HasUpper(first);
    if (is_domain) split = {std::string(first), std::string(name.substr(slash + 1))};
  }
  if (split.domain == kLegacyDefaultDomain) split.domain = kDefaultDomain;
  if (split.domain == kDefaultDomain && !split.remainder.contains('/')) {
    split.remainder.insert(0, kOfficialPrefix);
  }
  return split;
}

}  // namespace

bool IsValidTag(std::string_view text) {
  const auto is_word = [](char c) { return IsAlnum(c) || c == '_'; };
  return !text.empty() && text.size() <= kMaxTagLength && is_word(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

Result<ImageReference> ImageReference::Parse(std::string_view text) {
  constexpr const char* kBadFormat = "invalid reference format";
  if (text.size() == 2 * Digest::kSize && std::ranges::all_of(text, IsLowerHex)) {
    return Invalid("invalid repository name (" + std::string(text) +
                   "), cannot specify 64-byte hexadecimal strings");
  }
  auto [domain, rest] = SplitDomain(text);
  if (const std::string name = rest.substr(0, rest.find(':')); HasUpper(name)) {
    return Invalid("invalid reference format: repository name (" + name + ") must be lowercase");
  }
  ImageReference reference;
  std::optional<std::string> digest;
  if (const size_t at = rest.find('@'); at != std::string::npos) {
    digest = rest.substr(at + 1);
    rest.resize(at);
  }
  std::optional<std::string> tag;
  if (const size_t colon = rest.find(':'); colon != std::string::npos) {
    tag = rest.substr(colon + 1);
    rest.resize(colon);
  }
  if (!IsDomain(domain) || !EachPart(rest, '/', IsPathComponent)) return Invalid(kBadFormat);
  if ((tag && !IsValidTag(*tag)) || (digest && !IsDigestShaped(*digest)))
    return Invalid(kBadFormat);
  if (domain.size() + 1 + rest.size() > kMaxNameLength) {
    return Invalid("repository name must not be more than 255 characters");
  }
  if (digest) {
    TRY_ASSIGN(reference.digest_, ParseDigest(*digest));
  }
  reference.domain_ = std::move(domain);
  reference.path_ = std::move(rest);
  if (tag) {
    reference.tag_ = std::move(*tag);
  } else if (!digest) {
    reference.tag_ = kDefaultTag;
  }
  return reference;
}

std::string ImageReference::FamiliarName() const {
  if (domain_ != kDefaultDomain) return Name();
  const std::string_view path = path_;
  const bool official =
      path.starts_with(kOfficialPrefix) && !path.substr(kOfficialPrefix.size()).contains('/');
  return std::string(official ? path.substr(kOfficialPrefix.size()) : path);
}

std::string ImageReference::Suffix() const {
  std::string suffix;
  if (!tag_.empty()) suffix += ":" + tag_;
  if (digest_) suffix += "@" + digest_->ToString();
  return suffix;
}

}  // namespace veneer
