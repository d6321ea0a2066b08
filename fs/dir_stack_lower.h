// DirStackLower: a lower made of plain directories, the first on top: what the kernel's overlayfs
// calls lowerdir.
//
// Reads the overlayfs form (0/0 devices, opaque, redirect, metacopy and whiteout attributes under
// any of the three prefixes) and the AUFS form (.wh.NAME, .wh..wh..opq), mixed as they come. Layers
// are held as one descriptor each; directories are reached through a bounded cache, and nothing is
// ever resolved through a symlink.
//
// Names of directories that are merged from several layers are kept in indexes (name_index.h): a
// directory gets one when it is listed, or when lookups have cost what listing it does.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fs/fd_cache.h"
#include "fs/lower.h"
#include "fs/name_index.h"
#include "fs/origin.h"
#include "fs/stat_override.h"

namespace veneer::fs {

class DirStackLower : public Lower {
 public:
  // What all indexes may have together: about 10 MB.
  static constexpr size_t kIndexedNames = 200'000;
  // `layers`: directories, topmost first; at least one. `cache` outlives the lower.
  static Result<std::unique_ptr<DirStackLower>> Open(const std::vector<std::string>& layers,
                                                     FdCache* cache,
                                                     size_t indexed_names = kIndexedNames);
  ~DirStackLower() override;

  Result<LowerRef> Root() override;
  Result<LowerRef> Lookup(const LowerRef& dir, std::string_view name) override;
  Result<LowerRef> LookupWithAttr(const LowerRef& dir, std::string_view name,
                                  std::optional<struct stat>& attr) override;
  Result<struct stat> Attr(const LowerRef& ref) override;
  Result<std::optional<timespec>> BirthTime(const LowerRef& ref) override;
  Result<> ForEach(const LowerRef& dir, const Visit& visit) override;
  Result<std::string> LinkTarget(const LowerRef& ref) override;
  Result<std::vector<std::string>> XattrNames(const LowerRef& ref) override;
  Result<std::string> Xattr(const LowerRef& ref, const std::string& name) override;
  Result<UniqueFd> Open(const LowerRef& ref) override;
  // The kernel's form: an empty marker, and the path of the file as a redirect.
  Result<std::optional<DataMark>> MarkOf(const LowerRef& ref) override;
  Result<LowerRef> FromMark(const DataMark& mark, const LowerRef& dir,
                            std::string_view name) override;
  std::optional<std::string> Origin(const LowerRef& ref) override;
  std::optional<OriginFile> FromOrigin(std::string_view origin) override;
  std::string Identity() const override { return "stack"; }
  Result<struct statvfs> StatFs() override;

 private:
  struct Layer {
    UniqueFd root;
    uint64_t ino_base = 0;  // device index, in place
    dev_t dev = 0;
    StatOverride stat_override;  // the form its files' owners are kept in
    std::optional<FsUuid> uuid;
  };
  struct At {  // an entry: a name in an open directory
    SharedFd dir;
    std::string name;
    const Layer* layer;
    FileAt File() const { return FileAt(dir->get(), name); }
  };

  // What an entry of a layer's directory means to the directory that is merged.
  enum class Listed { kEntry, kWhiteout, kHidesBelow };
  using VisitListed =
      std::function<bool(std::string_view name, uint64_t ino, uint8_t type, Listed what)>;

  DirStackLower(FdCache* cache, size_t indexed_names) : cache_(cache), indexes_(indexed_names) {}
  const Layer& LayerOf(const LowerRef& ref) const;
  bool TellsOrigins() const;
  uint64_t InoOf(const Layer& layer, const struct stat& st) const;
  Result<SharedFd> DirFd(const StackNode& node, size_t part);
  Result<SharedFd> ParentInLayer(size_t layer, const std::string& path);
  Result<At> Locate(const LowerRef& ref);
  // Looks the name up in the layers or, where there is one, in the directory's index. `probes`:
  // of the system calls this took, those that an index would have spared.
  Result<LowerRef> Search(const LowerRef& dir, std::string_view name, const NameIndex* index,
                          std::optional<struct stat>& attr, uint32_t& probes);

  // dir_stack_listing.cc
  // The index of the directory, if there is one, or it has become worth while to make it.
  std::shared_ptr<const NameIndex> IndexOf(const StackNode& node);
  std::shared_ptr<const NameIndex> TryIndex(const StackNode& node);
  Result<uint32_t> PriceOfIndex(const StackNode& node);  // in system calls
  Result<std::shared_ptr<const NameIndex>> MakeIndex(const StackNode& node);
  Result<> ListPart(const StackNode& node, size_t part, const VisitListed& visit);

  Result<UniqueFd> OpenMetacopyData(const LowerRef& ref, const std::string& redirect);

  FdCache* const cache_;
  NameIndexCache indexes_;
  std::vector<Layer> layers_;
  bool tells_origins_ = false;
  LowerRef root_;
};

}  // namespace veneer::fs
