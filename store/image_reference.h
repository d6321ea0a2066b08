// Image names: "debian", "ghcr.io/a/b:1.2", "localhost:5000/x@sha256:…", by Docker's grammar and
// with its defaults.
//
// The grammar is distribution/reference's: [domain[:port]/]path[:tag][@digest]. A name without a
// domain is docker.io's, one of docker.io without a namespace is in library/, and one with neither
// tag nor digest means the tag latest.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/base/digest.h"
#include "store/base/result.h"

namespace veneer {

// An immutable value; always valid.
class ImageReference {
 public:
  // Errors (EINVAL) are Docker's sentences: "invalid reference format", "invalid reference format:
  // repository name (library/Foo) must be lowercase", "invalid repository name (…), cannot specify
  // 64-byte hexadecimal strings", "repository name must not be more than 255 characters",
  // "unsupported digest algorithm". Only sha256 digests are supported; sha384 and sha512, which
  // Docker knows too, are refused.
  static Result<ImageReference> Parse(std::string_view text);

  const std::string& domain() const { return domain_; }  // docker.io, localhost:5000
  const std::string& path() const { return path_; }      // library/debian
  const std::string& tag() const { return tag_; }        // empty where there is a digest alone
  const std::optional<Digest>& digest() const { return digest_; }

  std::string Name() const { return domain_ + "/" + path_; }   // docker.io/library/debian
  std::string FamiliarName() const;                            // debian
  std::string Canonical() const { return Name() + Suffix(); }  // docker.io/library/debian:latest
  std::string Familiar() const { return FamiliarName() + Suffix(); }  // debian:latest

  bool operator==(const ImageReference&) const = default;

 private:
  ImageReference() = default;
  std::string Suffix() const;

  std::string domain_;
  std::string path_;
  std::string tag_;
  std::optional<Digest> digest_;
};

// Whether `text` is a tag: a word character, then up to 127 of word characters, "." and "-".
bool IsValidTag(std::string_view text);

}  // namespace veneer
