// How Retort's pages look: light, dark and on paper.
#pragma once

#include <string_view>

namespace retort::report {

inline constexpr std::string_view kStyle = R"(
:root{--ink:#22222a;--muted:#5f5f6b;--grid:#e3e3e8;--paper:#fff;--card:#f6f6f9;--accent:#0b62a3}
@media (prefers-color-scheme:dark){:root{--ink:#ececf1;--muted:#a9a9b6;--grid:#3a3a44;--paper:#18181d;--card:#222229;--accent:#6cb8f0}}
@media print{:root{--ink:#000;--muted:#444;--grid:#ddd;--paper:#fff;--card:#fff;--accent:#000}section{break-inside:avoid}}
*{box-sizing:border-box}body{margin:0 auto;padding:24px 20px 64px;max-width:1120px;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:26px;margin:0 0 2px}h2{font-size:19px;margin:36px 0 10px}p{margin:6px 0}.muted{color:var(--muted)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:16px 0}
.card{background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:10px 12px}.card b{display:block;font-size:21px}.card span{color:var(--muted);font-size:13px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(480px,100%),1fr));gap:16px}svg{width:100%;height:auto;display:block}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13.5px}th,td{padding:5px 8px;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}
th{color:var(--muted);font-weight:600}th:first-child,td:first-child,.left{text-align:left!important}td.wrap{white-space:normal;min-width:220px}
tr.quiet td{color:var(--muted)}i.key{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}
pre{background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:10px 12px;overflow-x:auto;font-size:13px}a{color:var(--accent)}
)";

}  // namespace retort::report
