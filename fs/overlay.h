// Overlay: the engine of a mount: a read-only lower and at most one upper shown as one filesystem,
// without FUSE.
//
// A NodeId is what Lookup() and the creating operations hand out, each time with one reference that
// Forget() gives back; a HandleId is what Open(), Create() and TmpFile() hand out, until
// Release(). Every function may be called from any thread at any time; all locking is inside
// (docs/filesystem.md "Locks"); threads that must not wait for long say so (patience.h). Errors are
// errno values as POSIX names them for the system call behind; ESTALE: no such node; EBADF: no such
// handle; EROFS: a change, and there is no upper.
//
// Promises (docs/architecture): the lower is never written; reads through any handle see every
// completed write, before and after the file was copied up; a node's inode number never changes;
// after a crash each file is old or new. Permissions are the kernel's business
// (default_permissions): the engine checks none but Access().
#pragma once

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fs/control.h"
#include "fs/fd_cache.h"
#include "fs/freeze_gate.h"
#include "fs/handle.h"
#include "fs/inode.h"
#include "fs/inode_queue.h"
#include "fs/link_index.h"
#include "fs/listing.h"
#include "fs/lower.h"
#include "fs/ownership.h"
#include "fs/types.h"
#include "fs/upper.h"
#include "store/base/result.h"

namespace veneer::fs {

class Overlay {
 public:
  // What a mount may be told to do otherwise.
  struct Behaviour {
    bool static_nlink = false;    // every directory shows a link count of 1
    bool acl = true;              // false: ACLs are ENOTSUP, and not copied up
    bool write_redirects = true;  // false: renaming a directory that has a lower is EXDEV
    bool metacopy = false;        // changes of attributes alone copy no data
    bool share_programs = false;  // see SharedData
  };
  struct Parts {
    std::unique_ptr<FdCache> cache;
    std::unique_ptr<Lower> lower;
    std::unique_ptr<Upper> upper;  // none: read-only
    Ownership ownership;
    Behaviour behaviour;
  };
  static Result<std::unique_ptr<Overlay>> Create(Parts parts);
  ~Overlay();

  bool read_only() const { return upper_ == nullptr; }
  bool acl() const { return behaviour_.acl; }
  bool shares_programs() const { return shares_programs_.load(std::memory_order_relaxed); }
  // Where it cannot be done. False: nobody wanted it.
  bool StopSharing() { return shares_programs_.exchange(false); }

  // --- Names
  // ---------------------------------------------------------------------------------------------------------
  // ENOENT where the name does not exist. "." and ".." are not names.
  Result<Entry> Lookup(NodeId parent, const std::string& name);
  // True when the node is gone.
  bool Forget(NodeId node, uint64_t count);
  uint64_t inodes() const { return inodes_.size(); }  // in memory

  // EPERM: a 0/0 character device, or a name that starts with ".wh." (docs/conformance.md
  // "Differences").
  Result<Entry> MakeNode(NodeId parent, const std::string& name, mode_t mode, dev_t rdev,
                         const Caller& caller);
  Result<Entry> MakeDir(NodeId parent, const std::string& name, mode_t mode, const Caller& caller);
  Result<Entry> MakeSymlink(NodeId parent, const std::string& name, const std::string& target,
                            const Caller& caller);
  // As link(2) does not follow symlinks; EPERM for directories.
  Result<Entry> Link(NodeId node, NodeId new_parent, const std::string& new_name);
  Result<> Unlink(NodeId parent, const std::string& name);
  Result<> RemoveDir(NodeId parent, const std::string& name);
  // renameat2(2): flags are 0, RENAME_NOREPLACE or RENAME_EXCHANGE (EINVAL otherwise). Directories
  // of the lower move without being copied.
  Result<> Rename(NodeId parent, const std::string& name, NodeId new_parent,
                  const std::string& new_name, unsigned flags);
  Result<std::string> ReadLink(NodeId node);

