#include "store/ingest.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <optional>

#include "store/archive/layer_tar.h"
#include "store/archive/recipe.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"
#include "store/store.h"
#include "store/tree/layer_tree.h"
#include "store/tree/layer_tree_builder.h"

namespace veneer {
namespace {

// What a layer tar's names mean (OCI image-spec, layer.md "Whiteouts").
constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kOpaqueName = ".wh..wh..opq";
constexpr std::string_view kAufsPrefix = ".wh..wh.";  // AUFS' own bookkeeping: no part of the tree

std::string_view WithoutTrailingSlashes(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

// Feeds one layer's entries to the tree, contents to the objects, and the split to the recipe.
class LayerIngest : public LayerTarVisitor {
 public:
  LayerIngest(ObjectStaging& objects, tree::LayerTreeBuilder& builder, RecipeWriter& recipe)
      : objects_(objects), builder_(builder), recipe_(recipe) {}

  Result<> OnEntry(const TarEntry& entry) override {
    entry_ = entry;
    has_content_ = entry.kind == TarEntry::Kind::kInode && S_ISREG(entry.attr.mode);
    if (has_content_) objects_.Begin();
    return {};
  }

  Result<> OnContent(uint64_t offset, std::string_view data) override {
    if (!has_content_) {
      has_content_ = true;
      objects_.Begin();
    }
    return objects_.Write(offset, data);
  }

  Result<> OnEntryEnd() override {
    payload_ = {};
    if (has_content_) {
      payload_.size = entry_.attr.size;
      TRY_ASSIGN(payload_.id, objects_.Finish(entry_.attr.size));
    }
    auto added = AddToTree();
    if (!added) return std::unexpected(added.error().Within("entry '" + entry_.path + "'"));
    return {};
  }

  Result<> OnLiteral(std::string_view data) override { return recipe_.Literal(data); }
  Result<> OnPayload(const std::vector<PayloadExtent>& extents) override {
    return recipe_.Payload(payload_.id, payload_.size, extents);
  }

 private:
  Result<> AddToTree() {
    std::string_view path = WithoutTrailingSlashes(entry_.path);
    size_t slash = path.rfind('/');
    std::string_view parent = slash == path.npos ? "" : path.substr(0, slash);
    std::string_view name = slash == path.npos ? path : path.substr(slash + 1);
    if (name == kOpaqueName) return builder_.SetOpaque(parent);
    if (name.starts_with(kAufsPrefix)) return {};
    if (name.starts_with(kWhiteoutPrefix)) {
      std::string hidden(path.substr(0, path.size() - name.size()));
      hidden += name.substr(kWhiteoutPrefix.size());
      return builder_.AddWhiteout(hidden);
    }
    if (entry_.kind == TarEntry::Kind::kHardLink)
      return builder_.AddHardLink(path, entry_.link_target);
    return builder_.Add(path, entry_.attr, payload_.id, entry_.link_target, entry_.xattrs);
  }

  ObjectStaging& objects_;
  tree::LayerTreeBuilder& builder_;
  RecipeWriter& recipe_;
  TarEntry entry_;
  ObjectRef payload_;
  bool has_content_ = false;
};

}  // namespace

Result<std::unique_ptr<IngestSession>> IngestSession::Begin(Store& store) {
  TRY_ASSIGN(WorkLease lease, WorkLease::Shared(store.root_fd()));
  std::string name = "ingest/" + RandomHex().substr(0, 32);
  if (mkdirat(store.root_fd(), name.c_str(), 0700) != 0) return Errno("mkdir " + name);
  TRY_ASSIGN(UniqueFd dir, OpenAt(store.root_fd(), name, O_RDONLY | O_DIRECTORY));
  if (flock(dir.get(), LOCK_EX | LOCK_NB) != 0) return Errno("lock " + name);
  std::unique_ptr<IngestSession> session(
      new IngestSession(store, std::move(lease), std::move(name), std::move(dir)));
  TRY_ASSIGN(session->objects_,
             ObjectStaging::Create(store.objects(), store.root_fd(), session->dir_fd()));
  return session;
}

IngestSession::~IngestSession() {
  objects_.reset();  // nothing is written any more
  (void)RemoveTree(store_.root_fd(), name_);
}

std::string IngestSession::path() const { return store_.path() + "/" + name_; }

Result<std::string> IngestSession::NewFolder(const std::string& kind) {
  std::string folder = kind + "-" + std::to_string(folders_++);
  if (mkdirat(dir_.get(), folder.c_str(), 0700) != 0) return Errno("mkdir " + folder);
  return folder;
}

Result<> IngestSession::NameLayer(const StagedLayer& layer) {
  std::string to = LayerStore::FolderOf(layer.row.diff_id);
  if (renameat(dir_.get(), layer.folder.c_str(), store_.root_fd(), to.c_str()) == 0) return {};
  if (errno != ENOTEMPTY && errno != EEXIST)
    return Errno("publish layer " + layer.row.diff_id.Hex());
  // Left by a crash between rename and commit, or just made by another process: ours is as good,
  // and known to be whole.
  if (renameat2(dir_.get(), layer.folder.c_str(), store_.root_fd(), to.c_str(), RENAME_EXCHANGE) !=
      0) {
    return Errno("publish layer " + layer.row.diff_id.Hex());
  }
  return {};
}

Result<> IngestSession::Publish(std::span<const StagedLayer> layers,
                                const std::function<Result<>()>& record) {
  TRY(FaultPoint("store.publish"));
  std::vector<const StagedLayer*> added;
  for (const StagedLayer& layer : layers) {
    TRY_ASSIGN(auto known, store_.catalog().FindLayer(layer.row.diff_id));
    // Known and whole; a folder that was damaged since is exchanged for this one.
    if (known && store_.layers().IsReadable(layer.row.diff_id)) continue;
    added.push_back(&layer);
  }

  SyncSet set(dir_.get());
  TRY(objects_->AddContents(set));
  for (const StagedLayer* layer : added) {
    for (const char* file : {"/tree", "/recipe", ""}) set.Add(dir_.get(), layer->folder + file);
  }
  TRY(set.Sync());
  TRY(FaultPoint("store.contents_synced"));

  TRY(objects_->Name());
  for (const StagedLayer* layer : added) TRY(NameLayer(*layer));
  TRY(FaultPoint("store.layers_named"));
  objects_->AddNames(set);
  if (!added.empty()) set.Add(store_.root_fd(), "layers");
  TRY(set.Sync());
  TRY(FaultPoint("store.names_synced"));

  TRY(store_.catalog().InTransaction([&]() -> Result<> {
    for (const StagedLayer& layer : layers) TRY(store_.catalog().PutLayer(layer.row));
    TRY(record());
    return FaultPoint("store.before_commit");
  }));
  return FaultPoint("store.committed");
}

Result<StagedLayer> IngestLayerTar(IngestSession& session, ByteSource& tar) {
  StagedLayer layer;
  TRY_ASSIGN(layer.folder, session.NewLayerFolder());
  TRY_ASSIGN(UniqueFd recipe_fd,
             OpenAt(session.dir_fd(), layer.folder + "/recipe", O_RDWR | O_CREAT | O_EXCL, 0600));
  TRY_ASSIGN(UniqueFd tree_fd,
             OpenAt(session.dir_fd(), layer.folder + "/tree", O_RDWR | O_CREAT | O_EXCL, 0600));
  TRY_ASSIGN(auto recipe, RecipeWriter::Create(recipe_fd.get(), session.dir_fd()));
  TRY_ASSIGN(auto builder, tree::LayerTreeBuilder::Create(session.dir_fd()));

  HashingSource hashed(tar);
  LayerIngest visitor(session.objects(), *builder, *recipe);
  TRY(ReadLayerTar(hashed, visitor));
  TRY(hashed.Drain());
  TRY(recipe->Finish());
  TRY(builder->Finish(tree_fd.get()));

  TRY_ASSIGN(auto tree, tree::LayerTree::Open(tree_fd.get()));
  layer.row.diff_id = DiffId(hashed.digest());
  layer.row.tar_size = static_cast<int64_t>(hashed.size());
  layer.row.entries = static_cast<int64_t>(tree->name_count());
  TRY(tree->ForEachObject([&](const ObjectId&, uint64_t size) {
    layer.row.content_size += static_cast<int64_t>(size);
  }));
  return layer;
}

}  // namespace veneer
