// The last phase of a search: the top candidates are trained again from other seeds, the best is chosen, the
// test set is read and the best model written. Private to this room.
#pragma once

#include <cstddef>

#include "search/session.h"

namespace retort::search {

// Throws Error(Interrupted) when stopped.
void run_finalists(Session& session);
// Of a finished search that goes on in another folder: fetches their files from the shared study, and writes the best one's.
void restore_finalists(Session& session);

// What so many runs of finalists will take, by the mean of the candidates that are completed.
double finalist_seconds(Session& session, size_t runs);

}  // namespace retort::search
