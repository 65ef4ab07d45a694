// The exploration of a search: generations of structures, each trained a little, mostly from the weights of
// the one that it is a change of. Private to this room.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "search/proposals.h"
#include "search/session.h"
#include "search/study_folder.h"

namespace retort::search {

// Runs generations until the structures are explored or exploration's share of the time is over; goes on where
// an earlier run was cut off. What a generation tries follows from the results of those before it alone, so it
// is the same whatever the number of workers.
void explore(Session& session);

// Whether an explored structure starts with its parent's weights, and those.
bool inherits(const StoredProposal& stored, const SearchSettings& settings);
graph::Parameters inherited_weights(const StoredProposal& stored, const std::string& parent_config,
                                    const std::filesystem::path& parent_weights,
                                    const SearchSettings& settings, const data::Dataset& dataset);

}  // namespace retort::search
