#include "store/catalog.h"

#include <utility>

#include "store/catalog_rows.h"

namespace veneer {
namespace {

using rows::IdFrom;

// Each entry brings the schema from version i to i + 1. Entries are never edited once released,
// only added.
constexpr const char* kMigrations[] = {
    R"sql(
CREATE TABLE layers(
  diff_id BLOB PRIMARY KEY, tar_size INTEGER NOT NULL, content_size INTEGER NOT NULL, entries INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE blobs(
  digest BLOB PRIMARY KEY, size INTEGER NOT NULL, diff_id BLOB NOT NULL REFERENCES layers ON DELETE CASCADE,
  compression TEXT NOT NULL, media_type TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX blobs_by_layer ON blobs(diff_id);
CREATE TABLE images(id BLOB PRIMARY KEY, config BLOB NOT NULL, loaded_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE image_layers(
  image BLOB NOT NULL REFERENCES images ON DELETE CASCADE, position INTEGER NOT NULL,
  diff_id BLOB NOT NULL REFERENCES layers, PRIMARY KEY(image, position)
) WITHOUT ROWID;
CREATE INDEX image_layers_by_layer ON image_layers(diff_id);
CREATE TABLE manifests(
  digest BLOB NOT NULL, image BLOB NOT NULL REFERENCES images ON DELETE CASCADE, media_type TEXT NOT NULL,
  raw BLOB NOT NULL, PRIMARY KEY(digest, image)
) WITHOUT ROWID;
CREATE TABLE refs(name TEXT PRIMARY KEY, image BLOB NOT NULL REFERENCES images ON DELETE CASCADE) WITHOUT ROWID;
CREATE INDEX refs_by_image ON refs(image);
CREATE TABLE containers(
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, image BLOB NOT NULL REFERENCES images, image_name TEXT NOT NULL,
  created_at INTEGER NOT NULL, config TEXT NOT NULL, mount_path TEXT NOT NULL
) WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE build_cache(
  key BLOB PRIMARY KEY, description TEXT NOT NULL, created_at INTEGER NOT NULL, last_used_at INTEGER NOT NULL,
  uses INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE build_cache_layers(
  key BLOB NOT NULL REFERENCES build_cache ON DELETE CASCADE, position INTEGER NOT NULL,
  diff_id BLOB NOT NULL REFERENCES layers, PRIMARY KEY(key, position)
) WITHOUT ROWID;
CREATE INDEX build_cache_layers_by_layer ON build_cache_layers(diff_id);
)sql",
};
constexpr int kSchemaVersion = std::size(kMigrations);

LayerRow LayerFrom(const Statement& s) {
  return {IdFrom<DiffId>(s.Text(0)), s.Int(1), s.Int(2), s.Int(3)};
}
ImageRow ImageFrom(const Statement& s) {
  return {IdFrom<ImageId>(s.Text(0)), std::string(s.Text(1)), s.Int(2)};
}
ContainerRow ContainerFrom(const Statement& s) {
  return {std::string(s.Text(0)),
          std::string(s.Text(1)),
          IdFrom<ImageId>(s.Text(2)),
          std::string(s.Text(3)),
          s.Int(4),
          std::string(s.Text(5)),
          std::string(s.Text(6))};
}

constexpr const char* kContainerColumns =
    "SELECT id, name, image, image_name, created_at, config, mount_path FROM containers ";

}  // namespace

const int kCatalogSchemaVersion = kSchemaVersion;

Result<std::unique_ptr<Catalog>> Catalog::Open(const std::string& path) {
  TRY_ASSIGN(auto db, Database::Open(path));
  std::unique_ptr<Catalog> catalog(new Catalog(std::move(db)));
  TRY(catalog->Migrate());
  return catalog;
}

Result<> Catalog::Migrate() {
  auto version = [this]() -> Result<int64_t> {
    TRY_ASSIGN(auto s, db_->Prepare("PRAGMA user_version"));
    TRY(s.Step());
    return s.Int(0);
  };
  TRY_ASSIGN(int64_t now, version());
  if (now == kSchemaVersion) return {};
  TRY_ASSIGN(auto transaction, Transaction::Begin(*db_));
  TRY_ASSIGN(now, version());  // another process may have migrated meanwhile
  if (now > kSchemaVersion) {
    return Invalid("the store was made by a newer veneer (schema " + std::to_string(now) +
                       "); this one knows " + std::to_string(kSchemaVersion),
                   EPROTO);
  }
  for (int64_t v = now; v < kSchemaVersion; ++v) TRY(db_->Exec(kMigrations[v]));
  TRY(db_->Exec("PRAGMA user_version=" + std::to_string(kSchemaVersion)));
  return transaction.Commit();
}

Result<> Catalog::InTransaction(const std::function<Result<>()>& body) {
  TRY_ASSIGN(auto transaction, Transaction::Begin(*db_));
  TRY(body());
  return transaction.Commit();
}

Result<> Catalog::PutLayer(const LayerRow& row) {
  TRY_ASSIGN(auto s, db_->Prepare("INSERT OR IGNORE INTO layers VALUES(?,?,?,?)"));
  return s.BindBlob(row.diff_id.digest.view())
      .Bind(row.tar_size)
      .Bind(row.content_size)
      .Bind(row.entries)
      .Run();
}

Result<std::optional<LayerRow>> Catalog::FindLayer(const DiffId& id) {
  TRY_ASSIGN(
      auto s,
      db_->Prepare("SELECT diff_id, tar_size, content_size, entries FROM layers WHERE diff_id=?"));
  s.BindBlob(id.digest.view());
  return rows::First(s, LayerFrom);
}

Result<std::vector<LayerRow>> Catalog::Layers() {
  TRY_ASSIGN(auto s, db_->Prepare("SELECT diff_id, tar_size, content_size, entries FROM layers"));
  return rows::All(s, LayerFrom);
}

Result<> Catalog::DeleteLayer(const DiffId& id) {
  TRY_ASSIGN(auto s, db_->Prepare("DELETE FROM layers WHERE diff_id=?"));
  return s.BindBlob(id.digest.view()).Run();
}

Result<> Catalog::PutBlob(const BlobRow& row) {
  TRY_ASSIGN(auto s,
             db_->Prepare(
                 "INSERT INTO blobs VALUES(?,?,?,?,?) ON CONFLICT(digest) DO UPDATE SET media_type="
                 "iif(excluded.media_type='', media_type, excluded.media_type)"));
  return s.BindBlob(row.digest.view())
      .Bind(row.size)
      .BindBlob(row.diff_id.digest.view())
      .Bind(row.compression)
      .Bind(row.media_type)
      .Run();
}

Result<std::optional<BlobRow>> Catalog::FindBlob(const Digest& digest) {
  TRY_ASSIGN(
      auto s,
      db_->Prepare(
          "SELECT digest, size, diff_id, compression, media_type FROM blobs WHERE digest=?"));
  s.BindBlob(digest.view());
  return rows::First(s, [](const Statement& r) {
    return BlobRow{IdFrom<Digest>(r.Text(0)), r.Int(1), IdFrom<DiffId>(r.Text(2)),
                   std::string(r.Text(3)), std::string(r.Text(4))};
  });
}

Result<> Catalog::PutImage(const ImageRow& row, const std::vector<DiffId>& layers) {
  {
    TRY_ASSIGN(auto s, db_->Prepare("INSERT OR IGNORE INTO images VALUES(?,?,?)"));
    TRY(s.BindBlob(row.id.digest.view()).BindBlob(row.config).Bind(row.loaded_at).Run());
  }
  TRY_ASSIGN(auto s, db_->Prepare("INSERT OR IGNORE INTO image_layers VALUES(?,?,?)"));
  for (size_t i = 0; i < layers.size(); ++i) {
    TRY(s.BindBlob(row.id.digest.view())
            .Bind(static_cast<int64_t>(i))
            .BindBlob(layers[i].digest.view())
            .Run());
    s.Reset();
  }
  return {};
}

Result<std::optional<ImageRow>> Catalog::FindImage(const ImageId& id) {
  TRY_ASSIGN(auto s, db_->Prepare("SELECT id, config, loaded_at FROM images WHERE id=?"));
  s.BindBlob(id.digest.view());
  return rows::First(s, ImageFrom);
}

Result<std::vector<ImageRow>> Catalog::Images() {
  TRY_ASSIGN(auto s,
             db_->Prepare("SELECT id, config, loaded_at FROM images ORDER BY loaded_at DESC, id"));
  return rows::All(s, ImageFrom);
}

Result<std::vector<ImageId>> Catalog::ImagesByPrefix(std::string_view hex_prefix) {
  TRY_ASSIGN(auto s,
             db_->Prepare("SELECT id FROM images WHERE substr(lower(hex(id)), 1, ?)=? LIMIT 3"));
  s.Bind(static_cast<int64_t>(hex_prefix.size())).Bind(hex_prefix);
  return rows::All(s, [](const Statement& r) { return IdFrom<ImageId>(r.Text(0)); });
}

Result<std::vector<DiffId>> Catalog::ImageLayers(const ImageId& id) {
  TRY_ASSIGN(auto s,
             db_->Prepare("SELECT diff_id FROM image_layers WHERE image=? ORDER BY position"));
  s.BindBlob(id.digest.view());
  return rows::All(s, [](const Statement& r) { return IdFrom<DiffId>(r.Text(0)); });
}

Result<> Catalog::DeleteImage(const ImageId& id) {
  TRY_ASSIGN(auto s, db_->Prepare("DELETE FROM images WHERE id=?"));
  return s.BindBlob(id.digest.view()).Run();
}

Result<> Catalog::PutManifest(const ManifestRow& row) {
  TRY_ASSIGN(auto s, db_->Prepare("INSERT OR IGNORE INTO manifests VALUES(?,?,?,?)"));
  return s.BindBlob(row.digest.view())
      .BindBlob(row.image.digest.view())
      .Bind(row.media_type)
      .BindBlob(row.raw)
      .Run();
}

Result<std::vector<ManifestRow>> Catalog::Manifests(const ImageId& id) {
  TRY_ASSIGN(auto s,
             db_->Prepare("SELECT digest, image, media_type, raw FROM manifests WHERE image=?"));
  s.BindBlob(id.digest.view());
  return rows::All(s, [](const Statement& r) {
    return ManifestRow{IdFrom<Digest>(r.Text(0)), IdFrom<ImageId>(r.Text(1)),
                       std::string(r.Text(2)), std::string(r.Text(3))};
  });
}

Result<> Catalog::SetReference(const std::string& name, const ImageId& image) {
  TRY_ASSIGN(
      auto s,
      db_->Prepare(
          "INSERT INTO refs VALUES(?,?) ON CONFLICT(name) DO UPDATE SET image=excluded.image"));
  return s.Bind(name).BindBlob(image.digest.view()).Run();
}

Result<std::optional<ImageId>> Catalog::FindReference(const std::string& name) {
  TRY_ASSIGN(auto s, db_->Prepare("SELECT image FROM refs WHERE name=?"));
  s.Bind(name);
  return rows::First(s, [](const Statement& r) { return IdFrom<ImageId>(r.Text(0)); });
}

Result<bool> Catalog::DeleteReference(const std::string& name) {
  TRY_ASSIGN(auto s, db_->Prepare("DELETE FROM refs WHERE name=?"));
  TRY(s.Bind(name).Run());
  return db_->Changes() > 0;
}

Result<std::vector<ReferenceRow>> Catalog::References() {
  TRY_ASSIGN(auto s, db_->Prepare("SELECT name, image FROM refs ORDER BY name"));
  return rows::All(s, [](const Statement& r) {
    return ReferenceRow{std::string(r.Text(0)), IdFrom<ImageId>(r.Text(1))};
  });
}

Result<std::vector<std::string>> Catalog::ReferencesTo(const ImageId& image) {
  TRY_ASSIGN(auto s, db_->Prepare("SELECT name FROM refs WHERE image=? ORDER BY name"));
  s.BindBlob(image.digest.view());
  return rows::All(s, [](const Statement& r) { return std::string(r.Text(0)); });
}

Result<> Catalog::AddContainer(const ContainerRow& row) {
  TRY_ASSIGN(auto s, db_->Prepare("INSERT INTO containers VALUES(?,?,?,?,?,?,?)"));
  return s.Bind(row.id)
      .Bind(row.name)
      .BindBlob(row.image.digest.view())
      .Bind(row.image_name)
      .Bind(row.created_at)
      .Bind(row.config)
      .Bind(row.mount_path)
      .Run();
}

Result<std::optional<ContainerRow>> Catalog::FindContainerByName(const std::string& name) {
  TRY_ASSIGN(auto s, db_->Prepare(std::string(kContainerColumns) + "WHERE name=?"));
  s.Bind(name);
  return rows::First(s, ContainerFrom);
}

Result<std::vector<ContainerRow>> Catalog::ContainersByPrefix(std::string_view id_prefix) {
  TRY_ASSIGN(auto s,
             db_->Prepare(std::string(kContainerColumns) + "WHERE substr(id, 1, ?)=? LIMIT 3"));
  s.Bind(static_cast<int64_t>(id_prefix.size())).Bind(id_prefix);
  return rows::All(s, ContainerFrom);
}

Result<std::vector<ContainerRow>> Catalog::Containers() {
  TRY_ASSIGN(auto s, db_->Prepare(std::string(kContainerColumns) + "ORDER BY created_at DESC, id"));
  return rows::All(s, ContainerFrom);
}

Result<> Catalog::SetContainerMount(const std::string& id, const std::string& path) {
  TRY_ASSIGN(auto s, db_->Prepare("UPDATE containers SET mount_path=? WHERE id=?"));
  return s.Bind(path).Bind(id).Run();
}

Result<> Catalog::DeleteContainer(const std::string& id) {
  TRY_ASSIGN(auto s, db_->Prepare("DELETE FROM containers WHERE id=?"));
  return s.Bind(id).Run();
}

Result<> Catalog::IntegrityCheck() {
  TRY_ASSIGN(auto s, db_->Prepare("PRAGMA integrity_check(1)"));
  TRY_ASSIGN(bool row, s.Step());
  if (!row || s.Text(0) != "ok")
    return Invalid("catalogue: " + std::string(row ? s.Text(0) : "no answer"), EBADMSG);
  return {};
}

}  // namespace veneer
