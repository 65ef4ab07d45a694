// Linux's control groups, which limit what a process and those around it may use.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace retort {

// Visits the folders of the groups that limit this process's use of `controller` ("cpu", "memory"): its own and all above
// it, of version 2 and of the controller's hierarchy of version 1. Inside a container the path may be the host's, where
// only the mount itself is there: a folder need not exist. `mount` is where the hierarchies lie, `own_groups` says which
// groups are this process's.
void for_each_group(std::string_view controller, const std::filesystem::path& mount,
                    const std::filesystem::path& own_groups,
                    const std::function<void(const std::filesystem::path&)>& visit);

}  // namespace retort
