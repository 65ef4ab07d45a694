// A study for TensorBoard: a run a trial, and a table of their hyperparameters.
#pragma once

#include <filesystem>

#include "study/storage.h"

namespace retort::report {

// Writes `folder`, which must not be there yet or be empty (Error(Usage)): one event file with the columns of the
// table, and a folder "trial 0007" with one for each trial that has begun. Its scalars: loss/train,
// loss/validation, accuracy/train and accuracy/validation by epoch, counted over the stages; when it is finished
// int8 accuracy and its costs, at the last epoch. Its hyperparameters: its genes and its structure. The database
// keeps no times of epochs: a run's begin at `time_seconds` (since 1970), later ones by how long they took. A number
// that is none (NaN) has no point. Returns how many runs were written.
int export_tensorboard(const study::Storage& storage, const std::filesystem::path& folder,
                       double time_seconds);

}  // namespace retort::report
