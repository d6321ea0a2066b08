// Inode: what the engine knows of one file, shared by all its names; and InodeTable, where inodes
// are found.
//
// An inode is found by its NodeId while the kernel holds references to it, and by its inode number
// while anything does: that is what makes two names of one file one inode. Children hold their
// parents. Nothing here does I/O. Locks: docs/filesystem.md "Locks".
//
// Millions of them may be in memory, so they are kept small: what few have stands in Inode::Rare.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "fs/fd_cache.h"
#include "fs/freeze_gate.h"
#include "fs/inode_chains.h"
#include "fs/lower.h"
#include "fs/name_list.h"
#include "fs/partial_copy.h"
#include "fs/types.h"
#include "store/base/mutex.h"

namespace veneer::fs {

class InodeTable;

// The descriptor behind the open handles of a file. Immutable: a copy-up makes another one and
// swaps it in.
struct Backing {
  UniqueFd fd;
  bool upper = false;                // the upper's file: its attributes count
  bool writable = false;             // opened O_RDWR
  bool appends = false;              // and O_APPEND: the file is append-only
  PartialCopyPtr partial = nullptr;  // data goes through it
};
using BackingPtr = std::shared_ptr<const Backing>;

// Where a regular file's data and attributes are. It goes down this list only, over as few or many
// of them as it likes.
enum class Data : uint8_t {
  kLower,    // all in the lower
  kStub,     // attributes in the upper, data in the lower
  kPartial,  // attributes in the upper, data coming (PartialFile)
  kUpper,    // all in the upper
};

// What a file in state kPartial has.
struct PartialFile {
  PartialCopyPtr copy;
  bool placed = false;  // it was a stub: the upper has it under its names already
  // Freezing waits until the data is there.
  std::shared_ptr<Passage> passage;
};

// What only directories have.
struct DirState {
  explicit DirState(uint64_t fd_key) : key(fd_key) {}

  // The directory's entries: shared to look up, exclusive to copy them up, EntriesLock to change
  // what a listing shows.
  SharedMutex entries;
  std::atomic<uint64_t> changes{0};  // how often that may have been
  const uint64_t key;                // of the upper directory, in the descriptor cache
  std::atomic<bool> impure{false};   // the upper directory carries `impure`
  // Guarded by Inode::mu.
  std::string redirect;            // absolute path in the lower, once renamed
  std::optional<int> nlink_delta;  // subdirectories the upper adds to the lower's, once counted
};

// Exclusive: the entries of a directory change, and its listings are out of date then.
class SCOPED_CAPABILITY EntriesLock {
 public:
  explicit EntriesLock(DirState& dir) ACQUIRE(dir.entries) : dir_(dir) { dir.entries.Lock(); }
  ~EntriesLock() RELEASE() {
    ++dir_.changes;
    dir_.entries.Unlock();
  }
  EntriesLock(const EntriesLock&) = delete;
  EntriesLock& operator=(const EntriesLock&) = delete;

 private:
  DirState& dir_;
};

class Inode : public std::enable_shared_from_this<Inode> {
 public:
  Inode(InodeTable& table, NodeId id, uint64_t ino, mode_t type, LowerRef lower);
  ~Inode();
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;

  const NodeId id;
  const uint64_t ino;    // what stat shows
  const LowerRef lower;  // the lower file or merged directory; none for what was born in the upper
  const std::unique_ptr<DirState> dir;  // directories only

  bool IsDir() const { return S_ISDIR(type); }
  // True once the upper has the file (at least a stub) or directory; never becomes false again.
  bool has_upper() const { return upper_ino.load(std::memory_order_acquire) != 0; }
  std::atomic<uint64_t> upper_ino{0};  // st_ino in the upper's filesystem

  Mutex mu;
  NameList names GUARDED_BY(mu);      // those the engine has met; directories: one
  BackingPtr backing GUARDED_BY(mu);  // while there are open handles

  const mode_t type;  // S_IFMT bits
  uint32_t opens GUARDED_BY(mu) = 0;
  std::atomic<int> link_delta{0};  // indexed: names beyond the links of the upper's file
  // Of the attributes that the kernel asks for at every turn (xattr.cc), those that the file is
  // known not to have; above them a number that changes with each that comes, or comes back.
  enum Lack : uint32_t {
    kLacksAccessAcl = 1,
    kLacksDefaultAcl = 2,
    kLacksCapability = 4,
    kNextLack = 8,  // one of the number
  };
  std::atomic<uint32_t> lacks{0};
  // To be called before and after some of them are set, and after they were gone for a while:
  // nobody goes on with what he saw meanwhile.
  void ForgetLacks(uint32_t bits) {
    uint32_t before = lacks.load();
    while (!lacks.compare_exchange_weak(before, (before & ~bits) + kNextLack)) {
    }
  }
  // Not 0: the removal of the stub's marker may not be durable yet. fdatasync does not bring an
  // attribute's removal to the disk, so the next Fsync() is a whole one and sets 0; each value is
  // set once, so that a removal meanwhile is not missed.
  enum MarkRemoval : uint8_t { kMarkSettled, kMarkRemovedBefore, kMarkRemoved };
  std::atomic<MarkRemoval> mark_removal{kMarkSettled};
  // True: the file is reached through work/links/<ino>, not through its names.
  std::atomic<bool> indexed{false};
  // The upper's file carries `veneer.pending`: its data was copied and may not be durable yet. Set
  // before the data is kUpper, and cleared after the marker is gone.
  std::atomic<bool> pending{false};
  // False once it is known that a write need not clear setuid, setgid.
  std::atomic<bool> maybe_suid{true};
  // Likewise for capabilities that the host does not know of.
  std::atomic<bool> maybe_capable{true};
  // The last change was the removal of its capabilities.
  std::atomic<bool> capability_removed{false};
  bool dead GUARDED_BY(mu) = false;     // no names are left
  bool copying GUARDED_BY(mu) = false;  // a copy-up runs; waiters wait on InodeTable::copied
  Data data GUARDED_BY(mu) = Data::kLower;

