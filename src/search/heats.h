// Heats: what an exploration found, trained again on equal terms (fresh weights, equal seconds or, without a limit of
// time, equal epochs), in rungs of successive halving (Jamieson and Talwalkar, arXiv 1502.07943): each has the better half
// of those before and twice the epochs. An exploration favours what learns quickly and what has a long line of parents.
// Private to this room.
#pragma once

#include <vector>

#include "search/session.h"
#include "search/study_folder.h"

namespace retort::search {

// Goes on where an earlier run was cut off. `seconds`: for all rungs together; not looked at without a limit of time.
void run_heats(Session& session, double seconds);

// What is worth the whole pipeline, the most promising first: what is expected to be the most accurate by its learning
// curve over the rungs, at the end some of the front that are smaller. Empty when nothing was completed.
std::vector<StoredProposal> candidates_of_exploration(Session& session);

}  // namespace retort::search
