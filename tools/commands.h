// The commands of veneer. Each Add… registers one under `parent`, which is the program or one of
// its groups (`image`, `container`, `system`): the long and the short form of a command are one
// function.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "tools/context.h"

namespace veneer::tools {

// Images in and out: cmd_transfer.cc.
void AddLoad(CLI::App& parent, Context& context);
void AddSave(CLI::App& parent, Context& context);
void AddImport(CLI::App& parent, Context& context);
void AddExport(CLI::App& parent, Context& context);

// Images: cmd_image.cc. `name` is the word it goes by there ("images" or "ls", "rmi" or "rm").
void AddImages(CLI::App& parent, Context& context, const std::string& name);
void AddHistory(CLI::App& parent, Context& context);
void AddTag(CLI::App& parent, Context& context);
void AddRemoveImage(CLI::App& parent, Context& context, const std::string& name);

// `inspect` of anything, of images only, of containers only: cmd_inspect.cc.
enum class Inspectable { kAny, kImage, kContainer };
void AddInspect(CLI::App& parent, Context& context, Inspectable what);

// Containers: cmd_container.cc, cmd_mount.cc.
void AddCreate(CLI::App& parent, Context& context);
void AddList(CLI::App& parent, Context& context, const std::string& name);  // "ps" or "ls"
void AddRemove(CLI::App& parent, Context& context);
void AddDiff(CLI::App& parent, Context& context);
void AddCommit(CLI::App& parent, Context& context);
void AddMount(CLI::App& parent, Context& context);
void AddUnmount(CLI::App& parent, Context& context);

// The store: cmd_system.cc.
void AddDiskUsage(CLI::App& parent, Context& context);
void AddCheck(CLI::App& parent, Context& context);
void AddPrune(CLI::App& parent, Context& context);
void AddVersion(CLI::App& parent, Context& context);
void AddDebug(CLI::App& parent, Context& context);

}  // namespace veneer::tools
