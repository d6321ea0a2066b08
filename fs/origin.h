// Origin: how the kernel's overlayfs names a file for good, in the markers `origin` and `upper` and
// in the names of work/index: the filesystem's UUID and the file's handle (struct ovl_fb of
// fs/overlayfs/overlayfs.h, version 0). A handle names one inode, whatever it is called; a number
// that is used again gets another handle.
//
// Pure functions over descriptors; nothing is kept.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer::fs {

// What the kernel takes for the filesystem's UUID; all zeros are one too.
using FsUuid = std::array<unsigned char, 16>;

// Of the filesystem of `fd` (not O_PATH); nullopt where it cannot be told.
std::optional<FsUuid> FilesystemUuid(int fd);

// Of the entry `name` of `dirfd`, which is not followed, or of `dirfd` itself if `name` is empty.
// `upper` marks a file of the upper. nullopt where the filesystem gives no handles.
std::optional<std::string> EncodeOrigin(int dirfd, const std::string& name, const FsUuid& uuid,
                                        bool upper);

// True where `origin` was made on the filesystem with `uuid`, by a machine of this byte order.
bool OriginIsOn(std::string_view origin, const FsUuid& uuid);

// The file, O_PATH; `fd` is any file of its filesystem, not O_PATH. ESTALE: there is no such file
// any more; EPERM: needs CAP_DAC_READ_SEARCH. REQUIRES: OriginIsOn() its filesystem.
Result<UniqueFd> OpenOrigin(int fd, std::string_view origin);

// True where both have the same handle, whatever the UUID (which a filesystem may change).
bool SameHandle(std::string_view origin, std::string_view other);

// The name of the origin's entry in work/index; nullopt for a name that is none.
std::string IndexName(std::string_view origin);
std::optional<std::string> ParseIndexName(std::string_view name);

}  // namespace veneer::fs