  // --- Attributes
  // ----------------------------------------------------------------------------------------------------
  Result<struct stat> GetAttr(NodeId node);
  // When the file in the host's filesystem behind `node` was made; nullopt where nobody knows: of
  // the files of a store chain. A copy-up makes a new one.
  Result<std::optional<timespec>> BirthTime(NodeId node);
  Result<struct stat> SetAttr(NodeId node, const AttrChange& change);
  // access(2) by mode bits alone, for mounts without default_permissions.
  Result<> Access(NodeId node, int mask, const Caller& caller);
  Result<std::string> GetXattr(NodeId node, const std::string& name);
  Result<std::vector<std::string>> ListXattr(NodeId node);
  // `flags` as setxattr(2).
  Result<> SetXattr(NodeId node, const std::string& name, std::string_view value, int flags);
  Result<> RemoveXattr(NodeId node, const std::string& name);
  Result<struct statvfs> StatFs();

  // --- Files
  // ---------------------------------------------------------------------------------------------------------
  // `flags` as open(2). Opening to write copies the file up; with O_TRUNC, without its data.
  // `kill_suidgid`: for truncating.
  Result<HandleId> Open(NodeId node, int flags, const KillSuid& kill_suidgid = nullptr);
  // A new file, opened. EEXIST where the name exists.
  Result<std::pair<Entry, HandleId>> Create(NodeId parent, const std::string& name, mode_t mode,
                                            int flags, const Caller& caller);
  // A file without a name, which Link() may give one later.
  Result<std::pair<Entry, HandleId>> TmpFile(NodeId parent, mode_t mode, int flags,
                                             const Caller& caller);
  void Release(HandleId handle);
  // The descriptor with the file's data, if no copy-up can replace it any more (the upper's, or any
  // in a read-only mount) and the engine need not see the writes to it. Null otherwise.
  SharedFd FinalData(HandleId handle);
  // Where programs are shared: the lower's descriptor of an executable or a library (an ELF file)
  // that was opened to read, if its data is the lower's now. Null otherwise. Who reads it there
  // does not see what is written to the file later.
  SharedFd SharedData(HandleId handle);

  // Bytes read; less than `size` only at the end of the file.
  Result<size_t> Read(HandleId handle, void* buffer, size_t size, uint64_t offset);
  // The same of a file that nobody opened: REQUIRES read_only(), where no copy-up can come between
  // two reads of one descriptor.
  Result<size_t> ReadUnopened(NodeId node, void* buffer, size_t size, uint64_t offset);
  Result<uint64_t> SeekUnopened(NodeId node, uint64_t offset, int whence);
  Result<size_t> Write(HandleId handle, std::string_view data, uint64_t offset,
                       const KillSuid& kill_suidgid = nullptr);
  // Returns when what was written to the file is durable (at once where the mount is volatile).
  Result<> Fsync(HandleId handle, bool data_only);
  Result<> Fallocate(HandleId handle, int mode, uint64_t offset, uint64_t length);
  // lseek(2) with SEEK_DATA or SEEK_HOLE.
  Result<uint64_t> Seek(HandleId handle, uint64_t offset, int whence);
  Result<size_t> CopyFileRange(HandleId in, uint64_t offset_in, HandleId out, uint64_t offset_out,
                               size_t length);
  // The inode attribute ioctls (FS_IOC_GETFLAGS …): `argument` is read and written in place.
  Result<> FileIoctl(NodeId node, unsigned request, void* argument);

  // --- Directories
  // ---------------------------------------------------------------------------------------------------
  // Calls `visit` for the entries behind position `offset` (0: from the first), "." and ".." first,
  // with the position behind each; it returns false to stop. Positions stay valid as long as the
  // node lives (listing.h); from position 0 on, what is there now is shown. True: what others have
  // cached of earlier answers must be dropped before they get this one.
  using VisitDir = std::function<bool(const DirItem& item, uint64_t next)>;
  Result<bool> ReadDir(NodeId dir, uint64_t offset, const VisitDir& visit);
  Result<> FsyncDir(NodeId dir);

