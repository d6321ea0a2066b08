#include "store/image_blobs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "store/archive_members.h"
#include "store/base/beneath.h"
#include "store/layer_objects.h"
#include "store/store.h"

namespace veneer {
namespace {

constexpr uint64_t kMaxBytesBlob = 16 << 20;   // one JSON document
constexpr uint64_t kMaxBytesTotal = 64 << 20;  // all of an archive's
constexpr size_t kMaxMembers = 200'000;        // files and links in an archive
constexpr int kMaxLinks = 40;                  // links to follow from one path
constexpr size_t kTarBlock = 512;

// Counts what it passes on.
class CountingSource : public ByteSource {
 public:
  CountingSource(ByteSource& from, const std::function<void(uint64_t)>& on_bytes)
      : from_(from), on_bytes_(on_bytes) {}
  Result<std::string_view> Next() override {
    TRY_ASSIGN(std::string_view data, from_.Next());
    if (on_bytes_) on_bytes_(data.size());
    return data;
  }

 private:
  ByteSource& from_;
  const std::function<void(uint64_t)>& on_bytes_;
};

// Looks at the first bytes of a source without losing them.
class PeekSource : public ByteSource {
 public:
  explicit PeekSource(ByteSource& from) : from_(from) {}
  // The first `size` bytes, fewer at the end of the source. REQUIRES: Next() was not called yet.
  Result<std::string_view> Peek(size_t size) {
    while (head_.size() < size && !ended_) {
      TRY_ASSIGN(std::string_view data, from_.Next());
      ended_ = data.empty();
      head_.append(data);
    }
    return std::string_view(head_).substr(0, size);
  }
  Result<std::string_view> Next() override {
    if (!given_ && !head_.empty()) {
      given_ = true;
      return std::string_view(head_);
    }
    if (ended_) return std::string_view();
    return from_.Next();
  }

 private:
  ByteSource& from_;
  std::string head_;
  bool ended_ = false;
  bool given_ = false;
};

// A tar header block: its checksum is right, or it is all zeros (an empty tar).
bool LooksLikeTar(std::string_view block) {
  if (block.size() < kTarBlock) return false;
  block = block.substr(0, kTarBlock);
  if (std::all_of(block.begin(), block.end(), [](char c) { return c == 0; })) return true;
  unsigned sum = 0, stored = 0;
  for (size_t i = 0; i < kTarBlock; ++i)
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  for (size_t i = 148; i < 156 && block[i] != 0; ++i) {
    if (block[i] >= '0' && block[i] <= '7')
      stored = stored * 8 + static_cast<unsigned>(block[i] - '0');
  }
  return sum == stored;
}

bool LooksLikeJson(std::string_view head) {
  size_t at = head.find_first_not_of(" \t\r\n");
  return at != head.npos && (head[at] == '{' || head[at] == '[');
}

// The digest a path promises for its content: "blobs/sha256/<hex>" (OCI image-layout) and podman's
// "<hex>.tar", which is the layer's DiffID.
std::optional<Digest> PromisedDigest(std::string_view path) {
  constexpr std::string_view kBlobs = "blobs/sha256/";
  if (path.starts_with(kBlobs)) {
    path.remove_prefix(kBlobs.size());
  } else if (path.ends_with(".tar")) {
    path.remove_suffix(4);
  } else {
    return std::nullopt;
  }
  auto digest = Digest::ParseHex(path);
  return digest ? std::optional(*digest) : std::nullopt;
}

struct OtherBlob {};  // present, and neither small JSON nor a layer
using Blob = std::variant<std::string, LayerBlob, OtherBlob>;

class BlobReader {
 public:
  explicit BlobReader(IngestSession& session) : session_(session) {}

  Result<Blob> Read(const std::string& path, ByteSource& content, uint64_t size) {
    auto blob = ReadUnnamed(path, content, size);
    if (!blob) return std::unexpected(blob.error().Within("'" + path + "'"));
    return blob;
  }

