// What a study's page has beside the looks of all pages.
#pragma once

#include <string_view>

namespace retort::report {

inline constexpr std::string_view kReportStyle = R"(
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:14px 0;padding:8px 0;border-block:1px solid var(--grid);font-size:14px}
.found{font-size:17px}.change{display:block;font-size:12px}.up{color:var(--good)}.down{color:var(--bad)}
svg a{cursor:pointer}svg a:hover circle,svg a:focus circle{stroke:var(--ink);stroke-width:2}svg a:focus{outline:none}
.tip{position:fixed;z-index:1;max-width:min(360px,90vw);padding:6px 10px;border-radius:6px;background:var(--ink);color:var(--paper);font-size:13px;line-height:1.4;pointer-events:none}
:target{scroll-margin-top:12px}tr:target td:nth-child(n),details:target>summary{background:var(--card);box-shadow:inset 3px 0 var(--accent)}
details.model{border:1px solid var(--grid);border-radius:8px;padding:8px 12px;margin:10px 0}details.model>summary{font-weight:600;overflow-wrap:anywhere}
.arena{width:auto;max-width:none}table.matrix{width:auto}table.matrix td{text-align:center;min-width:34px;background:color-mix(in srgb,var(--accent) var(--share),transparent)}table.matrix td.right{font-weight:600}
table.matrix thead th{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;padding:8px 5px;border-block:1px solid var(--grid);border-bottom:0}table.matrix thead th:first-child{writing-mode:initial;transform:none;vertical-align:bottom}
dl{display:grid;grid-template-columns:minmax(120px,max-content) 1fr;gap:2px 14px;margin:6px 0}dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}
@media print{.tip,nav{display:none}.arena{width:100%}}
)";

}  // namespace retort::report
