// The decisions of a timed search, in the order in which they are made; plan.h has the arithmetic. Each is
// stored, so that a resumed search keeps to it, and told to the user. Private to this room.
#pragma once

#include <vector>

#include "search/session.h"
#include "search/study_folder.h"

namespace retort::search {

// Fills in epoch_seconds of every proposal that fits. Throws Error(Interrupted) when stopped.
void measure(const Session& session, std::vector<StoredProposal>& proposals);

// Epochs of the teacher; 0: there is no time for one, or none is trained here.
int decide_teacher_epochs(Session& session);

// Takes the proposals that there is no time for away and sets the epochs of session.pipeline; without
// proposals (they are stored already) takes up the plan of an earlier run. Returns the seconds that are set
// aside for the finalists' other seeds.
double decide_candidates(Session& session, std::vector<StoredProposal>& proposals);

// Seconds kept for reading the test set and reporting; 0 without a time limit.
double closing_seconds(const SearchSettings& settings);

}  // namespace retort::search
