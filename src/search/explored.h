// What the phases before the candidates share: the trials of an exploration and their structures. Private to this
// room.
#pragma once

#include <string>
#include <vector>

#include "search/session.h"
#include "search/study_folder.h"

namespace retort::search {

std::vector<TrialResult> trials_of(const Session& session, Effort effort);
size_t count_trials(const Session& session, Effort effort);

// Seconds of an epoch of a trial's stages as they went, where the structure is trained with this effort instead: of long
// stages not every epoch is validated.
double epoch_seconds(const Session& session, const TrialResult& trial, Effort effort);

// "trial 12: 70.41% int8, 21.4 KB of flash, 9.8 KB of RAM, 1.1 M MACs: conv 8, res 12 s2, gap (from trial 3)"
std::string line(const TrialResult& trial);

// Distillation for so many epochs and the export, nothing else.
PipelineSettings short_pipeline(const Session& session, int epochs);

// The structures of these trials, in their order, to be trained with another effort by the settings' own recipe; the trials are
// their parents.
std::vector<StoredProposal> again(Session& session, const std::vector<int>& numbers, Effort effort);

}  // namespace retort::search
