#include "store/sqlite.h"

#include <sqlite3.h>

#include <utility>

namespace veneer {
namespace {

constexpr int kBusyTimeoutMs = 60'000;

int ErrnoOf(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return EBADMSG;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return EBUSY;
    case SQLITE_NOMEM:
      return ENOMEM;
    case SQLITE_CONSTRAINT:
      return EEXIST;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return EACCES;
    case SQLITE_CANTOPEN:
      return ENOENT;
    default:
      return EIO;
  }
}

std::unexpected<Error> DbError(sqlite3* db, int code) {
  return Invalid(std::string("catalogue: ") + (db ? sqlite3_errmsg(db) : sqlite3_errstr(code)),
                 ErrnoOf(code));
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_),
      stmt_(std::exchange(other.stmt_, nullptr)),
      next_parameter_(other.next_parameter_) {}

Statement::~Statement() { sqlite3_finalize(stmt_); }

Statement& Statement::Bind(std::string_view text) {
  sqlite3_bind_text64(stmt_, next_parameter_++, text.data(), text.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
  return *this;
}
Statement& Statement::Bind(int64_t value) {
  sqlite3_bind_int64(stmt_, next_parameter_++, value);
  return *this;
}
Statement& Statement::BindBlob(std::string_view bytes) {
  sqlite3_bind_blob64(stmt_, next_parameter_++, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  return *this;
}
Statement& Statement::BindNull() {
  sqlite3_bind_null(stmt_, next_parameter_++);
  return *this;
}

Result<bool> Statement::Step() {
  int code = sqlite3_step(stmt_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return DbError(db_, code);
}

Result<> Statement::Run() {
  for (;;) {
    TRY_ASSIGN(bool row, Step());
    if (!row) return {};
  }
}

void Statement::Reset() {
  sqlite3_reset(stmt_);
  next_parameter_ = 1;
}

std::string_view Statement::Text(int column) const {
  const void* data = sqlite3_column_blob(stmt_, column);
  return {static_cast<const char*>(data), static_cast<size_t>(sqlite3_column_bytes(stmt_, column))};
}
int64_t Statement::Int(int column) const { return sqlite3_column_int64(stmt_, column); }
bool Statement::IsNull(int column) const {
  return sqlite3_column_type(stmt_, column) == SQLITE_NULL;
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  sqlite3* raw = nullptr;
  int code =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
  std::unique_ptr<Database> db(new Database(raw));
  if (code != SQLITE_OK) return DbError(raw, code);
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, kBusyTimeoutMs);
  TRY(db->Exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"));
  return db;
}

Database::~Database() { sqlite3_close_v2(db_); }

Result<> Database::Exec(const std::string& sql) {
  int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return DbError(db_, code);
  return {};
}

Result<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* stmt = nullptr;
  int code = sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &stmt, nullptr);
  if (code != SQLITE_OK) return DbError(db_, code);
  return Statement(db_, stmt);
}

int64_t Database::Changes() const { return sqlite3_changes64(db_); }
bool Database::InTransaction() const { return sqlite3_get_autocommit(db_) == 0; }

Result<Transaction> Transaction::Begin(Database& db) {
  TRY(db.Exec("BEGIN IMMEDIATE"));
  return Transaction(&db);
}
Transaction::Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
Transaction::~Transaction() {
  if (db_) (void)db_->Exec("ROLLBACK");
}
Result<> Transaction::Commit() {
  TRY(db_->Exec("COMMIT"));
  db_ = nullptr;
  return {};
}

}  // namespace veneer
