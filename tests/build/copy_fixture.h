// What the tests of COPY and ADD share: a context of real files, chains made of tars, and layers
// listed line by line.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/base/beneath.h"
#include "store/layer_writer.h"
#include "tests/store/store_fixture.h"
#include "tools/build/copy/copy_step.h"

namespace veneer::build::test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// One entry of a tar: a directory where the path ends with "/".
struct Entry {
  std::string path;
  std::string content = {};
  int mode = -1;  // -1: 0755 for directories, else 0644
  int64_t uid = 0;
  int64_t gid = 0;
  std::string symlink = {};
  std::string hard_link = {};
  unsigned type = 0;  // AE_IF…: of devices and FIFOs
  int64_t mtime = 1000;
  std::map<std::string, std::string> xattrs = {};
};

inline std::string Tar(const std::vector<Entry>& entries, int filter = ARCHIVE_FILTER_NONE) {
  std::string out;
  archive* a = archive_write_new();
  archive_write_set_format_pax_restricted(a);
  archive_write_add_filter(a, filter);
  archive_write_set_bytes_in_last_block(a, 1);
  archive_write_open(
      a, &out, nullptr,
      [](archive*, void* to, const void* data, size_t n) -> la_ssize_t {
        static_cast<std::string*>(to)->append(static_cast<const char*>(data), n);
        return static_cast<la_ssize_t>(n);
      },
      nullptr);
  for (const Entry& file : entries) {
    archive_entry* entry = archive_entry_new();
    const bool directory = file.path.ends_with("/");
    archive_entry_set_pathname(entry, file.path.c_str());
    archive_entry_set_filetype(entry, file.type != 0          ? file.type
                                      : directory             ? unsigned{AE_IFDIR}
                                      : !file.symlink.empty() ? unsigned{AE_IFLNK}
                                                              : unsigned{AE_IFREG});
    archive_entry_set_perm(entry, static_cast<mode_t>(file.mode >= 0 ? file.mode
                                                      : directory    ? 0755
                                                                     : 0644));
    archive_entry_set_uid(entry, file.uid);
    archive_entry_set_gid(entry, file.gid);
    archive_entry_set_mtime(entry, file.mtime, 0);
    if (!file.symlink.empty()) archive_entry_set_symlink(entry, file.symlink.c_str());
    if (!file.hard_link.empty()) archive_entry_set_hardlink(entry, file.hard_link.c_str());
    for (const auto& [name, value] : file.xattrs)
      archive_entry_xattr_add_entry(entry, name.c_str(), value.data(), value.size());
    archive_entry_set_size(entry, static_cast<int64_t>(file.content.size()));
    archive_write_header(a, entry);
    archive_write_data(a, file.content.data(), file.content.size());
    archive_entry_free(entry);
  }
  archive_write_close(a);
  archive_write_free(a);
  return out;
}

class CopyTest : public veneer::test::StoreTest {
 protected:
  using Chain = std::shared_ptr<const tree::MergedTree>;

  void SetUp() override {
    StoreTest::SetUp();
    context_ = base_ + "/context";
    std::filesystem::create_directory(context_);
  }

