// Life of an engine, and its control channel.
#include "fs/overlay.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "fs/log.h"
#include "store/markers.h"

namespace veneer::fs {

namespace {

// How long, and for how many files, a copy-up may have to be done again after a crash: the pace of
// the host's own journal.
constexpr std::chrono::milliseconds kSettleAfter{5000};
constexpr size_t kSettleMost = 4096;

}  // namespace

Overlay::Overlay(Parts parts)
    : cache_(std::move(parts.cache)),
      lower_(std::move(parts.lower)),
      upper_(std::move(parts.upper)),
      ownership_(std::move(parts.ownership)),
      behaviour_(parts.behaviour),
      inodes_(cache_.get()) {
  if (!upper_) return;
  to_settle_ = std::make_unique<InodeQueue>(
      [this](const std::vector<InodePtr>& batch) { SettleBatch(batch); }, kSettleAfter,
      kSettleMost);
  to_fill_ =
      std::make_unique<InodeQueue>([this](const std::vector<InodePtr>& batch) { FillBatch(batch); },
                                   std::chrono::milliseconds(0), 1);
}

// Inodes refer to each other and to the descriptor cache: they go before it does.
Overlay::~Overlay() {
  Finish();
  if (upper_) upper_->Unlock();  // forgetting a million inodes takes time; nobody waits for that
  moved_.clear();
  inodes_.Clear();
  root_.reset();
}

Result<std::unique_ptr<Overlay>> Overlay::Create(Parts parts) {
  std::unique_ptr<Overlay> overlay(new Overlay(std::move(parts)));
  TRY(overlay->Start());
  return overlay;
}

Result<> Overlay::Start() {
  Found found;
  TRY_ASSIGN(found.lower, lower_->Root());
  if (upper_) {
    TRY(RecoverPending());
    if (lower_->KnowsNames()) {
      TRY_ASSIGN(journals_, upper_->OpenWorkFolder(markers::kWorkLinks));
    } else {
      TRY_ASSIGN(index_, LinkIndex::Open(*upper_, *lower_));
    }
    found.upper = true;
    if (fstat(upper_->root(), &found.st) != 0) return Errno("upper directory");
    const FileAt at(upper_->root());
    TRY_ASSIGN(found.marks, upper_->ReadMarks(at));
    if (!found.marks.ino) {
      // Below a store mount nobody has made the upper's root like the lower's yet; for a stack, the
      // upper's own attributes count, as the kernel's overlayfs has it.
      TRY_ASSIGN(struct stat st, lower_->Attr(found.lower));
      found.marks.ino = found.lower.ino;
      if (lower_->KnowsNames()) {
        Inode root(inodes_, NodeId(0), found.lower.ino, S_IFDIR, found.lower);
        TRY(ApplyLowerAttributes(upper_->root(), root, st, true));
      } else {
        TRY(upper_->SetMark(at, markers::kIno, std::to_string(found.lower.ino)));
      }
    }
    TRY(OwnRoot(found.lower));
    if (found.marks.opaque) found.lower = {};
  }
  root_ = inodes_.FindOrMake(InoOf(found), [&](NodeId id) {
    auto root = std::make_shared<Inode>(inodes_, id, InoOf(found), S_IFDIR, found.lower);
    if (found.upper) root->upper_ino = found.st.st_ino;
    root->dir->impure = found.marks.impure;
    return root;
  });
  inodes_.Hold(root_);
  if (journals_) TRY(FinishLinkJournals());
  return {};
}

// An upper whose owners are in attributes is known by its root's.
Result<> Overlay::OwnRoot(const LowerRef& lower) {
  if (!upper_->stat_override().active()) return {};
  if (StatOverride::FormOf(upper_->root()) != StatOverride::Form::kNone) return {};
  TRY_ASSIGN(struct stat st, lower_->Attr(lower));
  return upper_->WriteOverride(FileAt(upper_->root()), st);
}

std::string Overlay::UpperForm() const {
  if (!upper_) return "";
  return fmt::format("upper {}: markers {}*, whiteouts are {}, hard links in work/{}, {}",
                     upper_->path(), upper_->MarkName(""),
                     upper_->file_whiteouts() ? "files" : "devices",
                     index_ && index_->kernel_form() ? markers::kWorkIndex : markers::kWorkLinks,
                     behaviour_.metacopy ? "metadata-only copy-up" : "copy-up of whole files");
}

// Data of passthrough handles and mappings is in the host's page cache like any other: syncfs has
// it all.
Result<> Overlay::Sync() {
  if (!upper_) return {};
  TRY(SettleAll());
  return upper_->SyncAll();
}

Result<uint64_t> Overlay::Freeze(std::chrono::milliseconds timeout) {
  TRY(RequireUpper());
  {
    std::lock_guard lock(background_mu_);
    for (const InodePtr& inode : failed_) {
      if (PartialOf(*inode)) return Fail(EIO, "freeze: a copy-up has failed");
    }
  }
  return gate_.Close(timeout);
}

Result<> Overlay::Thaw() { return gate_.Open(); }

void Overlay::ThawForGood() { gate_.OpenForGood(); }

control::Stats Overlay::Statistics() const {
  control::Stats stats = {};
  auto uptime = std::chrono::steady_clock::now() - started_;
  stats.uptime_ms =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(uptime).count());
  stats.inodes = inodes_.size();
  stats.handles = handles_.size();
  stats.lookups = counters_.lookups;
  stats.copy_ups = counters_.copy_ups;
  stats.stubs = counters_.stubs;
  stats.bytes_copied = counters_.bytes_copied;
  stats.whiteouts = counters_.whiteouts;
  stats.copying = partials_.load(std::memory_order_relaxed);
  return stats;
}

control::Identify Overlay::Identity() const {
  control::Identify identity = {};
  auto put = [](char* to, size_t size, const std::string& text) {
    memcpy(to, text.data(), std::min(size - 1, text.size()));
  };
  identity.version = control::kVersion;
  identity.pid = static_cast<__u32>(getpid());
  identity.read_only = read_only() ? 1 : 0;
  put(identity.program, sizeof identity.program, "veneerfs " VENEER_VERSION);
  put(identity.lower, sizeof identity.lower, lower_->Identity());
  if (upper_) put(identity.upper, sizeof identity.upper, upper_->path());
  return identity;
}

}  // namespace veneer::fs