 private:
  Result<Blob> ReadUnnamed(const std::string& path, ByteSource& content, uint64_t size) {
    std::optional<Digest> promised = PromisedDigest(path);
    PeekSource peeked(content);
    HashingSource raw(peeked);
    TRY_ASSIGN(std::string_view head, peeked.Peek(kTarBlock));
    if (promised) {
      TRY_ASSIGN(auto known, KnownLayer(*promised, DetectCompression(head)));
      if (known) {
        TRY(raw.Drain());
        TRY(Verify(raw.size(), raw.digest(), size, promised));
        return *known;
      }
    }
    if (DetectCompression(head) == Compression::kNone && LooksLikeTar(head))
      return ReadPlainLayer(peeked, size, promised);
    if (size <= kMaxBytesBlob && (size < kTarBlock || LooksLikeJson(head)) && !LooksLikeTar(head)) {
      std::string bytes;
      for (;;) {
        TRY_ASSIGN(std::string_view data, raw.Next());
        if (data.empty()) break;
        bytes.append(data);
      }
      if (DetectCompression(bytes) == Compression::kNone) {
        TRY(Verify(raw.size(), raw.digest(), size, promised));
        return Keep(std::move(bytes));
      }
      // Short and compressed: a layer can be that small too.
      struct Once : ByteSource {
        std::string_view data;
        Result<std::string_view> Next() override { return std::exchange(data, {}); }
      } again;
      again.data = bytes;
      return ReadLayerFrom(again, raw, size, promised);
    }
    return ReadLayerFrom(raw, raw, size, promised);
  }

  // A layer as it is: its DiffID is the digest of the blob, and one hashing gives both.
  Result<Blob> ReadPlainLayer(ByteSource& tar, uint64_t size, std::optional<Digest> promised) {
    LayerBlob layer;
    layer.size = size;
    TRY_ASSIGN(layer.staged, IngestLayerTar(session_, tar));
    layer.diff_id = layer.staged->row.diff_id;
    layer.digest = layer.diff_id.digest;
    TRY(Verify(static_cast<uint64_t>(layer.staged->row.tar_size), layer.digest, size, promised));
    return layer;
  }

  Result<Blob> Keep(std::string bytes) {
    kept_ += bytes.size();
    if (kept_ > kMaxBytesTotal)
      return Invalid(
          "the archive holds more metadata than " + std::to_string(kMaxBytesTotal >> 20) + " MiB",
          EFBIG);
    return bytes;
  }

  Result<Blob> ReadLayerFrom(ByteSource& content, HashingSource& raw, uint64_t size,
                             std::optional<Digest> promised) {
    auto blob = ReadLayer(content, Digest(), size);
    if (!blob) return blob;
    TRY(raw.Drain());
    TRY(Verify(raw.size(), raw.digest(), size,
               promised && !IsDiffIdName(*blob, *promised) ? promised : std::nullopt));
    if (auto* layer = std::get_if<LayerBlob>(&*blob)) layer->digest = raw.digest();
    return blob;
  }

  // podman names an uncompressed layer by its DiffID, and keeps that name when the archive holds it
  // compressed.
  static bool IsDiffIdName(const Blob& blob, const Digest& promised) {
    const auto* layer = std::get_if<LayerBlob>(&blob);
    return layer && layer->diff_id.digest == promised;
  }

  Result<Blob> ReadLayer(ByteSource& content, const Digest& digest, uint64_t size) {
    TRY_ASSIGN(auto plain, Decompressor::Create(content));
    PeekSource tar(*plain);
    TRY_ASSIGN(std::string_view head, tar.Peek(kTarBlock));
    if (!head.empty() && !LooksLikeTar(head)) return OtherBlob{};
    LayerBlob layer;
    layer.compression = plain->compression();
    layer.digest = digest;
    layer.size = size;
    TRY_ASSIGN(layer.staged, IngestLayerTar(session_, tar));
    layer.diff_id = layer.staged->row.diff_id;
    return layer;
  }