  // --- Control (control.h)
  // -------------------------------------------------------------------------------------------
  Result<> Sync();
  // Returns when every file that had only its attributes in the upper has its data there too, for
  // readers of the upper that know no metadata-only files.
  Result<> Complete();
  // The number of this freeze.
  Result<uint64_t> Freeze(std::chrono::milliseconds timeout);
  Result<> Thaw();
  void ThawIf(uint64_t freeze) { gate_.OpenIf(freeze); }  // where that is the one that lasts
  void ThawForGood();  // and every Freeze() fails, those under way too: the mount is ending
  // For servers that cannot be asked to thaw once more than `most` requests wait: then it thaws.
  void LimitWaiting(unsigned most) { gate_.LimitWaiting(most); }
  control::Stats Statistics() const;
  control::Identify Identity() const;
  // One line for the log: which form the host allows the upper (docs/upper-format.md). Empty where
  // there is none.
  std::string UpperForm() const;

 private:
  // What a name means in a directory.
  struct Found {
    bool whiteout = false;  // the upper has a whiteout there
    bool upper = false;     // the upper has an entry there
    struct stat st = {};    // of the upper's entry
    Marks marks;            // of the upper's entry
    LowerRef lower;         // the lower's entry: the file, or what a directory merges with
    std::optional<struct stat> lower_attr;  // of the lower's entry, where it is known
    bool exists() const { return upper || lower; }
  };
  // What a change needs of a file's copy in the upper: its attributes; the same, in its place under
  // its names; data that can be written to, if not all of it yet; or none of its data.
  enum class Need { kAttributes, kPlaced, kData, kEmpty };
  class CopyTurn;
  struct RenameEnds;

  explicit Overlay(Parts parts);
  Result<> Start();
  Result<> OwnRoot(const LowerRef& lower);

  // lookup.cc
  Result<Found> Probe(Inode& dir, const std::string& name) REQUIRES_SHARED_LOCK(dir.dir->entries);
  // The inode of `found`, which is `name` in `dir`.
  Result<InodePtr> InodeOf(const InodePtr& dir, const std::string& name, const Found& found)
      REQUIRES_SHARED_LOCK(dir->dir->entries);
  Result<> SettleStub(const InodePtr& inode);
  // The child called `name`; nullptr where there is none. `found` may be null.
  Result<InodePtr> Child(const InodePtr& dir, const std::string& name, Found* found)
      REQUIRES_SHARED_LOCK(dir->dir->entries);
  uint64_t InoOf(const Found& found) const;
  Result<> CheckName(const std::string& name, bool creating) const;
  Result<Entry> EntryOf(const InodePtr& inode, const struct stat* hint,
                        const struct stat* lower_hint = nullptr);

  // attributes.cc: as on disk, but for the numbers; Ownership::Shown() is applied where they leave.
  // The hints, which may be null, are what is known of its file in the upper and of its lower.
  Result<struct stat> Attr(const InodePtr& inode, const struct stat* hint = nullptr,
                           const struct stat* lower_hint = nullptr);
  Result<> SetDirNlink(Inode& dir, struct stat& st);
  // chown of the upper's file `fd`; -1 leaves one as it is.
  Result<> ChangeOwner(int fd, uid_t uid, gid_t gid);
  Result<> ChangeMode(int fd, mode_t mode);
  // Gives a new file owner, mode, type and device of `st`.
  Result<> ImposeOwner(int fd, const struct stat& st);
  // Before data changes: what the host does by itself where it knows of the capability.
  Result<> DropCapability(int fd);
  Result<> ForgetCapability(int fd, Inode& inode);
  void CountSubdirectory(Inode& dir, int change);
  Result<> ClearSuid(int fd, Inode& inode, const KillSuid& in_group);
  // Held while mode, owner or capabilities of the inode's file in the upper change.
  Mutex& PrivilegesOf(const Inode& inode) { return privileges_[inode.ino % privileges_.size()]; }

