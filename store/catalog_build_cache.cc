// The build records of the catalogue.
#include <utility>

#include "store/catalog.h"
#include "store/catalog_rows.h"

namespace veneer {
namespace {

// A record and its layers in one statement, so that no other process changes it between the two.
constexpr const char* kSelect =
    "SELECT c.key, c.description, c.created_at, c.last_used_at, c.uses, l.diff_id "
    "FROM build_cache c LEFT JOIN build_cache_layers l ON l.key=c.key ";

// One row for each layer of each record; those of a record stand together.
Result<std::vector<BuildRecord>> RecordsOf(Statement& s) {
  std::vector<BuildRecord> records;
  for (;;) {
    TRY_ASSIGN(bool row, s.Step());
    if (!row) return records;
    auto key = rows::IdFrom<Digest>(s.Text(0));
    if (records.empty() || records.back().key != key) {
      records.push_back({key, {}, std::string(s.Text(1)), s.Int(2), s.Int(3), s.Int(4)});
    }
    if (!s.IsNull(5)) records.back().layers.push_back(rows::IdFrom<DiffId>(s.Text(5)));
  }
}

}  // namespace

Result<> Catalog::PutBuildRecord(const BuildRecord& row) {
  if (!db_->InTransaction()) return InTransaction([&] { return PutBuildRecord(row); });
  TRY(DeleteBuildRecord(row.key));
  {
    TRY_ASSIGN(auto s, db_->Prepare("INSERT INTO build_cache VALUES(?,?,?,?,?)"));
    TRY(s.BindBlob(row.key.view())
            .Bind(row.description)
            .Bind(row.created_at)
            .Bind(row.last_used_at)
            .Bind(row.uses)
            .Run());
  }
  TRY_ASSIGN(auto s, db_->Prepare("INSERT INTO build_cache_layers VALUES(?,?,?)"));
  for (size_t i = 0; i < row.layers.size(); ++i) {
    TRY(s.BindBlob(row.key.view())
            .Bind(static_cast<int64_t>(i))
            .BindBlob(row.layers[i].digest.view())
            .Run());
    s.Reset();
  }
  return {};
}

Result<std::optional<BuildRecord>> Catalog::FindBuildRecord(const Digest& key) {
  TRY_ASSIGN(auto s, db_->Prepare(std::string(kSelect) + "WHERE c.key=? ORDER BY l.position"));
  s.BindBlob(key.view());
  TRY_ASSIGN(auto found, RecordsOf(s));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

Result<std::vector<BuildRecord>> Catalog::BuildRecords() {
  TRY_ASSIGN(auto s, db_->Prepare(std::string(kSelect) +
                                  "ORDER BY c.last_used_at DESC, c.key, l.position"));
  return RecordsOf(s);
}

Result<> Catalog::DeleteBuildRecord(const Digest& key) {
  TRY_ASSIGN(auto s, db_->Prepare("DELETE FROM build_cache WHERE key=?"));
  return s.BindBlob(key.view()).Run();
}

Result<> Catalog::UseBuildRecords(std::span<const Digest> keys, int64_t now) {
  auto update = [&]() -> Result<> {
    TRY_ASSIGN(auto s,
               db_->Prepare("UPDATE build_cache SET uses=uses+1, last_used_at=? WHERE key=?"));
    for (const Digest& key : keys) {
      TRY(s.Bind(now).BindBlob(key.view()).Run());
      s.Reset();
    }
    return {};
  };
  if (keys.empty()) return {};
  if (db_->InTransaction()) return update();
  // A build that finds everything would spend most of its time waiting for the disk. What others
  // commit stays durable: the log is synced up to there with their commit.
  TRY(db_->Exec("PRAGMA synchronous=NORMAL"));
  auto used = InTransaction(update);
  TRY(db_->Exec("PRAGMA synchronous=FULL"));
  return used;
}

}  // namespace veneer