  // The layer that a blob of this digest is, if the store has it whole. A digest that names
  // compressed bytes is theirs (OCI) or the layer's DiffID (podman): only the first stands for
  // these bytes.
  Result<std::optional<LayerBlob>> KnownLayer(const Digest& digest, Compression compression) {
    Catalog& catalog = session_.store().catalog();
    LayerBlob layer;
    layer.digest = digest;
    layer.compression = compression;
    TRY_ASSIGN(auto blob, catalog.FindBlob(digest));
    if (blob && blob->compression == CompressionName(compression)) {
      layer.size = static_cast<uint64_t>(blob->size);
      layer.diff_id = blob->diff_id;
    } else if (compression == Compression::kNone) {
      TRY_ASSIGN(auto row, catalog.FindLayer(DiffId(digest)));
      if (!row) return std::nullopt;
      layer.size = static_cast<uint64_t>(row->tar_size);
      layer.diff_id = row->diff_id;
    } else {
      return std::nullopt;
    }
    if (!IsWhole(layer.diff_id)) return std::nullopt;
    return layer;
  }

  // Whether the store can give the layer back: what it lacks comes with the layer, read again.
  bool IsWhole(const DiffId& layer) {
    bool whole = true;
    auto each =
        ForEachObjectOfRecipe(session_.store(), layer, [&](const ObjectId& id, uint64_t size) {
          if (!whole || size == 0) return;
          auto st =
              StatAt(session_.store().root_fd(), ObjectStore::PathOf(id), AT_SYMLINK_NOFOLLOW);
          whole = st && S_ISREG(st->st_mode) && static_cast<uint64_t>(st->st_size) == size;
        });
    return each && whole;
  }

  // `read` bytes of the blob were read, which have this digest.
  static Result<> Verify(uint64_t read, const Digest& digest, uint64_t size,
                         std::optional<Digest> promised) {
    if (read != size)
      return Invalid("truncated: " + std::to_string(read) + " bytes of " + std::to_string(size),
                     EBADMSG);
    if (promised && digest != *promised) {
      return Invalid("content has digest " + digest.ToString() + ", not the one it is named by",
                     EBADMSG);
    }
    return {};
  }

  IngestSession& session_;
  uint64_t kept_ = 0;
};

Result<const std::string*> AsBytes(const std::string& path, const Blob* blob) {
  if (!blob) return nullptr;
  const auto* bytes = std::get_if<std::string>(blob);
  if (!bytes) return Invalid("'" + path + "' is not JSON", EBADMSG);
  return bytes;
}

Result<const LayerBlob*> AsLayer(const std::string& path, const Blob* blob) {
  if (!blob) return nullptr;
  const auto* layer = std::get_if<LayerBlob>(blob);
  if (!layer) return Invalid("'" + path + "' is not a layer tar", EBADMSG);
  return layer;
}

class ArchiveBlobs : public ImageBlobs {
 public:
  Result<> ReadAll(IngestSession& session, int fd, const std::function<void(uint64_t)>& on_bytes) {
    FdSource file(fd);
    CountingSource counted(file, on_bytes);
    TRY_ASSIGN(auto tar, Decompressor::Create(counted));
    TRY_ASSIGN(auto members, ArchiveMembers::Create(*tar));
    BlobReader reader(session);
    ArchiveMember member;
    for (;;) {
      TRY_ASSIGN(bool more, members->Next(member));
      if (!more) return {};
      any_ = true;
      if (member.type == ArchiveMember::Type::kLink) {
        links_[member.path] = Resolve(member);
      } else if (member.type == ArchiveMember::Type::kFile) {
        TRY_ASSIGN(Blob blob, reader.Read(member.path, members->content(), member.size));
        blobs_.insert_or_assign(member.path, std::move(blob));
      }
      if (blobs_.size() + links_.size() > kMaxMembers)
        return Invalid("the archive holds too many files", EFBIG);
    }
  }
  bool any() const { return any_; }

