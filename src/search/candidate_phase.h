// The phase of a search in which its candidates are trained. Private to this room.
#pragma once

#include <vector>

#include "search/results.h"
#include "search/session.h"

namespace retort::search {

// Candidates that failed because an earlier run, or another machine's worker, had less memory than this run, and that have
// room in it: where it was told how much it may have, and has time left. What was refused before the candidates were chosen has shaped that choice, and stays.
std::vector<TrialResult> refused_with_room(Session& session);

// Takes every stored candidate that is not finished through the pipeline, on the session's workers; stores
// and announces each result. A timed search leaves `confirmation_seconds` of its time for the finalists.
// Throws Error(Interrupted) when stopped.
void run_candidates(Session& session, double confirmation_seconds);

}  // namespace retort::search