  // upper_path.cc: reaching an inode's file in the upper. REQUIRES: has_upper().
  struct UpperAt {
    SharedFd dir;
    std::string name;
  };
  Result<SharedFd> UpperDir(const InodePtr& dir);
  Result<UpperAt> Locate(const InodePtr& inode, size_t attempt);
  // A descriptor of it: O_PATH for attributes, or with data access for regular files.
  Result<SharedFd> OpenUpper(const InodePtr& inode, int flags);
  Result<struct stat> StatUpper(const InodePtr& inode);

  // copy_up.cc
  Result<> RequireUpper() const { return upper_ ? Result<>() : Fail(EROFS, "read-only mount"); }
  struct DirCopy {
    UniqueFd fd;
    uint64_t upper_ino = 0;
  };
  // Makes `made` a directory with the attributes of the lower's `dir`, and nothing in it.
  Result<DirCopy> CopyDir(const Inode& dir, const Temporary& made);
  // After these, has_upper() holds, and the upper's file has what is needed. No directory lock may
  // be held.
  Result<> EnsureUpperDir(const InodePtr& dir);
  Result<> EnsureRemovedDir(const InodePtr& dir);
  Result<> EnsureUpper(const InodePtr& inode, Need need);
  Result<> CopyUpInTurn(const InodePtr& inode, Need need);
  Result<> CopyUpFile(const InodePtr& inode, Need need);
  Result<> FillStub(const InodePtr& inode, Need need);
  // Before a stub's name changes or is joined by another: its data must be found from there too.
  Result<> AnchorStub(const InodePtr& inode);
  Result<> ApplyLowerAttributes(int fd, const Inode& inode, const struct stat& st, bool times);
  Result<SharedFd> Place(const InodePtr& inode, Temporary& file, const struct stat& st);
  // Gives the file its one name by `put`, and returns the directory; null where it has lost it.
  using Put = std::function<Result<>(int dirfd, const char* name)>;
  Result<SharedFd> PlaceOneName(const InodePtr& inode, const Put& put);
  // `waits`: the file has the marker `veneer.pending` instead.
  Result<> RemoveStubMark(const InodePtr& inode, int fd, bool waits);
  Result<> MarkImpure(Inode& dir, int dirfd);
  void Publish(const InodePtr& inode, uint64_t upper_ino, Data data, UniqueFd fd);

  // partial_copy_up.cc: large files, block by block. The first four REQUIRE the inode's turn
  // (CopyTurn). False: it cannot be done so, and nothing was done; true: data is kPartial now.
  Result<bool> CopyUpInPart(const InodePtr& inode, const UniqueFd& from, const struct stat& st);
  // Of a stub that has not been touched.
  Result<bool> MayFillInPart(int stub, const struct stat& st);
  // `to`: all hole.
  Result<bool> BeginPartial(const InodePtr& inode, const UniqueFd& from, int to, uint64_t size,
                            bool placed);
  Result<> FinishPartial(const InodePtr& inode);
  void FillBatch(const std::vector<InodePtr>& batch);
  // Returns when the file's data is all in the upper, if it is on its way.
  Result<> AwaitWhole(const InodePtr& inode);
  // Bringing a stub's data takes attributes away and puts them back as they were: where `inode` is
  // one, `turn` is taken, for changes of its attributes meanwhile. kWouldWait: another has it.
  Result<> HoldStub(const InodePtr& inode, std::optional<CopyTurn>& turn);
  PartialCopyPtr PartialOf(Inode& inode);

  // settle.cc: copies that are durable later.
  // Writes the marker. False: the copy cannot wait, and must be synced now.
  Result<bool> MarkPending(int fd, const Inode& inode);
  // Makes the file's data durable now. REQUIRES: patience.
  Result<> Settle(const InodePtr& inode);
  Result<> Unmark(const InodePtr& inode);  // REQUIRES: its data is durable
  void SettleBatch(const std::vector<InodePtr>& batch);
  // Keeps the inode until SettleAll() tries again.
  void FailedInBackground(const InodePtr& inode, Error error);
  // Cuts the upper's file; whether it is whole is known by its size until it is settled.
  Result<> TruncateData(const InodePtr& inode, int fd, uint64_t size);
  Result<> RecoverPending();
  Result<bool> RecoverTree(SharedFd dir);  // false: some could not be
  Result<> RecoverFile(int dirfd, const std::string& name);
  Result<> RefillStub(int from, int to, uint64_t size);
  // Fills and settles everything; an error where something could not be.
  Result<> SettleAll();
  void Finish();