  // Files of the context.
  void File(const std::string& path, const std::string& content = "", mode_t mode = 0644) {
    const std::string at = context_ + "/" + path;
    std::filesystem::create_directories(std::filesystem::path(at).parent_path());
    std::ofstream(at) << content;
    ASSERT_EQ(chmod(at.c_str(), mode), 0) << at;
    SetTime(path, 1000);
  }
  void Folder(const std::string& path, mode_t mode = 0755) {
    const std::string at = context_ + "/" + path;
    std::filesystem::create_directories(at);
    ASSERT_EQ(chmod(at.c_str(), mode), 0) << at;
  }
  void Link(const std::string& path, const std::string& target) {
    const std::string at = context_ + "/" + path;
    std::filesystem::create_directories(std::filesystem::path(at).parent_path());
    ASSERT_EQ(symlink(target.c_str(), at.c_str()), 0) << at;
  }
  void SetTime(const std::string& path, int64_t seconds) {
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (context_ + "/" + path).c_str(), times, 0), 0);
  }

  // Chains of the store, one layer for each tar.
  Chain MakeChain(const std::vector<std::vector<Entry>>& layers) {
    std::vector<DiffId> ids;
    ids.reserve(layers.size());
    for (const auto& entries : layers)
      ids.push_back(veneer::test::Must(veneer::test::AddLayer(store(), Tar(entries))));
    return OpenChain(ids);
  }
  Chain OpenChain(const std::vector<DiffId>& ids) {
    return veneer::test::Must(store().chains().Open(ids));
  }

  void Ignore(const std::vector<std::string>& patterns) {
    ignore_ = veneer::test::Must(IgnoreMatcher::Parse(patterns));
  }

  // "COPY sources… destination", from the context.
  CopySpec Copy(std::vector<std::string> sources, std::string destination) {
    from_ = veneer::test::Must(OpenDirectorySource(context_, ignore_ ? &*ignore_ : nullptr));
    return From(*from_, std::move(sources), std::move(destination));
  }
  CopySpec Add(std::vector<std::string> sources, std::string destination) {
    CopySpec spec = Copy(std::move(sources), std::move(destination));
    spec.is_add = true;
    return spec;
  }
  // "COPY --from".
  static CopySpec From(const SourceTree& tree, std::vector<std::string> sources,
                       std::string destination) {
    CopySpec spec;
    spec.from = &tree;
    spec.sources = std::move(sources);
    spec.destination = std::move(destination);
    return spec;
  }

  Result<std::unique_ptr<CopyStep>> Prepare(CopySpec spec, const Chain& chain) {
    spec.scratch = base_ + "/scratch-" + std::to_string(scratches_++);
    std::filesystem::create_directory(spec.scratch);
    return CopyStep::Prepare(store(), std::move(spec), chain);
  }
  Result<DiffId> Write(CopyStep& step, std::optional<int64_t> latest_mtime = std::nullopt) {
    TRY_ASSIGN(auto session, IngestSession::Begin(store()));
    TRY_ASSIGN(auto writer, LayerWriter::Create(*session));
    TRY(step.Write(*writer, latest_mtime));
    TRY_ASSIGN(const StagedLayer layer, writer->Finish());
    TRY(session->Publish({&layer, 1}, [] { return Result<>(); }));
    return layer.row.diff_id;
  }
  Result<DiffId> Make(CopySpec spec, const Chain& chain = nullptr,
                      std::optional<int64_t> latest_mtime = std::nullopt) {
    TRY_ASSIGN(auto step, Prepare(std::move(spec), chain));
    return Write(*step, latest_mtime);
  }
  Digest KeyOf(CopySpec spec, const Chain& chain = nullptr) {
    return veneer::test::Must(Prepare(std::move(spec), chain))->Key();
  }

  // What the layer of a step says, in its order: "etc/x f 644 0:0 'content'". Or its error.
  std::vector<std::string> Layer(CopySpec spec, const Chain& chain = nullptr) {
    auto made = Make(std::move(spec), chain);
    if (!made) return {"error: " + made.error().Message()};
    return Listing(*made);
  }
  // Its paths alone.
  std::vector<std::string> Paths(CopySpec spec, const Chain& chain = nullptr) {
    std::vector<std::string> paths = Layer(std::move(spec), chain);
    for (std::string& line : paths) {
      if (!line.starts_with("error: ")) line.resize(line.find(' '));
    }
    return paths;
  }
  std::vector<std::string> Listing(const DiffId& layer) {
    const auto tree = veneer::test::Must(store().layers().OpenTree(layer));
    std::vector<std::string> lines;
    std::map<tree::Ino, std::string> seen;
    List(*tree, tree::kRootIno, "", lines, seen);
    return lines;
  }

  // The attributes of one entry of a layer.
  tree::Attributes AttributesIn(const DiffId& layer, const std::string& path) {
    return InodeIn(layer, path).first.attr;
  }
  std::vector<tree::Xattr> XattrsIn(const DiffId& layer, const std::string& path) {
    return InodeIn(layer, path).second;
  }

  std::string context_;
  std::optional<IgnoreMatcher> ignore_;
  std::unique_ptr<SourceTree> from_;

 private:
  std::pair<tree::Inode, std::vector<tree::Xattr>> InodeIn(const DiffId& layer,
                                                           const std::string& path) {
    const auto tree = veneer::test::Must(store().layers().OpenTree(layer));
    tree::Ino ino = tree::kRootIno;
    for (const auto& part : std::filesystem::path(path)) {
      const auto entry = veneer::test::Must(tree->Lookup(ino, part.string()));
      if (!entry) {
        ADD_FAILURE() << path << " is not in the layer";
        return {};
      }
      ino = entry->ino;
    }
    return {veneer::test::Must(tree->Get(ino)), veneer::test::Must(tree->Xattrs(ino))};
  }

  void List(const tree::LayerTree& tree, tree::Ino directory, const std::string& path,
            std::vector<std::string>& lines, std::map<tree::Ino, std::string>& seen) {
    std::vector<std::pair<std::string, tree::DirEntry>> entries;
    ASSERT_OK(tree.ForEach(directory, [&](const tree::DirEntry& entry) {
      entries.emplace_back(
          path.empty() ? std::string(entry.name) : path + "/" + std::string(entry.name), entry);
      return true;
    }));
    for (const auto& [child, entry] : entries) {
      if (entry.type == DT_WHT) {
        lines.push_back(child + " whiteout");
        continue;
      }
      const tree::Inode inode = veneer::test::Must(tree.Get(entry.ino));
      if (const auto [first, is_new] = seen.try_emplace(entry.ino, child); !is_new) {
        lines.push_back(child + " = " + first->second);
        continue;
      }
      lines.push_back(child + Describe(tree, inode));
      if (S_ISDIR(inode.attr.mode)) List(tree, entry.ino, child, lines, seen);
    }
  }

  std::string Describe(const tree::LayerTree& tree, const tree::Inode& inode) {
    const tree::Attributes& attr = inode.attr;
    if (inode.flags & tree::kPlaceholder) return " placeholder";
    const char type = S_ISDIR(attr.mode)    ? 'd'
                      : S_ISLNK(attr.mode)  ? 'l'
                      : S_ISREG(attr.mode)  ? 'f'
                      : S_ISFIFO(attr.mode) ? 'p'
                      : S_ISCHR(attr.mode)  ? 'c'
                                            : 'b';
    char head[64];
    std::snprintf(head, sizeof head, " %c %o %u:%u", type, attr.mode & 07777, attr.uid, attr.gid);
    std::string line = head;
    if (inode.flags & tree::kOpaque) line += " opaque";
    if (S_ISLNK(attr.mode))
      return line.substr(0, 2) + " " + std::to_string(attr.uid) + " -> " +
             veneer::test::Must(tree.LinkTarget(inode.ino));
    if (!S_ISREG(attr.mode)) return line;
    std::string content(attr.size, '\0');
    if (attr.size > 0) {
      const UniqueFd fd = veneer::test::Must(store().objects().Open(inode.object));
      EXPECT_EQ(veneer::test::Must(ReadUpTo(fd.get(), content.data(), content.size())),
                content.size());
    }
    return line + " '" + (content.size() > 40 ? std::to_string(content.size()) : content) + "'";
  }

  int scratches_ = 0;
};

}  // namespace veneer::build::test
