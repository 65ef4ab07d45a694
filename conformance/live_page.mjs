// See live_page.py.
import {spawn} from 'node:child_process';
import path from 'node:path';
import {accessible, check, fits, launch, open, patience, picture} from './_browser.mjs';

const [program, work, pictures] = process.argv.slice(2);
const token = 'conformance-0123456789';
const out = path.join(work, 'out');
const children = new Set();

function start(...words) {
  const child = spawn(program, words, {env: {...process.env, RETORT_TOKEN: token}, stdio: ['ignore', 'pipe', 'pipe']});
  child.said = '';
  child.ended = new Promise(resolve => child.on('close', code => { children.delete(child); resolve(code); }));
  for (const stream of [child.stdout, child.stderr]) stream.on('data', bytes => { child.said += bytes; });
  children.add(child);
  return child;
}

async function serve(port) {
  const server = start('serve', out, '--listen', `127.0.0.1:${port}`, '--control', '--json');
  const end = Date.now() + patience;
  while (!/"url": "([^"]+)"/.test(server.said)) {
    check(Date.now() < end && children.has(server), `retort serve: ${server.said}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  server.url = /"url": "([^"]+)"/.exec(server.said)[1];
  return server;
}

const says = (page, where, text) => page.locator(where).filter({hasText: text}).first().waitFor();
const focused = page => page.evaluate(() => document.activeElement && (document.activeElement.id || document.activeElement.textContent));
// Presses Tab until the element that matches has the focus.
async function tab_to(page, selector) {
  for (let i = 0; i < 300; ++i) {
    if (await page.evaluate(wanted => document.activeElement.matches(wanted), selector)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`no way to ${selector} by keyboard`);
}

const browser = await launch();
try {
  let server = await serve(0);
  const url = server.url;
  const port = new URL(url).port;

  // ---- the token: typed, or behind the # of an address
  const page = await open(browser);
  page.forgiven.push(/401 \(Unauthorized\)/);
  await page.goto(url);
  await accessible(page, 'the page that asks for the token');
  await tab_to(page, 'input[type=password]');
  await page.keyboard.type('wrong-token-0123456789');
  page.forgiven.push(/403 \(Forbidden\)/);
  await page.keyboard.press('Enter');
  await says(page, '#problem', 'That is not the token');
  await tab_to(page, 'input[type=password]');
  await page.keyboard.type(token);
  await page.keyboard.press('Enter');
  await says(page, '#status', 'Waiting for a search');
  page.forgiven.length = 0;
  const other = await open(browser);
  other.forgiven.push(/401 \(Unauthorized\)/);
  await other.goto(`${url}#token=${token}`);
  await says(other, '#status', 'Waiting for a search');
  check(!other.url().includes(token), 'the token stays in the address');
  await other.context().close();
  await accessible(page, 'the page before a search');

  // ---- a search begins
  const search = start('search', out, '--data', `npy:${work}/data`, '--preset', 'notebook', '--time', 'none', '--teacher', 'none',
    '--config', '2,1,8,0', '--config', '2,1,16,0', '--config', '1,1,4,0', '--config', '2,2,64,1,64', '--quick-epochs', '2', '--distill-epochs', '250', '--qat-epochs', '2',
    '--gate', '0.1', '--batch', '16', '--curriculum', 'none', '--seeds', '1', '--workers', '2');
  await page.evaluate(() => { window.sameDocument = true; });
  await says(page, '#status', 'Running');
  await says(page, '#now', 'Workers and their heartbeats');
  await page.locator('#now svg path[stroke-width]').first().waitFor();  // a curve of a trial that runs
  await accessible(page, 'the page while a search runs');
  await fits(page, 'the page while a search runs');
  await picture(page, pictures, 'running');

  // ---- an update leaves what it does not change: a button may be under a finger
  const version = await page.evaluate(() => {
    window.kept = ['#status button', '#now', '#now .scroll'].map(one => document.querySelector(one));
    return document.querySelector('[data-live=now]').dataset.version;
  });
  await page.waitForFunction(before => document.querySelector('[data-live=now]').dataset.version !== before, version);
  check(await page.evaluate(() => window.kept.every(one => one.isConnected)), 'an update puts other elements in place of the same');

  // ---- trials arrive while somebody sorts and filters by keyboard
  await page.locator('#trials-table tbody tr').first().waitFor();
  await tab_to(page, '#sort-accuracy');
  await page.keyboard.press('Enter');
  await page.locator('th[aria-sort=descending] #sort-accuracy').waitFor();
  check((await focused(page)) === 'sort-accuracy', `the focus went to ${await focused(page)}`);
  await page.keyboard.press('Enter');
  await page.locator('th[aria-sort=ascending] #sort-accuracy').waitFor();
  check(page.url().includes('sort=accuracy&order=asc'), `the address says ${page.url()}`);
  await page.locator('#trials-table tbody tr').nth(1).waitFor();
  check((await focused(page)) === 'sort-accuracy', 'an update takes the focus away');
  await page.locator('#trials input[type=search]').focus();
  await page.keyboard.type('no such network');
  await says(page, '#trials-table', '0 of');
  check((await page.locator('#trials input[type=search]').inputValue()) === 'no such network', 'an update takes what is typed');
  for (let i = 0; i < 'no such network'.length; ++i) await page.keyboard.press('Backspace');
  await page.locator('#trials-table tbody tr').nth(1).waitFor();
  check(await page.locator('#trials-table tbody').evaluate(body => body.rows.length >= 2), 'trials came back');

  // ---- stopped and resumed from the page
  await page.locator('#status').getByRole('button', {name: 'Stop the search'}).focus();
  await page.keyboard.press('Enter');
  await says(page, '#status', 'Stopped');
  check((await search.ended) === 130, `the search that was stopped ended with ${await search.ended}: ${search.said}`);
  await accessible(page, 'the page of a search that was stopped');
  await page.locator('#status').getByRole('button', {name: 'Resume the search'}).focus();
  await page.keyboard.press('Enter');
  await says(page, '#status', 'Running');
  await page.evaluate(() => { window.sameDocument = true; });

  // ---- the server ends and begins anew; the search that it started goes on
  page.forgiven.push(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/);
  server.kill('SIGTERM');
  check((await server.ended) === 0, `retort serve ended with ${await server.ended}: ${server.said}`);
  await says(page, '#connection', 'No connection');
  await accessible(page, 'the page without its server');
  server = await serve(port);
  await page.locator('#connection').filter({hasText: /^$/}).waitFor({state: 'attached'});
  page.forgiven.length = 0;
  await says(page, '#status', /Running|Finished/);

  // ---- to its end
  await says(page, '#status', 'Finished');
  await says(page, '[data-live=summary]', 'Best');
  await page.locator('#front svg').first().waitFor();
  await page.locator('#files a').filter({hasText: 'best/model.tflite'}).waitFor();
  check(await page.evaluate(() => window.sameDocument === true), 'the page was loaded anew');
  await accessible(page, 'the page of a finished search');
  await fits(page, 'the page of a finished search');
  await picture(page, pictures, 'finished');

  // ---- whatever a part becomes, the page shows that
  const wrong = await page.evaluate(() => {
    let state = 1;
    const below = end => (state = state * 48271 % 2147483647) % end;
    const any = depth => {
      const free = [0, 1, 2, 3, 4, 5];
      return Array.from({length: below(5)}, () => {
        const id = below(2) ? '' : ` id=part-${depth}-${free.splice(below(free.length), 1)}`;
        const inner = depth > 0 ? any(depth - 1) : '';
        return below(5) ? `<${['p', 'div'][depth && 1]}${id} class=c${below(3)}>${inner}</${['p', 'div'][depth && 1]}>` : `text ${below(9)}`;
      }).join('');
    };
    const parse = html => new DOMParser().parseFromString(html, 'text/html').body;
    const part = document.createElement('div');
    for (let i = 0; i < 500; ++i) {
      const html = any(2);
      change_children(part, parse(html));
      if (part.innerHTML !== parse(html).innerHTML) return html;
    }
    return '';
  });
  check(wrong === '', `an update does not arrive at ${wrong}`);

  // ---- what is folded stays so, whatever becomes of the ranks
  const folds = await page.evaluate(async () => {
    const part = document.querySelector('[data-live=details]');
    const [first, second] = part.querySelectorAll('details');
    [first.open, second.open] = [false, true];
    const next = new DOMParser().parseFromString(await (await fetch('section?name=details')).text(), 'text/html');
    const [one, other] = next.querySelectorAll('details');
    one.before(other);
    update(part, next.body.innerHTML);
    const now = [...part.querySelectorAll('details')];
    return now[0] === second && now[1] === first && !first.open && second.open;
  });
  check(folds, 'an update unfolds or folds models');

  // ---- an answer that comes late is not put under a filter that was set meanwhile
  let release;
  const held = new Promise(resolve => { release = resolve; });
  await page.route(/\/trials\?/, async route => { await held; await route.continue().catch(() => {}); }, {times: 1});
  const asked = page.waitForRequest(/\/trials\?/);
  const late = page.evaluate(() => refresh('trials', 'another').then(() => 'shown', error => error.name));
  await asked;
  await page.locator('#trials input[type=search]').fill('no such network');
  await says(page, '#trials-table', '0 of');
  release();
  check((await late) === 'AbortError', 'an answer that was overtaken is shown');
  await says(page, '#trials-table', '0 of');
  await page.locator('#trials input[type=search]').fill('');
  await page.locator('#trials-table tbody tr').nth(1).waitFor();
  const download = page.waitForEvent('download');
  await page.locator('#files a').filter({hasText: 'best/model.tflite'}).focus();
  await page.keyboard.press('Enter');
  check((await download).suggestedFilename() === 'model.tflite', 'the model is no download');
  await page.locator('#trials-table tbody a').first().focus();
  await page.keyboard.press('Enter');
  await says(page, 'h1', /^Trial \d+$/);
  await accessible(page, 'the page of a trial');
  await fits(page, 'the page of a trial');
  await picture(page, pictures, 'trial');
  await page.locator('header a').focus();
  await page.keyboard.press('Enter');
  await says(page, '#status', 'Finished');
  check(page.errors.length === 0, `the console says:\n${page.errors.join('\n')}`);

  // ---- without scripts
  const plain = await open(browser, {javaScriptEnabled: false, extraHTTPHeaders: {Authorization: `Bearer ${token}`}});
  await plain.goto(url);
  await plain.locator('#sort-flash').click();
  await plain.locator('th[aria-sort=ascending] #sort-flash').waitFor();
  await plain.locator('#trials select[name=outcome]').selectOption('failed');
  await plain.locator('#trials button').click();
  await says(plain, '#trials-table', '0 of 4 trials');

  // ---- the page of `retort search --serve` tells its end and goes
  const serving = start('search', `${out}-2`, '--data', `npy:${work}/data`, '--preset', 'notebook', '--time', 'none', '--teacher', 'none',
    '--config', '2,2,32,0', '--quick-epochs', '2', '--distill-epochs', '250', '--qat-epochs', '2', '--batch', '16', '--curriculum', 'none',
    '--seeds', '1', '--serve', '127.0.0.1:0');
  while (!/Shown at (\S+)/.test(serving.said)) {
    check(children.has(serving), `retort search --serve: ${serving.said}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  const beside = await open(browser, {extraHTTPHeaders: {Authorization: `Bearer ${token}`}});
  await beside.goto(/Shown at (\S+)/.exec(serving.said)[1]);
  await says(beside, '#status', 'Running');
  await says(beside, '#status', 'Finished');
  await says(beside, '#connection', 'This page ended with its search');
  await says(beside, '[data-live=summary]', 'Best');
  check((await serving.ended) === 0, `retort search --serve ended with ${await serving.ended}: ${serving.said}`);
  check(beside.errors.length === 0, `the console says:\n${beside.errors.join('\n')}`);

  server.kill('SIGTERM');
  await server.ended;
  console.log('the live page: all checks passed');
} finally {
  for (const child of children) child.kill('SIGKILL');
  await browser.close();
}