  // chain_links.cc: lower inodes with several names, in a store mount.
  Result<SharedFd> PlaceAllNames(const InodePtr& inode, Temporary& file);
  Result<InodePtr> FindLowerDir(uint64_t ino);  // where it is now; nullptr: nowhere
  Result<> FindMovedDirs();
  void NoteMoved(const InodePtr& dir);
  Result<> FinishLinkJournals();
  using JournalNames = std::set<std::pair<uint64_t, std::string>>;  // directory's number, name
  Result<> FinishLinkJournal(uint64_t ino, const std::string& hex, const JournalNames& names);

  // stack_links.cc: the same, in a directory stack.
  Result<SharedFd> PlaceIndexed(const InodePtr& inode, Temporary& file, const struct stat& st);
  // Makes the lower's name `name`, which is `lower`, a link of the indexed file.
  Result<> LinkFromIndex(const InodePtr& inode, const LowerRef& lower, Inode& dir, int dirfd,
                         const std::string& name);
  // Held while a name of `inode` comes or goes; holds nothing where it is not indexed.
  std::unique_lock<std::mutex> CountingNames(const Inode& inode);
  Result<bool> LostIndexedName(const InodePtr& inode);  // true: it was the last

  // upper_walk.cc
  using VisitUpper = std::function<Result<>(const InodePtr& inode, const Found& found)>;
  enum class Walk { kDirectories, kEverything };
  // Calls `visit` for what the upper has, directories before what is in them.
  Result<> WalkUpper(Walk what, const VisitUpper& visit);

  // create.cc
  // Owner and mode of a new file `asked` for in `parent`, where the host does not give them.
  Result<struct stat> OwnerOfNew(const InodePtr& parent, const Caller& owner, struct stat asked);
  using Make = std::function<Result<>(int dirfd, const std::string& name)>;
  // Makes the entry `name` by `make`, as `caller` (null: as the daemon). It is a name of
  // `existing`, or a new inode. `st`: the type, mode and device asked for; then, what it has.
  Result<InodePtr> MakeEntry(const InodePtr& parent, const std::string& name, const Caller* caller,
                             const InodePtr& existing, const Make& make, struct stat* st);

  // remove.cc
  Result<bool> IsEmpty(const InodePtr& dir) REQUIRES_SHARED_LOCK(dir->dir->entries);
  // `found` is what Probe() said of the name, under the lock that is still held: the lower is asked
  // only where that does not tell.
  Result<bool> LowerHas(Inode& dir, const std::string& name, const Found& found);
  // Makes a whiteout at the free name, or replaces the non-directory there by one.
  Result<> PutWhiteout(int dirfd, const std::string& name, bool replace);
  // Before a name of `file` goes: if the lower has several, its copy-up is done, with all of them.
  // `found` is the name as `file` was found under it; what the lower says does not change.
  Result<> EnsureAllNames(const InodePtr& file, const Found& found);
  Result<bool> HasAllNames(Inode& file, const Found& found);  // EnsureAllNames() has nothing to do
  // `found`, which is `child`, is what the name is, under the lock.
  Result<> UnlinkLocked(const InodePtr& dir, const std::string& name, const InodePtr& child,
                        Found found) REQUIRES_LOCK(dir->dir->entries);
  // The last name of `inode` is gone, or is about to go: keeps what is needed to go on serving it.
  Result<SharedFd> OpenOrphan(const InodePtr& inode);
  void Bury(const InodePtr& inode, SharedFd orphan);
  Result<> LostName(const InodePtr& inode, SharedFd orphan);

