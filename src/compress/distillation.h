// Knowledge distillation on cached logits, and the curriculum that a teacher's certainty gives.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>

#include "data/dataset.h"
#include "engine/network.h"
#include "engine/trainer.h"

namespace retort::compress {

// Runs the teacher once over every training image (and view), on the threads that it was compiled for.
engine::TeacherLogits teacher_logits(engine::Network& teacher, const data::Dataset& dataset,
                                     const data::ViewOptions& views, ProgressSink& progress,
                                     std::stop_token stop);

// Logits kept as FILE.npy (images × classes float32, or views × images × classes) with FILE.json beside it:
// {"spec", "classes", "content_hash"} of the data and "views", {"down", "right", "mirrored"} of each: without that list
// two views are the image and its mirror image, and more are refused. Foreign logits, any float npy of the right shape, need the
// dataset.json of data::export_npy in their folder (or as FILE.json): its content_hash is checked likewise.
// Error(Usage) names what differs (rows, classes, the data's hash), that there is no such hash, or that every
// row is a distribution: probabilities are no logits.
void save_teacher_logits(const std::filesystem::path& npy, const engine::TeacherLogits& logits,
                         const data::Dataset& dataset);
engine::TeacherLogits load_teacher_logits(const std::filesystem::path& npy, const data::Dataset& dataset);

enum class Curriculum { None, Entropy, RandomPacing };
Curriculum parse_curriculum(std::string_view name);  // "none", "entropy", "random-pacing"
std::string_view to_string(Curriculum curriculum);

}  // namespace retort::compress
