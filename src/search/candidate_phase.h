// The phase of a search in which its candidates are trained. Private to this room.
#pragma once

#include "search/session.h"

namespace retort::search {

// Takes every stored candidate that is not finished through the pipeline, on the session's workers; stores
// and announces each result. A timed search leaves `confirmation_seconds` of its time for the finalists.
// Throws Error(Interrupted) when stopped.
void run_candidates(Session& session, double confirmation_seconds);

}  // namespace retort::search
