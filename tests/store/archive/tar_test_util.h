// Helpers of the archive tests: sources and sinks in memory, a visitor that keeps all it is told
// and writes a recipe on the way, a scratch directory for the real tar programs, and a builder of
// handmade tars.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "store/archive/byte_stream.h"
#include "store/archive/layer_tar.h"
#include "store/archive/recipe.h"
#include "store/base/unique_fd.h"

namespace veneer::test {

// Gives `data` (borrowed) in pieces of `piece` bytes.
class StringSource : public ByteSource {
 public:
  explicit StringSource(std::string_view data, size_t piece = 64 << 10)
      : rest_(data), piece_(piece) {}
  Result<std::string_view> Next() override;

 private:
  std::string_view rest_;
  size_t piece_;
};

class StringSink : public ByteSink {
 public:
  Result<> Write(std::string_view data) override {
    text += data;
    return {};
  }
  std::string text;
};

// A file that only this process sees, holding `content`.
UniqueFd MemFile(std::string_view content);

// An entry with its content, holes filled with zeros, and the extents that were given.
struct SeenEntry {
  TarEntry entry;
  std::string content;
  std::vector<PayloadExtent> extents;

  std::string Xattr(const std::string& name) const;  // "<none>" where there is none
};

// What ReadLayerTar made of a tar, with the recipe and the objects that rebuild it.
struct SeenTar {
  std::vector<SeenEntry> entries;
  uint64_t literal_bytes = 0;
  uint64_t payload_bytes = 0;
  UniqueFd recipe;
  std::map<ObjectId, std::string> objects;

  const SeenEntry* Find(std::string_view path) const;  // the last of that name
  Result<std::string> Rebuild() const;
};

Result<SeenTar> ReadTar(std::string_view tar, size_t piece = 64 << 10);

// Reads `tar` in several piece sizes; expects each to see the same and to rebuild it byte for byte.
SeenTar ExpectRoundTrip(std::string_view tar);

// Expects ReadLayerTar to refuse `tar` with EBADMSG and `why` in the message.
void ExpectRefused(std::string_view tar, std::string_view why);

// A directory that goes away with the object; the tests run the real programs in it.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  // Runs `script` with sh -e in the directory; false (and a test failure) when it fails.
  bool Run(const std::string& script) const;
  std::string Read(const std::string& name) const;
  void Write(const std::string& name, std::string_view content) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// One header block; fields not named are as in a plain ustar header of a regular file.
struct HeaderFields {
  std::string name = "file";
  char type = '0';
  uint64_t size = 0;
  std::string link = {};
  std::string magic = std::string("ustar\00000", 8);
  uint32_t mode = 0644;
  std::string prefix = {};
  std::string raw_size = {};  // the twelve bytes of the field, instead of `size`
};
std::string Header(const HeaderFields& fields);
std::string WithChecksum(std::string block);  // sets the checksum of an edited block
std::string Padded(std::string_view body);    // zeros up to a whole block
std::string PaxRecord(std::string_view key, std::string_view value);
std::string PaxHeader(std::string_view records, char type = 'x');
std::string LongName(std::string_view name, char type = 'L');  // GNU
std::string EndMarker();
inline std::string GnuMagic() { return std::string("ustar  \0", 8); }

}  // namespace veneer::test
