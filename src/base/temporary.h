// Names for what is only on its way: nobody can know them before, and nothing has them already.
#pragma once

#include <filesystem>
#include <functional>

namespace retort {

// Calls make(path) with ".retort-<128 random bits>.tmp" in `folder` until it returns true, and returns that path.
// `make` creates the file or folder exclusively (O_EXCL, mkdir) and returns false only because the name is taken
// (EEXIST); what else fails it throws. Throws Error(Failure) when no name is free.
std::filesystem::path make_temporary(const std::filesystem::path& folder,
                                     const std::function<bool(const std::filesystem::path&)>& make);

}  // namespace retort
