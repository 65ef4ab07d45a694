// What the command line has to say that others may not hear.
#pragma once

namespace retort::cli {

// Takes the password out of each PostgreSQL URL among the words, for libpq to find in PGPASSWORD, and what else of its
// query may be a secret, for study::with_held_back(): from then on no list of processes, no stored command and no
// child's words have them. Error(Usage) where two differ, and for a URL that is none. Before anything else reads the
// words.
void take_passwords(int argc, char** argv);

}  // namespace retort::cli
