// The page of `retort data check --html`: one file with everything in it, pictures too.
#pragma once

#include <string>

#include "data/inspection.h"

namespace retort::report {

// Pictures show what a network would see (resized, grey where asked for). Broken files are read anew, for browsers
// show what is left of many. The page has a few hundred pictures at most, whatever the size of the data set.
std::string data_page(const data::Inspection& inspection);

}  // namespace retort::report
