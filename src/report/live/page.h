// The live page's documents. Everything in them works without scripts; live.js swaps what changes.
#pragma once

#include <string>
#include <string_view>

#include "report/live/feed.h"
#include "report/live/table.h"

namespace retort::report {

std::string live_page(const LiveView& view, const TrialQuery& query);
// About one trial; empty when there is none of that number.
std::string trial_page(const LiveView& view, int number);
// Asks for the token; `problem` is one sentence, or empty.
std::string login_page(std::string_view problem);

std::string live_style();
std::string live_script();

// What a browser may do with them: nothing of other origins, no inline scripts, no frames around them. Pictures have
// styles within them.
std::string_view content_security_policy();

}  // namespace retort::report
