#include "report/page.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <span>
#include <vector>

#include "base/base64.h"
#include "base/file.h"
#include "report/html.h"
#include "report/style.h"

namespace retort::report {
namespace {

// As a content security policy names it: 'sha256-…'.
std::string script_source(std::string_view script) {
  const std::string hex = sha256_hex({reinterpret_cast<const uint8_t*>(script.data()), script.size()});
  std::vector<uint8_t> digest(hex.size() / 2);
  for (size_t i = 0; i < digest.size(); ++i)
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, digest[i], 16);
  return fmt::format("'sha256-{}'", to_base64(digest));
}

}  // namespace

const std::string_view kPageScript = R"js((() => {
  'use strict';
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  document.body.append(tip);
  let mark = null, title = null;
  const hide = () => {
    if (mark && !mark.querySelector(':scope > title')) mark.append(title);
    mark = title = null;
    tip.hidden = true;
  };
  // The title goes away meanwhile, or the browser would show it, too.
  const show = target => {
    const next = target.closest ? target.closest('svg :is(a,circle,rect,path)') : null;
    const holder = next && (next.matches('a') ? next.querySelector('circle') : next);
    const text = holder && holder !== mark && holder.querySelector(':scope > title');
    if (!text) return;
    hide();
    mark = holder;
    title = text;
    text.remove();
    tip.textContent = text.textContent;
    tip.hidden = false;
    place();
  };
  const place = () => {
    if (!mark) return;
    const box = mark.getBoundingClientRect(), own = tip.getBoundingClientRect(), gap = 8;
    const width = document.documentElement.clientWidth;
    const left = Math.min(Math.max(gap, box.left + box.width / 2 - own.width / 2), width - own.width - gap);
    const above = box.top - own.height - gap;
    tip.style.left = left + 'px';
    tip.style.top = (above > 0 ? above : box.bottom + gap) + 'px';
  };
  document.addEventListener('pointerover', event => show(event.target));
  // What has the focus keeps its text: the page may scroll away under a pointer that lies still.
  document.addEventListener('pointerout', event => {
    if (mark && mark.contains(event.target) && !mark.closest('a:focus')) hide();
  });
  document.addEventListener('focusin', event => show(event.target));
  document.addEventListener('focusout', hide);
  document.addEventListener('scroll', place, {passive: true, capture: true});  // the focus scrolls, too
  document.addEventListener('keydown', event => { if (event.key === 'Escape') hide(); });
  // A mark that an update takes away takes its text along.
  new MutationObserver(() => { if (mark && !mark.isConnected) hide(); }).observe(document.body, {childList: true, subtree: true});
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.matches('details')) at.open = true;
    target.scrollIntoView();
  };
  addEventListener('hashchange', open);
  if (location.hash) open();
  let closed = [];
  addEventListener('beforeprint', () => {
    hide();
    closed = [...document.querySelectorAll('details:not([open],.settings)')];  // pages of JSON
    for (const one of closed) one.open = true;
  });
  addEventListener('afterprint', () => { for (const one of closed) one.open = false; });
})();
)js";

std::string html_page(const Page& page) {
  const std::string script_policy =
      page.script.empty() ? std::string() : "script-src " + script_source(page.script) + ";";
  return fmt::format(
      "<!doctype html><html lang=en><head><meta charset=utf-8>"
      "<meta http-equiv=Content-Security-Policy content=\"default-src 'none';img-src data:;"
      "style-src 'unsafe-inline';{}{}base-uri 'none';form-action 'none'\">"
      "<meta name=viewport content='width=device-width,initial-scale=1'><title>{}</title>"
      "<style>{}{}</style></head><body><main>{}</main>{}</body></html>\n",
      script_policy, page.policy, clean(page.title), kStyle, page.style, page.body,
      page.script.empty() ? std::string() : fmt::format("<script>{}</script>", page.script));
}

}  // namespace retort::report
