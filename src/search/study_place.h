// What a search's folder remembers beside its study: where that is, if it is elsewhere, and who works in the folder.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>

#include "study/storage.h"

namespace retort::search {

inline constexpr const char* kWorkerFile =
    ".worker";  // of a search's folder: "<digits> <path>"; see worker_name()

// Where the study of the search in `folder` is: `given` where that has a URL, else where the folder says that it is, else its
// own study.db. Reads, and opens nothing. Error(Usage) where the folder names a place and this user's program has not
// written that (place_mark.h), and where its study.db is a link.
study::Place place_of(const std::filesystem::path& folder, const study::Place& given = {});
// For whoever ends with this stop: nobody waits for its server then.
study::Place until(const std::stop_token& stop, study::Place place);
// Where the runs of a study's finalists from other seeds are: a study beside it.
study::Place confirmations_of(study::Place place);
bool is_own(const std::filesystem::path& folder, const study::Place& place);  // it is the folder's study.db

// Error(Usage) when the folder holds another search than the one at `place`, which is about to begin there: their trials
// would share its files.
void check_place(const std::filesystem::path& folder, const study::Place& place);
// So that the folder alone names it from now on. Without a password.
void remember_place(const std::filesystem::path& folder, const study::Place& place);

// "host:/path#0123456789abcdef": the digits are the folder's, drawn once, and whoever holds its lock is known by them,
// on whatever machine (study::identity_of). A shared study knows a copy of the folder by digits of its own.
std::string worker_name(const std::filesystem::path& folder, bool is_shared);

}  // namespace retort::search
