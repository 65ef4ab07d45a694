// Searches that were begun with an earlier version. Private to this room.
#pragma once

#include <filesystem>

#include "base/json_fwd.h"

namespace retort::search {

// Writes into a stored description (settings and data) what earlier versions did not say and had: precision, the rate of
// quantisation-aware training, clocks, exploring, its rungs and recipes, the stage `channels`, the bound of validation images. `here` is the description of
// this run, whose runtime is taken up. Error(Usage), naming `path`, where limits of flash and RAM meant something else.
void bring_up_to_date(Json& description, const Json& here, const std::filesystem::path& path);

}  // namespace retort::search
