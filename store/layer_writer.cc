#include "store/layer_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "store/base/background_sha256.h"
#include "store/base/beneath.h"
#include "store/markers.h"
#include "store/store.h"

namespace veneer {
namespace {

constexpr size_t kPiece = 1 << 20;  // bytes per read of an object

}  // namespace

// The tar's bytes go to its digest, and those that are no content to the recipe.
struct LayerWriter::Split {
  struct Literal : ByteSink {
    explicit Literal(Split& s) : split(s) {}
    Result<> Write(std::string_view data) override {
      TRY(split.Count(data));
      return split.recipe->Literal(data);
    }
    Split& split;
  };
  struct Payload : ByteSink {
    explicit Payload(Split& s) : split(s) {}
    Result<> Write(std::string_view data) override { return split.Count(data); }
    Split& split;
  };
  Result<> Count(std::string_view data) {
    size += static_cast<int64_t>(data.size());
    return hash.Update(data);
  }

  RecipeWriter* recipe = nullptr;
  BackgroundSha256 hash;
  int64_t size = 0;
  Literal literal{*this};
  Payload payload{*this};
};

LayerWriter::LayerWriter(IngestSession& session, LayerWriterOptions options)
    : session_(session), options_(options), split_(std::make_unique<Split>()) {}
LayerWriter::~LayerWriter() = default;

Result<std::unique_ptr<LayerWriter>> LayerWriter::Create(IngestSession& session,
                                                         LayerWriterOptions options) {
  std::unique_ptr<LayerWriter> w(new LayerWriter(session, options));
  TRY_ASSIGN(w->folder_, session.NewLayerFolder());
  TRY_ASSIGN(w->recipe_fd_,
             OpenAt(session.dir_fd(), w->folder_ + "/recipe", O_RDWR | O_CREAT | O_EXCL, 0600));
  TRY_ASSIGN(w->tree_fd_,
             OpenAt(session.dir_fd(), w->folder_ + "/tree", O_RDWR | O_CREAT | O_EXCL, 0600));
  TRY_ASSIGN(w->recipe_, RecipeWriter::Create(w->recipe_fd_.get(), session.dir_fd()));
  w->split_->recipe = w->recipe_.get();
  TRY_ASSIGN(w->builder_, tree::LayerTreeBuilder::Create(session.dir_fd()));
  TRY_ASSIGN(w->tar_, CanonicalTarWriter::Create(w->split_->literal, w->split_->payload));
  return w;
}

// The attributes as the layer has them.
tree::Attributes LayerWriter::Recorded(const tree::Attributes& attr) const {
  tree::Attributes recorded = attr;
  if (options_.latest_mtime &&
      (attr.mtime_sec > *options_.latest_mtime ||
       (attr.mtime_sec == *options_.latest_mtime && attr.mtime_nsec > 0))) {
    recorded.mtime_sec = *options_.latest_mtime;
    recorded.mtime_nsec = 0;
  }
  return recorded;
}

// Whiteouts and opaque markers are empty files with a name (OCI image-spec, layer.md "Whiteouts").
Result<> LayerWriter::AddMarker(const std::string& path) {
  TarEntry marker;
  marker.path = path;
  marker.attr.mode = S_IFREG;
  return tar_->WriteEntry(marker);
}

Result<> LayerWriter::Add(const UpperChange& change,
                          const std::function<void(uint64_t)>& on_bytes) {
  if (change.kind == ChangeKind::kDeleted) {
    if (change.covered) return {};
    size_t name = change.path.rfind('/') + 1;  // npos + 1 == 0
    TRY(AddMarker(change.path.substr(0, name) + std::string(markers::kAufsPrefix) +
                  change.path.substr(name)));
    return builder_->AddWhiteout(change.path);
  }
  TarEntry entry;
  entry.path = change.path.empty() ? "./" : change.path;
  entry.attr = Recorded(change.attr);
  entry.link_target = change.link_target;
  entry.xattrs = change.xattrs;
  if (!change.hard_link.empty()) {
    entry.kind = TarEntry::Kind::kHardLink;
    entry.link_target = change.hard_link;
    TRY(tar_->WriteEntry(entry));
    return builder_->AddHardLink(change.path, change.hard_link);
  }
  TRY(tar_->WriteEntry(entry));
  ObjectId object;
  if (S_ISREG(change.attr.mode) && change.attr.size > 0) {
    auto added = AddContent(change, on_bytes, object);
    if (!added) return std::unexpected(added.error().Within("'/" + change.path + "'"));
  }
  TRY(builder_->Add(change.path, entry.attr, object, change.link_target, change.xattrs));
  if (change.opaque) {
    TRY(AddMarker(change.path + "/" + std::string(markers::kAufsOpaque)));
    TRY(builder_->SetOpaque(change.path));
  }
  return {};
}

Result<> LayerWriter::AddContent(const UpperChange& change,
                                 const std::function<void(uint64_t)>& on_bytes, ObjectId& object) {
  uint64_t size = change.attr.size;
  auto tee = [&](std::string_view data) -> Result<> {
    if (on_bytes) on_bytes(data.size());
    return tar_->WriteContent(data);
  };
  if (!change.open) {
    // Carried along by a change of metadata or a rename: the store has it; the DiffID needs its
    // bytes all the same.
    object = change.object;
    TRY_ASSIGN(UniqueFd fd, session_.store().objects().Open(object));
    std::unique_ptr<char[]> piece(new char[kPiece]);
    for (uint64_t at = 0; at < size;) {
      TRY_ASSIGN(size_t n,
                 PreadUpTo(fd.get(), piece.get(), std::min<uint64_t>(kPiece, size - at), at));
      if (n == 0)
        return Invalid("object " + object.Hex() + " is shorter than it should be", EBADMSG);
      TRY(tee({piece.get(), n}));
      at += n;
    }
  } else {
    TRY_ASSIGN(UniqueFd fd, change.open());
    TRY_ASSIGN(object, session_.objects().AddFile(fd.get(), size, tee, options_.own_files));
  }
  content_size_ += static_cast<int64_t>(size);
  return recipe_->Payload(object, size, {{0, size}});
}

Result<StagedLayer> LayerWriter::Finish() {
  TRY(tar_->Finish());
  TRY(recipe_->Finish());
  TRY(builder_->Finish(tree_fd_.get()));
  TRY_ASSIGN(auto tree, tree::LayerTree::Open(tree_fd_.get()));
  StagedLayer layer;
  layer.folder = folder_;
  TRY_ASSIGN(Digest digest, split_->hash.Finish());
  layer.row.diff_id = DiffId(digest);
  layer.row.tar_size = split_->size;
  layer.row.content_size = content_size_;
  layer.row.entries = static_cast<int64_t>(tree->name_count());
  return layer;
}

}  // namespace veneer
