// The teacher of a search: trained, or from elsewhere; its logits are computed once and kept. Private to this
// room.
#pragma once

#include <optional>

#include "engine/trainer.h"
#include "search/memory_budget.h"
#include "search/results.h"
#include "search/search.h"
#include "search/settings.h"
#include "search/study_folder.h"

namespace retort::search {

struct Teacher {
  TeacherResult result;
  std::optional<engine::TeacherLogits> logits;  // none: there is no teacher
};

// Whether a stage's loss has a part for the teacher; if none has, only the curriculum looks at its logits.
bool teaches(const PipelineSettings& settings);
// Or a recipe that is tried may.
bool teaches(const SearchSettings& settings);
// Or the curriculum looks at it. If nothing does, none is trained.
bool needs_teacher(const SearchSettings& settings);

// The network of a teacher that is trained here. Error(Usage) when the data's images or classes don't suit
// it.
graph::Graph teacher_network(const TeacherSettings& teacher, const data::Dataset& dataset);

// Error(Usage) when the logits of a file answer for other views than `views` has: their rows would be
// taken for those of other views.
void check_views(const std::string& path, const engine::TeacherLogits& logits,
                 const data::ViewOptions& views);

// Reads a teacher's file and throws Error(Usage) when it does not suit the data or the settings, so that a
// search can say so before it leaves anything in its folder.
void check_teacher(const SearchSettings& settings, const data::Dataset& dataset);

// As a search's teacher is compiled to be trained.
engine::CompileOptions teacher_compile_options(const SearchSettings& settings, const RunOptions& options);

// Its share of the memory while it is trained on `images` images; Error(Failure), with a sentence, where it has no room.
MemoryBudget::Share share_of_teacher(MemoryBudget& memory, const graph::Graph& graph,
                                     const SearchSettings& settings, size_t images,
                                     const RunOptions& options);

// Takes up what the folder holds of it, trains or reads the rest, and stores it. `epochs` of a trained one. Error(Failure)
// when its training or its answers have no room in `memory`.
Teacher prepare_teacher(StudyFolder& folder, const SearchSettings& settings, int epochs,
                        const data::Dataset& dataset, const data::Split& split, MemoryBudget& memory,
                        const RunOptions& options);

// Its accuracy on test images; unknown for logits from elsewhere.
double teacher_test_accuracy(const StudyFolder& folder, const data::ImageSet& images,
                             std::span<const uint32_t> indices, const RunOptions& options);

graph::Shape input_shape(const data::Dataset& dataset);

}  // namespace retort::search