  // What an inode has only while it is copied up, or once it is nameless.
  struct Rare {
    PartialFile partial;  // where `data` is kPartial
    // The upper file or directory of an inode without names, dead or not, or not yet placed.
    SharedFd orphan;
    // The attributes to show while `copying` disturbs those of the file.
    std::unique_ptr<struct stat> shown;
    // Likewise its security.capability.
    std::optional<std::string> shown_capability;
  };
  const Rare& rare() const REQUIRES_LOCK(mu) { return rare_ ? *rare_ : kNothingRare; }
  // To change it. TidyRare() is for who has taken something out.
  Rare& MakeRare() REQUIRES_LOCK(mu);
  void TidyRare() REQUIRES_LOCK(mu);

  // Adds or removes one name. REQUIRES: the entries lock of `parent`, exclusive (adding: shared
  // will do).
  void AddName(const InodePtr& parent, const std::string& name) EXCLUDES_LOCK(mu);
  void RemoveName(const Inode* parent, const std::string& name) EXCLUDES_LOCK(mu);
  // Replaces one name by another, so that there is no moment without.
  void MoveName(const Inode* parent, const std::string& name, const InodePtr& new_parent,
                const std::string& new_name) EXCLUDES_LOCK(mu);

 private:
  friend class InodeTable;
  // It was in the table by number. Set before anybody else knows it, and never cleared, so that its
  // end can read it without the lock: ~Inode() of one that was not may run under that.
  bool listed_ = false;
  static const Rare kNothingRare;
  std::unique_ptr<Rare> rare_ GUARDED_BY(mu);
  InodeTable& table_;
  // Guarded by the locks of the table's shards that the inode is in, by node and by number.
  uint64_t nlookup_ = 0;
  InodePtr held_;  // itself, while that is not 0
  Inode* next_by_id_ = nullptr;
  Inode* next_by_ino_ = nullptr;
};

class InodeTable {
 public:
  explicit InodeTable(FdCache* cache) : cache_(cache) {}
  ~InodeTable() { Clear(); }

  // The inode with number `ino`, made by calling `make(NodeId)` where there is none.
  template <typename Make>
  InodePtr FindOrMake(uint64_t ino, Make make) {
    Shard& shard = ByIno(ino);
    MutexLock lock(shard.mu);
    Inode* known = shard.by_ino.Find(ino);
    if (known != nullptr) {
      if (InodePtr inode = known->weak_from_this().lock()) return inode;
    }
    InodePtr inode = make(NodeId(next_id_.fetch_add(1, std::memory_order_relaxed)));
    if (known != nullptr) shard.by_ino.Remove(known);
    shard.by_ino.Add(inode.get());
    inode->listed_ = true;
    return inode;
  }
  InodePtr FindByIno(uint64_t ino);
  // ESTALE where the kernel holds no such node.
  Result<InodePtr> Find(NodeId id);

  // The kernel's references. Hold() counts one more; Forget() takes `count` away.
  void Hold(const InodePtr& inode);
  bool Forget(NodeId id, uint64_t count);  // true: it held the last ones

  // No lookup by number finds `inode` any more: it has no names, or no users, and its number may be
  // given again.
  void Retire(const Inode& inode);

  // Drops everything, whatever the kernel holds: the mount is over.
  void Clear();

  FdCache* cache() const { return cache_; }
  // Where waiters for the copy-up of `inode` wait.
  CondVar& copied(const Inode& inode) { return copied_[inode.ino % copied_.size()]; }
  uint64_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  friend class Inode;
  static constexpr size_t kShards = 64;
  using ChainsById = InodeChains<Inode, &Inode::next_by_id_, &Inode::id>;
  using ChainsByIno = InodeChains<Inode, &Inode::next_by_ino_, &Inode::ino>;
  struct Shard {
    Mutex mu;
    ChainsById by_id GUARDED_BY(mu);  // those that the kernel holds, and which hold themselves
    // Those that were not retired. Nobody may hold one any more: its weak_from_this() says so, and
    // can be asked, for ~Inode() waits for this lock to retire it before anything of it goes.
    ChainsByIno by_ino GUARDED_BY(mu);
  };
  Shard& ById(NodeId id) { return shards_[static_cast<uint64_t>(id) % kShards]; }
  Shard& ByIno(uint64_t ino) { return shards_[(ino ^ (ino >> 8)) % kShards]; }

  FdCache* const cache_;
  std::atomic<uint64_t> next_id_{static_cast<uint64_t>(NodeId::kRoot)};
  std::atomic<uint64_t> size_{0};
  std::array<CondVar, 32> copied_;
  std::array<Shard, kShards> shards_;
};

}  // namespace veneer::fs