  // rename.cc
  Result<> FindEnds(RenameEnds& ends);
  Result<> RaiseEnds(const RenameEnds& ends);
  Result<bool> TryRename(RenameEnds& ends);
  Result<> RenameLocked(RenameEnds& ends);
  Result<> ReplaceByEmptyDir(const InodePtr& dir, int dirfd, const std::string& name,
                             const Temporary& clean);
  Result<> MoveLeavingWhiteout(const RenameEnds& ends, int from, int to);
  Result<> CheckTopology(const RenameEnds& ends);
  Result<> SettleDirectory(const InodePtr& dir, Inode& new_parent, const std::string& new_name,
                           const Found& at_new_name);
  Result<std::string> LowerPathOf(const InodePtr& dir);
  bool IsAncestor(const InodePtr& ancestor, const InodePtr& node);

  // file_io.cc
  // `flags` as open(2): what the backing is needed for.
  Result<BackingPtr> OpenBacking(const InodePtr& inode, int flags);
  static bool MayOpenLater(Inode& inode);
  Result<UniqueFd> OpenUnopened(NodeId node);
  Result<BackingPtr> BackingOf(HandleId handle);
  HandleId NewFile(const InodePtr& inode, int flags, UniqueFd fd);  // `fd`: the upper's, O_RDWR
  Result<BackingPtr> WritableBackingOf(HandleId handle, InodePtr* inode);
  Result<> SyncParent(Inode& inode);

  // directory.cc
  Result<ListingPtr> List(const InodePtr& dir);
  Result<> MergeUpper(const InodePtr& dir, std::vector<Listing::Item>& items)
      REQUIRES_SHARED_LOCK(dir->dir->entries);
  Result<std::optional<DirItem>> UpperItem(Inode& dir, const struct dirent& entry)
      REQUIRES_SHARED_LOCK(dir.dir->entries);

  // xattr.cc
  // ENOTSUP: attributes that this mount does not have.
  Result<> CheckXattr(const std::string& name) const;
  // As on disk.
  Result<std::string> StoredXattr(const InodePtr& inode, const std::string& name);
  using Change = std::function<Result<>(Inode& inode, const FileAt& file)>;
  Result<> ChangeXattr(NodeId node, const Change& change);

  const std::unique_ptr<FdCache> cache_;
  const std::unique_ptr<Lower> lower_;
  const std::unique_ptr<Upper> upper_;
  const Ownership ownership_;
  const Behaviour behaviour_;
  FreezeGate gate_;
  std::atomic<bool> shares_programs_{behaviour_.share_programs && !read_only()};
  std::atomic<unsigned> partials_{0};  // files that are kPartial, and not given up
  InodeTable inodes_;
  HandleTable handles_;
  ListingCache listings_;
  const uint64_t seed_ = std::random_device()();  // of positions in listings
  InodePtr root_;

  std::array<Mutex, 64> privileges_;
  Mutex rename_mu_;  // renames from one directory to another

  std::unique_ptr<LinkIndex> index_;  // directory stacks with an upper

  // Store mounts: the journals of copy-ups of several names, and directories of the lower that are
  // not at their lower place, by number.
  SharedFd journals_;
  std::mutex moved_mu_;
  std::unordered_map<uint64_t, InodePtr> moved_;
  bool moved_complete_ = false;  // the upper was searched for earlier ones

  std::mutex background_mu_;
  bool noted_ = false;            // work/pending was made
  bool unrecovered_ = false;      // files keep the marker of a mount before: so does work/pending
  std::vector<InodePtr> failed_;  // to be filled or settled, which failed
  std::optional<Error> background_error_;
  std::unique_ptr<InodeQueue> to_settle_;  // inodes that are pending
  std::unique_ptr<InodeQueue> to_fill_;    // inodes that are kPartial

  struct Counters {
    std::atomic<uint64_t> lookups{0}, copy_ups{0}, stubs{0}, bytes_copied{0}, whiteouts{0};
  };
  Counters counters_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace veneer::fs
