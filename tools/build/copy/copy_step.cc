#include "tools/build/copy/copy_step.h"

#include <ctime>
#include <utility>

#include "tools/build/copy/copied_source.h"
#include "tools/build/copy/copy_into.h"
#include "tools/build/copy/copy_key.h"
#include "tools/build/copy/copy_plan.h"
#include "tools/build/copy/one_file_source.h"
#include "tools/build/copy/plan_path.h"
#include "tools/build/copy/source_match.h"
#include "tools/build/copy/unpack.h"
#include "tools/build/language/go_glob.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

// A destination in its shortest form; what says that it is a directory stays.
std::string CleanDestination(const std::string& destination) {
  std::string clean = CleanPath("/" + destination);
  if (clean == "/") return clean;
  if (destination.ends_with("/") || destination.ends_with("/.")) clean += '/';
  return clean;
}

// A name as a pattern that matches nothing else.
std::string Escaped(const std::string& name) {
  std::string pattern;
  for (const char c : name) {
    if (std::string_view("*?[]\\!").contains(c)) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// The contents of a source, as they were when it was matched.
class SourceContents : public PlanContents {
 public:
  explicit SourceContents(const CopiedSource& source) : source_(source) {}

  Result<UniqueFd> Open(size_t number) override {
    const CopiedEntry& entry = source_.entries[number];
    auto opened = source_.tree->Open(entry.path);
    if (!opened && opened.error().code() == ENOENT) return ChangedMeanwhile(entry.path);
    if (opened) TRY(Verify(number, opened->get()));
    return opened;
  }

  Result<> Verify(size_t number, int fd) override {
    const CopiedEntry& entry = source_.entries[number];
    if (entry.in_store) return {};
    TRY_ASSIGN(const FileStamp stamp, StampOf(fd));
    if (stamp != entry.stamp) return ChangedMeanwhile(entry.path);
    return {};
  }

 private:
  const CopiedSource& source_;
};

class Step : public CopyStep {
 public:
  Step(CopySpec spec, std::shared_ptr<const tree::MergedTree> chain)
      : spec_(std::move(spec)), chain_(spec_.link ? nullptr : std::move(chain)) {}

  Result<> Read(const Store& store) {
    manner_.destination = CleanDestination(spec_.destination);
    manner_.chmod = spec_.chmod;
    manner_.parents = spec_.parents;
    manner_.link = spec_.link;
    if (!spec_.chmod.empty()) {
      TRY_ASSIGN(mode_, ModeChange::Parse(spec_.chmod));
    }
    if (!spec_.chown.empty()) {
      std::unique_ptr<SourceTree> image;
      if (chain_ && chain_->name_count() > 0) image = OpenChainSource(store, chain_);
      TRY_ASSIGN(manner_.owner, ResolveOwner(spec_.chown, image.get()));
    }
    if (!spec_.exclude.empty()) {
      TRY_ASSIGN(exclude_, IgnoreMatcher::Parse(spec_.exclude));
    }
    for (const std::string& source : spec_.sources)
      TRY(spec_.parents ? AddWithParents(source) : AddSource(source));
    for (const FetchedFile& file : spec_.fetched) {
      TRY_ASSIGN(auto tree, OpenFileSource(file.name, file.path, file.mtime));
      TRY(AddFile(std::move(tree), file.name, spec_.unpack.value_or(false), false));
    }
    for (const SourceTree* repository : spec_.checked_out) {
      TRY(Add(*repository, {.name = "", .relative = "", .path = ""}, Filter()));
      sources_.back().contents_only = false;
    }
    for (const HeredocSource& heredoc : spec_.heredocs) {
      TRY_ASSIGN(auto tree, MakeContentSource(heredoc.path, heredoc.content));
      TRY(AddFile(std::move(tree), heredoc.path, false, true));
    }
    key_ = CopyKey(manner_, sources_);
    return {};
  }

  Digest Key() const override { return key_; }

  Result<> Write(LayerWriter& writer, std::optional<int64_t> latest_mtime) override {
    CopyRules rules;
    rules.destination = manner_.destination;
    rules.owner = manner_.owner;
    rules.mode = mode_;
    rules.now = latest_mtime.value_or(std::time(nullptr));
    TRY_ASSIGN(const auto plan, CopyPlan::Create(chain_));
    // What the plan refers to for contents, until it is written.
    std::vector<std::unique_ptr<SourceContents>> contents;
    std::unique_ptr<ContentSpool> spool;
    for (const CopiedSource& source : sources_) {
      SourceContents& content = *contents.emplace_back(std::make_unique<SourceContents>(source));
      if (!source.unpack) {
        TRY(CopyInto(*plan, source, content, rules));
        continue;
      }
      if (!spool) {
        TRY_ASSIGN(ContentSpool made, ContentSpool::Create(spec_.scratch));
        spool = std::make_unique<ContentSpool>(std::move(made));
      }
      TRY(Unpack(*plan, content, *spool, rules));
    }
    return plan->Write(writer, latest_mtime);
  }

 private:
  CopyFilter Filter() const { return {.exclude = exclude_ ? &*exclude_ : nullptr}; }

  // COPY: a path or a pattern.
  Result<> AddSource(const std::string& source) {
    const bool literal = spec_.literal;
    TRY_ASSIGN(const std::vector<SourceMatch> matches,
               literal ? NamedSource(*spec_.from, SourcePath(source))
                       : MatchSource(*spec_.from, SourcePath(source)));
    for (const SourceMatch& match : matches) {
      TRY_ASSIGN(const bool excluded, IsExcluded(match, !literal && HasWildcards(source)));
      if (excluded) continue;
      TRY(Add(*spec_.from, match, Filter()));
      CopiedSource& added = sources_.back();
      added.unpack = spec_.unpack.value_or(spec_.is_add);
      TRY(CheckArchive(added));
    }
    return {};
  }

  // COPY --parents: what is behind "/./" (or all of the path) is made below the destination.
  Result<> AddWithParents(const std::string& source) {
    const size_t pivot = spec_.literal ? source.npos : source.find("/./");
    const std::string base = pivot == source.npos ? "" : source.substr(0, pivot);
    const std::string pattern = pivot == source.npos ? source : source.substr(pivot + 3);
    const std::string below = SourcePath(pattern);
    const bool plain = spec_.literal || (!HasWildcards(base) && !HasWildcards(pattern));
    if (plain) {
      const std::string path = SourcePath(base + "/" + below);
      if (auto found = FollowLinks(*spec_.from, path); !found) {
        if (found.error().code() == ENOENT) return SourceNotFound(path);
        return std::unexpected(found.error());
      }
    }
    CopyFilter filter = Filter();
    std::optional<IgnoreMatcher> include;
    if (!below.empty()) {
      TRY_ASSIGN(include, IgnoreMatcher::Parse({spec_.literal ? Escaped(below) : below}));
      filter.include = &*include;
      for (std::string& part : Split(below, '/')) {
        if (!spec_.literal && part.find_first_of("*?[\\") != part.npos) break;
        filter.include_below.push_back(std::move(part));
      }
    }
    TRY_ASSIGN(const std::vector<SourceMatch> matches, MatchSource(*spec_.from, SourcePath(base)));
    for (const SourceMatch& match : matches) TRY(Add(*spec_.from, match, filter));
    return {};
  }

  Result<> AddFile(std::unique_ptr<SourceTree> tree, const std::string& name, bool unpack,
                   bool made_now) {
    owned_.push_back(std::move(tree));
    TRY(Add(*owned_.back(), {.name = name, .relative = name, .path = name}, {}));
    CopiedSource& added = sources_.back();
    added.contents_only = false;
    added.unpack = unpack;
    added.made_now = made_now;
    return CheckArchive(added);
  }

  Result<> Add(const SourceTree& tree, const SourceMatch& match, const CopyFilter& filter) {
    CopiedSource source;
    source.tree = &tree;
    source.name = match.name;
    TRY_ASSIGN(source.entries, CollectEntries(tree, match.path, filter));
    TRY(HashContents(tree, source.entries));
    sources_.push_back(std::move(source));
    return {};
  }

  // --exclude is about what is in a directory, but also about files that are named themselves, as
  // Docker's reference has it.
  Result<bool> IsExcluded(const SourceMatch& match, bool by_wildcard) const {
    if (!exclude_ || !exclude_->Ignores(match.relative)) return false;
    TRY_ASSIGN(const SourceEntry entry, spec_.from->Stat(match.path));
    if (!S_ISDIR(entry.attr.mode)) return true;
    return by_wildcard && !exclude_->has_exceptions();
  }

  // Leaves `unpack` only with archives.
  static Result<> CheckArchive(CopiedSource& source) {
    if (!source.unpack) return {};
    const CopiedEntry& top = source.entries.front();
    source.unpack = false;
    if (!top.has_content()) return {};
    TRY_ASSIGN(const UniqueFd fd, source.tree->Open(top.path));
    TRY_ASSIGN(source.unpack, IsArchive(fd.get()));
    return {};
  }

  Result<> Unpack(CopyPlan& plan, SourceContents& archive, ContentSpool& spool,
                  const CopyRules& rules) const {
    TRY_ASSIGN(const UniqueFd fd, archive.Open(0));
    TRY_ASSIGN(const PlanPath path, FollowInPlan(plan, plan.root(), rules.destination));
    TRY_ASSIGN(PlanNode * destination,
               MakeDirectories(plan, plan.root(), path, DirectoryOnTheWay(rules, false)));
    TRY(UnpackArchive(fd.get(), plan, *destination, spool, rules.owner, rules.now));
    return archive.Verify(0, fd.get());
  }

  const CopySpec spec_;
  const std::shared_ptr<const tree::MergedTree> chain_;
  CopyManner manner_;
  std::optional<ModeChange> mode_;
  std::optional<IgnoreMatcher> exclude_;
  std::vector<std::unique_ptr<SourceTree>> owned_;
  std::vector<CopiedSource> sources_;
  Digest key_;
};

}  // namespace

Result<std::unique_ptr<CopyStep>> CopyStep::Prepare(Store& store, CopySpec spec,
                                                    std::shared_ptr<const tree::MergedTree> chain) {
  auto step = std::make_unique<Step>(std::move(spec), std::move(chain));
  TRY(step->Read(store));
  return step;
}

}  // namespace veneer::build
