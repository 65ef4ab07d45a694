// Pages in a real Chromium: what the scripts here share. Node finds the packages in the folder that `_browser.py` names.
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';
import path from 'node:path';

const require = createRequire(path.join(process.env.RETORT_NODE_MODULES, 'x.js'));
const {chromium} = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const patience = 600_000;  // milliseconds: machines may be busy

export function launch() {
  return chromium.launch({executablePath: process.env.RETORT_CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage']});
}

export function check(truth, words) {
  if (!truth) throw new Error(words);
}

// A page whose scripts' errors are gathered in `errors`; `page.forgiven` is a list of patterns of those that are meant.
export async function open(browser, options = {}) {
  const context = await browser.newContext({viewport: {width: 1280, height: 900}, ...options});
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.errors = [];
  page.forgiven = [];
  page.on('pageerror', error => page.errors.push(`${error}`));
  page.on('console', message => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    if (!page.forgiven.some(pattern => pattern.test(message.text()))) page.errors.push(message.text());
  });
  return page;
}

// No violation of what axe-core knows (WCAG 2.2 A and AA, and its best practices), in light and dark.
export async function accessible(page, what) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({colorScheme});
    // Not by a script element, which a page's policy refuses.
    if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, {resultTypes: ['violations']}));
    const words = found.violations.map(
      violation => `${violation.id}: ${violation.help}\n` + violation.nodes.slice(0, 5).map(node => `   ${node.html.slice(0, 200)}\n   ${node.failureSummary}`).join('\n'));
    check(words.length === 0, `${what}, ${colorScheme}:\n${words.join('\n')}`);
  }
  await page.emulateMedia({colorScheme: 'light'});
}

// No page is wider than its window, and of every chart each text can be read and is in the drawing: on a phone, on a
// tablet, on a screen.
export async function fits(page, what) {
  for (const width of [1400, 800, 360]) {
    await page.setViewportSize({width, height: 900});
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check(excess <= 0, `${what}: ${excess} pixels wider than a window of ${width}`);
    const poor = await page.evaluate(() => {
      const found = [];
      for (const chart of document.querySelectorAll('svg.chart')) {
        const frame = chart.getBoundingClientRect();
        if (frame.width === 0) continue;  // folded
        for (const text of chart.querySelectorAll('text')) {
          const matrix = text.getScreenCTM();
          const size = parseFloat(getComputedStyle(text).fontSize) * Math.hypot(matrix.a, matrix.b);
          const box = text.getBoundingClientRect();
          const out = Math.max(frame.left - box.left, box.right - frame.right, frame.top - box.top, box.bottom - frame.bottom);
          if (size < 9) found.push(`"${text.textContent}" is ${size.toFixed(1)} pixels high`);
          if (out > 1) found.push(`"${text.textContent}" is ${out.toFixed(1)} pixels out of "${chart.getAttribute('aria-label')}"`);
        }
      }
      return found;
    });
    check(poor.length === 0, `${what}, ${width} pixels wide:\n   ${poor.join('\n   ')}`);
  }
  await page.setViewportSize({width: 1280, height: 900});
}

// The page at three widths, light and dark, as files NAME-WIDTH-SCHEME.png of a folder; none without one.
export async function picture(page, folder, name) {
  if (!folder) return;
  for (const [width, height] of [[1400, 900], [800, 1100], [360, 780]])
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({width, height});
      await page.emulateMedia({colorScheme});
      await page.screenshot({path: path.join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true});
    }
  await page.setViewportSize({width: 1280, height: 900});
  await page.emulateMedia({colorScheme: 'light'});
}