  Result<const std::string*> Bytes(const std::string& path) override {
    return AsBytes(path, Find(path));
  }
  Result<const LayerBlob*> Layer(const std::string& path) override {
    return AsLayer(path, Find(path));
  }

 private:
  // docker before 25 writes a layer it has written already as a symlink "../<id>/layer.tar".
  static std::string Resolve(const ArchiveMember& link) {
    if (link.hard_link) return link.target.starts_with("./") ? link.target.substr(2) : link.target;
    std::string base =
        link.path.find('/') == std::string::npos ? "" : link.path.substr(0, link.path.rfind('/'));
    std::string_view target = link.target;
    while (target.starts_with("../")) {
      target.remove_prefix(3);
      base = base.find('/') == std::string::npos ? "" : base.substr(0, base.rfind('/'));
    }
    return base.empty() ? std::string(target) : base + "/" + std::string(target);
  }

  const Blob* Find(std::string path) const {
    while (path.starts_with("./")) path.erase(0, 2);
    for (int i = 0; i < kMaxLinks; ++i) {
      if (auto blob = blobs_.find(path); blob != blobs_.end()) return &blob->second;
      auto link = links_.find(path);
      if (link == links_.end()) return nullptr;
      path = link->second;
    }
    return nullptr;
  }

  std::map<std::string, Blob> blobs_;
  std::map<std::string, std::string> links_;
  bool any_ = false;
};

class DirectoryBlobs : public ImageBlobs {
 public:
  DirectoryBlobs(IngestSession& session, UniqueFd root, std::function<void(uint64_t)> on_bytes)
      : reader_(session), root_(std::move(root)), on_bytes_(std::move(on_bytes)) {}

  Result<const std::string*> Bytes(const std::string& path) override {
    TRY_ASSIGN(const Blob* blob, Find(path));
    return AsBytes(path, blob);
  }
  Result<const LayerBlob*> Layer(const std::string& path) override {
    TRY_ASSIGN(const Blob* blob, Find(path));
    return AsLayer(path, blob);
  }

 private:
  Result<const Blob*> Find(const std::string& path) {
    auto it = blobs_.find(path);
    if (it != blobs_.end()) return &it->second;
    auto fd = OpenBeneath(root_.get(), path, O_RDONLY);
    if (!fd) {
      if (fd.error().code() == ENOENT || fd.error().code() == ENOTDIR) return nullptr;
      return std::unexpected(fd.error());
    }
    struct stat st;
    if (fstat(fd->get(), &st) != 0) return Errno("stat " + path);
    if (!S_ISREG(st.st_mode)) return Invalid("'" + path + "' is not a regular file", EBADMSG);
    FdSource file(fd->get());
    CountingSource counted(file, on_bytes_);
    TRY_ASSIGN(Blob blob, reader_.Read(path, counted, static_cast<uint64_t>(st.st_size)));
    return &blobs_.emplace(path, std::move(blob)).first->second;
  }

  BlobReader reader_;
  UniqueFd root_;
  std::function<void(uint64_t)> on_bytes_;
  std::map<std::string, Blob> blobs_;
};

}  // namespace

Result<std::unique_ptr<ImageBlobs>> ImageBlobs::FromArchive(
    IngestSession& session, int fd, const std::function<void(uint64_t)>& on_bytes) {
  auto blobs = std::make_unique<ArchiveBlobs>();
  TRY(blobs->ReadAll(session, fd, on_bytes));
  if (!blobs->any()) return Invalid("the archive is empty", EBADMSG);
  return blobs;
}

Result<std::unique_ptr<ImageBlobs>> ImageBlobs::FromDirectory(
    IngestSession& session, const std::string& directory,
    const std::function<void(uint64_t)>& on_bytes) {
  TRY_ASSIGN(UniqueFd root, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  return std::make_unique<DirectoryBlobs>(session, std::move(root), on_bytes);
}

}  // namespace veneer
