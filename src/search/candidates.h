// One candidate from its proposal to its result, on the thread that calls. Private to this room.
#pragma once

#include <cstdint>
#include <filesystem>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cost/cost.h"
#include "graph/parameters.h"
#include "search/pipeline.h"
#include "search/results.h"
#include "search/study_folder.h"

namespace retort::search {

struct CandidateRun {
  int trial = 0;
  uint64_t seed = 0;
  std::string name;            // for progress
  std::filesystem::path file;  // folder of its files, relative to the study's
  // Epochs that were decided before (a finalist's other seeds train as long as the first); empty: not yet.
  std::map<std::string, int, std::less<>> epochs;
  cost::Target target;
  std::optional<graph::Parameters> weights{};  // that it starts with; none: fresh ones
};

std::string trial_name(int number);              // "trial 12"
std::filesystem::path trial_folder(int number);  // relative to the study's
// Of a trial of the study of that number, or of the finalist's run that the proposal is.
CandidateRun candidate_run(const StoredProposal& stored, int number, uint64_t seed,
                           const cost::Target& target);

void set_costs(TrialResult& result, const cost::Cost& cost);

// Of its stages, over all runs.
double training_seconds(std::span<const StageResult> stages);

// Of a trial that failed before or outside of its stages.
TrialResult failed_result(const StoredProposal& stored, const CandidateRun& run, std::string reason);

// Runs the stages and fills in the result; an error of the candidate's own makes it Failed. Leaves
// model.tflite, weights.retort and result.json. Throws Error(Interrupted) when stopped, Error(Usage) for what
// the user got wrong, FolderError when files can't be written, study::LostLease when another worker has taken it.
TrialResult run_candidate(const StoredProposal& stored, const CandidateRun& run,
                          const std::filesystem::path& study, const Context& context);

// Whether the context's memory has room for it beside what is there now.
bool has_room(const StoredProposal& stored, const Context& shared);

// What only an unfinished candidate needs in its folder: taken away, or together as bytes that unpack() puts into another
// folder in place of what is there. Error(Failure) for other bytes.
bool is_untidy(const std::filesystem::path& folder);  // some of it is there
void tidy_up(const std::filesystem::path& folder);
std::vector<uint8_t> pack(const std::filesystem::path& folder, const study::Claim& claim);
void unpack(std::span<const uint8_t> bytes, const std::filesystem::path& folder);

}  // namespace retort::search
