// Which files of a study's folder the live page hands out: those that it links to, and no other, whatever a path says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "search/results.h"

namespace retort::report {

// Of a trial, relative to the study's folder: its model, and those of its other seeds.
std::vector<std::string> files_of(const search::StudyResult& study, const search::TrialResult& trial);
// Of the whole study: the report, the tables, the best model.
std::vector<std::string> files_of(const search::StudyResult& study);

// The bytes of one of them. Nothing when the study has no such file, when it is none or too large, or when it lies
// outside of the folder, through a link or because somebody wrote such a name into the study.
std::optional<std::vector<uint8_t>> linked_file(const search::StudyResult& study,
                                                const std::filesystem::path& folder, const std::string& file);

}  // namespace retort::report
