// A thin RAII face on SQLite: connections, prepared statements, transactions, as Results.
//
// One Database per process and thread of use at a time: callers serialise (Catalog does). Errors:
// ENOSPC for a full disk, EBADMSG for a damaged file, EBUSY when another process held the database
// beyond the busy timeout, EIO else.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace veneer {

class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Parameters are bound in order, from the first.
  Statement& Bind(std::string_view text);
  Statement& Bind(int64_t value);
  Statement& BindBlob(std::string_view bytes);
  Statement& BindNull();

  // Advances: true with a row, false at the end. Run() steps to the end; Reset() makes the
  // statement ready again.
  Result<bool> Step();
  Result<> Run();
  void Reset();

  // Columns of the present row, from 0. Views live until the next Step.
  std::string_view Text(int column) const;
  int64_t Int(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;
  Statement(sqlite3* db, sqlite3_stmt* stmt) : db_(db), stmt_(stmt) {}
  sqlite3* db_;
  sqlite3_stmt* stmt_;
  int next_parameter_ = 1;
};

class Database {
 public:
  // Opens or creates `path` in WAL mode, synchronous=FULL, foreign keys on.
  static Result<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<> Exec(const std::string& sql);
  Result<Statement> Prepare(std::string_view sql);
  int64_t Changes() const;  // rows changed by the last statement
  bool InTransaction() const;

 private:
  explicit Database(sqlite3* db) : db_(db) {}
  sqlite3* db_;
};

// BEGIN IMMEDIATE; rolls back on destruction unless Commit() succeeded.
class Transaction {
 public:
  static Result<Transaction> Begin(Database& db);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<> Commit();

 private:
  explicit Transaction(Database* db) : db_(db) {}
  Database* db_;
};

}  // namespace veneer
