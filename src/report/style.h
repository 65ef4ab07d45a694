// How Retort's pages look: light, dark and on paper.
#pragma once

#include <string_view>

namespace retort::report {

// Colours of text are at least 4.5 to 1 against --paper and --card (conformance/pages.mjs measures it).
inline constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#22222a;--muted:#5f5f6b;--grid:#e3e3e8;--paper:#fff;--card:#f6f6f9;--accent:#0b62a3;--good:#1a6b32;--bad:#a3122a;--badpaper:#fdeef0;--shade:#0003}
@media (prefers-color-scheme:dark){:root{--ink:#ececf1;--muted:#a9a9b6;--grid:#3a3a44;--paper:#18181d;--card:#222229;--accent:#6cb8f0;--good:#7fd699;--bad:#ff8d9b;--badpaper:#3a1f25;--shade:#000b}}
*{box-sizing:border-box}body{margin:0 auto;padding:24px 20px 64px;max-width:1280px;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:19px;margin:36px 0 10px}h3{font-size:15px;margin:18px 0 4px;overflow-wrap:anywhere}p{margin:6px 0;overflow-wrap:anywhere}.muted{color:var(--muted)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:16px 0}
.card{background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:10px 12px;overflow-wrap:anywhere}.card b{display:block;font-size:21px}.card span{color:var(--muted);font-size:13px}
.charts{display:grid;grid-template-columns:1fr 1fr;gap:16px}@media (max-width:760px){.charts{grid-template-columns:1fr}.chart{max-width:560px}}.charts>div{container-type:inline-size;min-width:0}svg{width:100%;height:auto;display:block}
.scroll{overflow-x:auto;background:linear-gradient(270deg,var(--paper) 30%,transparent) 100% 0/40px 100% no-repeat local,linear-gradient(270deg,var(--shade),transparent) 100% 0/14px 100% no-repeat scroll}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:13.5px}th,td{padding:5px 8px;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}
thead th{vertical-align:bottom}@media (min-width:760px){thead th{white-space:normal}}th{color:var(--muted);font-weight:600}th:first-child,td:first-child,.left{text-align:left!important}
.wrap{white-space:normal;min-width:92px}.name{white-space:normal;overflow-wrap:break-word;min-width:min(230px,38vw)}.scroll :is(th,td):first-child{position:sticky;left:0;background:var(--paper)}
tr.quiet td{color:var(--muted)}i.key{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}
pre{background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:10px 12px;overflow-x:auto;font-size:13px}a{color:var(--accent)}summary{cursor:pointer}
.pictures{display:flex;flex-wrap:wrap;gap:8px;margin:8px 0 18px}figure{margin:0;width:84px}figure.wide{width:148px}
.picture{width:84px;height:84px;object-fit:contain;background:var(--card);border:1px solid var(--grid);border-radius:4px;display:block}.small{image-rendering:pixelated}
figcaption{font-size:12px;line-height:1.35;color:var(--muted);overflow-wrap:anywhere;margin-top:3px}figcaption b{color:var(--ink);font-weight:600}
td.bar{width:40%;min-width:120px}td.bar i{display:block;height:12px;background:var(--accent);border-radius:2px;min-width:1px}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
@media print{:root{color-scheme:light;--ink:#000;--muted:#444;--grid:#ccc;--paper:#fff;--card:#fff;--accent:#000;--good:#000;--bad:#000;--badpaper:#fff;--shade:#0000}
body{max-width:none;padding:0;font-size:11px}.scroll{overflow:visible;background:none}.scroll :is(th,td):first-child{position:static}.charts{grid-template-columns:1fr 1fr}table{font-size:9px}.name{min-width:180px}figure.wide{width:104px}th,td{white-space:normal;padding:2px 4px}pre{white-space:pre-wrap;overflow-wrap:anywhere}
h2,h3{break-after:avoid}tr,figure,.card,svg{break-inside:avoid}*{print-color-adjust:exact}}
)";

}  // namespace retort::report
