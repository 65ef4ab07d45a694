// Keeps the live page fresh: the server says over one stream which parts have changed, and those are fetched and
// what is new in them is put in place. Nothing here is needed to read the page, to sort, to filter, to stop or to resume.
'use strict';

const connection = document.getElementById('connection');
let stream = null;
let again = 0;
let ended = false;

function say(text) {
  if (connection && connection.textContent !== text) connection.textContent = text;
}

// ---- parts of the page

// Makes `node` what `wanted` is and keeps every element that both have: a button that is being pressed, the focus, how
// far a table was scrolled, marked text. Those with an id are found wherever they went.
function change(node, wanted) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (node.data !== wanted.data) node.data = wanted.data;
    return;
  }
  for (const {name} of [...node.attributes])
    if (!wanted.hasAttribute(name) && !kept(node, name)) node.removeAttribute(name);
  for (const {name, value} of wanted.attributes)
    if (node.getAttribute(name) !== value && !kept(node, name)) node.setAttribute(name, value);
  change_children(node, wanted);
}

// What is unfolded is the reader's.
const kept = (node, name) => node.nodeName === 'DETAILS' && name === 'open';

function change_children(element, wanted) {
  const ids = new Set([...wanted.children].map(child => child.id).filter(Boolean));
  const goes = node => !ids.has(node.id);
  let at = element.firstChild;
  for (const next of [...wanted.childNodes]) {
    let same = at;
    while (same && (same.nodeName !== next.nodeName || (same.id || '') !== (next.id || ''))) same = same.nextSibling;
    if (!same) {
      element.insertBefore(next, at);
      continue;
    }
    while (at !== same && goes(at)) {
      at = at.nextSibling;
      at.previousSibling.remove();
    }
    if (at === same) at = at.nextSibling;
    else element.insertBefore(same, at);
    change(same, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function update(element, html) {
  const focus = element.contains(document.activeElement) ? document.activeElement : null;
  change_children(element, new DOMParser().parseFromString(html, 'text/html').body);
  if (!focus || focus.isConnected) return;
  // It is gone: not to the page's begin, but to what is nearest.
  const next = element.querySelector('a, button');
  if (next) next.focus({preventScroll: true});
}

// ---- what the server is asked for

const underway = new Map();  // by part: an answer that a later request has overtaken never comes

async function get(name, address) {
  underway.get(name)?.abort();
  const overtaken = new AbortController();
  underway.set(name, overtaken);
  const response = await fetch(address, {credentials: 'same-origin', cache: 'no-store', signal: overtaken.signal});
  if (response.status === 401) location.reload();
  if (!response.ok) throw new Error(response.statusText);
  return {text: await response.text(), version: response.headers.get('Retort-Version')};
}

const was_overtaken = error => error.name === 'AbortError';

async function refresh(name, version) {
  const element = document.querySelector(`[data-live="${CSS.escape(name)}"]`);
  if (!element || element.dataset.version === version) return;
  if (name === 'trials') return show_trials();
  const part = await get(name, 'section?name=' + encodeURIComponent(name));
  if (element.dataset.version === part.version) return;
  element.dataset.version = part.version;
  update(element, part.text);
}

// ---- the table of trials: the page's address says which

async function show_trials() {
  const part = await get('trials', 'trials' + (location.search || '?sort=number&order=asc'));
  document.querySelector('[data-live=trials]').dataset.version = part.version;
  update(document.getElementById('trials-table'), part.text);
}

function follow(address, event) {
  event.preventDefault();
  history.replaceState(null, '', './' + address + location.hash);
  const asked = new URLSearchParams(address);
  for (const name of ['sort', 'order']) document.querySelector(`#trials input[name=${name}]`).value = asked.get(name);
  show_trials().catch(error => { if (!was_overtaken(error)) location.reload(); });
}

document.addEventListener('click', event => {
  const link = event.target.closest('#trials-table a[href^="?"]');
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) follow(link.getAttribute('href'), event);
});

const form = document.querySelector('#trials form');
if (form) {
  const asked = () => '?' + new URLSearchParams(new FormData(form)).toString();
  let typed = 0;
  form.addEventListener('submit', event => follow(asked(), event));
  form.addEventListener('change', event => follow(asked(), event));
  form.addEventListener('input', event => {
    if (event.target.type !== 'search') return;
    clearTimeout(typed);
    typed = setTimeout(() => follow(asked(), event), 300);
  });
}

// ---- the stream

function connect() {
  clearTimeout(again);
  if (stream) stream.close();
  stream = new EventSource('events');
  stream.addEventListener('open', () => say(''));
  stream.addEventListener('view', async event => {
    say('');
    for (const [name, version] of Object.entries(JSON.parse(event.data))) {
      try {
        await refresh(name, version);
      } catch (error) {
        if (!was_overtaken(error)) return;  // the next view has it
      }
    }
  });
  // The page of `retort search --serve` ends with the search.
  stream.addEventListener('end', () => {
    stream.close();
    ended = true;
    say('This page ended with its search: `retort serve` shows it again.');
  });
  stream.addEventListener('error', () => {
    say('No connection: what is shown may be old. Trying again…');
    // A browser tries again by itself but where the server has refused.
    if (stream.readyState === EventSource.CLOSED) {
      clearTimeout(again);
      again = setTimeout(connect, 3000);
    }
  });
}

if (document.getElementById('status')) {
  // A page that nobody sees needs no stream; browsers have few for a server.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      clearTimeout(again);
      if (stream) stream.close();
      stream = null;
    } else if (!stream && !ended) {
      connect();
    }
  });
  if (!document.hidden) connect();
  const short = seconds => seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min`
    : `${Math.floor(seconds / 3600)} h`;
  setInterval(() => {
    for (const age of document.querySelectorAll('[data-age]')) {
      age.dataset.age = Number(age.dataset.age) + 1;
      age.firstChild.data = short(Number(age.dataset.age));
    }
  }, 1000);
}

// ---- the token of an address such as http://localhost:8137/#token=…, which no server and no log gets to see

const login = document.getElementById('login');
const token = new URLSearchParams(location.hash.slice(1)).get('token');
if (token) history.replaceState(null, '', location.pathname + location.search);
if (login && token) {
  login.elements.token.value = token;
  login.requestSubmit();
}
