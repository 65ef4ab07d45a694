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

// What may be worth the whole pipeline.
struct Contenders {
  // What is expected to be the most accurate by its learning curve over the rungs, first.
  std::vector<StoredProposal> best;
  // The most accurate ones of at most a half of the first one's flash, a quarter, …; the largest first.
  std::vector<StoredProposal> smaller;

  // Only so many of the best; and of the smaller ones only what is none of these.
  void keep(size_t count);
};
// All empty when nothing was completed. Without a limit of time as many as the settings want: of the smaller ones a third
// at most.
Contenders contenders(Session& session);

}  // namespace retort::search
