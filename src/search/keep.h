// Errors of the folder, told apart from a candidate's own. Private to this room.
#pragma once

#include <string>

#include "base/error.h"
#include "study/storage.h"

namespace retort::search {

// The folder or its database can't be written: the search stops, whatever a candidate does. Not an error of a
// candidate's own.
class FolderError : public Error {
 public:
  explicit FolderError(const std::string& message) : Error(ErrorCode::Failure, message) {}
};

// Runs what writes to the folder; its errors become FolderError. A lost lease is another matter: the trial is
// somebody else's, and the search goes on.
template <typename Write>
auto keep(Write&& write) {
  try {
    return write();
  } catch (const study::LostLease&) {
    throw;
  } catch (const Error& error) {
    throw FolderError(error.what());
  }
}

}  // namespace retort::search
