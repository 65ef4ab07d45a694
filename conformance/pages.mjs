// See pages.py.
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import {accessible, check, fits, launch, open, picture} from './_browser.mjs';

const [report, data, pictures] = process.argv.slice(2);

// The text beside a mark, or nothing while none is shown.
const tip = page => page.locator('.tip').evaluate(element => element.hidden ? '' : element.textContent);

async function audit(page, file, what) {
  const asked = [];
  page.on('request', request => { if (!/^(file|data):/.test(request.url())) asked.push(request.url()); });
  await page.goto(pathToFileURL(file).href);
  await accessible(page, what);
  await fits(page, what);
  check(asked.length === 0, `${what} asks for ${asked}`);
  return page.evaluate(() => document.querySelectorAll('img').length);
}

async function by_mouse(page) {
  const marks = page.locator('#front svg').first().locator('a circle');
  const count = await marks.count();
  check(count >= 4, `the front has ${count} marks`);
  for (let i = 0; i < count; ++i) {
    const said = await marks.nth(i).evaluate(mark => mark.querySelector('title').textContent);
    await marks.nth(i).scrollIntoViewIfNeeded();
    await marks.nth(i).dispatchEvent('pointerover', {bubbles: true});
    check(await tip(page) === said, `the mark "${said}" shows "${await tip(page)}"`);
    await marks.nth(i).dispatchEvent('pointerout', {bubbles: true});
    check(await tip(page) === '', `the text of "${said}" stays after the pointer has gone`);
  }
  // A real pointer, on a mark that none covers.
  const box = await marks.last().boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  check(/int8 on validation/.test(await tip(page)), `under the pointer: "${await tip(page)}"`);
  const place = await page.locator('.tip').boundingBox();
  check(place.x >= 0 && place.y >= 0 && place.x + place.width <= 1280, 'the text is outside of the window');
  await page.mouse.move(2, 2);
  check(await tip(page) === '', 'the text stays after the pointer has gone');
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  const opened = await page.evaluate(() => {
    const target = document.querySelector(':target');
    return target && (target.open ?? true) && target.getBoundingClientRect().top < innerHeight;
  });
  check(opened, `a click leads to ${page.url()}, which is not shown`);
}

async function by_keyboard(page) {
  await page.evaluate(() => { history.replaceState(null, '', location.pathname); document.activeElement.blur(); });
  const wanted = await page.locator('#front svg a:not([tabindex])').count();
  let told = 0;
  for (let i = 0; i < 400 && told < wanted; ++i) {
    await page.keyboard.press('Tab');
    const on_mark = await page.evaluate(() => document.activeElement.closest('#front svg a')?.getAttribute('aria-label'));
    if (!on_mark) continue;
    check(await tip(page) === on_mark, `with the focus on "${on_mark}" the page shows "${await tip(page)}"`);
    ++told;
  }
  check(wanted > 0 && told === wanted, `the tab key reaches ${told} of ${wanted} marks`);
  await page.keyboard.press('Escape');
  check(await tip(page) === '', 'Escape does not hide the text');
  await page.keyboard.press('Enter');
  const target = await page.evaluate(() => document.querySelector(':target')?.id ?? '');
  check(/^(model|trial)-\d+$/.test(target), `Enter leads to "${target}"`);
  // Wide tables are scrolled by keyboard.
  check(await page.locator('.scroll:not([tabindex="0"])').count() === 0, 'a table cannot be scrolled by keyboard');
}

// What tables say is in sight on a screen, and on a phone the name of a row stays beside what is scrolled to.
async function tables(page) {
  await page.setViewportSize({width: 1400, height: 900});
  for (const id of ['stages', 'top']) {
    const cut = await page.locator(`#${id} .scroll`).evaluate(part => part.scrollWidth - part.clientWidth);
    check(cut <= 0, `the table of ${id} is ${cut} pixels wider than its place`);
  }
  await page.setViewportSize({width: 360, height: 900});
  const [moved, shown] = await page.locator('#networks .scroll').evaluate(part => {
    const name = part.querySelector('tbody td');
    const before = name.getBoundingClientRect().left;
    part.scrollLeft = 200;
    return [name.getBoundingClientRect().left - before, part.clientWidth - name.offsetWidth];
  });
  check(moved === 0, `the names of networks move by ${moved} pixels`);
  check(shown > 120, `beside the names of networks are ${shown} pixels for the rest`);
  await page.setViewportSize({width: 1280, height: 900});
}

async function on_paper(page) {
  const open_now = () => page.locator('details:not([open])').count();
  const folded = await open_now();
  check(folded > 1, 'nothing is folded');
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
  check(await open_now() === 1 && await page.locator('details.settings:not([open])').count() === 1,
    'something but the settings stays folded on paper');
  await page.emulateMedia({media: 'print'});
  await page.setViewportSize({width: 718, height: 1000});  // A4 within its margins
  const tops = await page.locator('#front svg').evaluateAll(charts => charts.map(chart => chart.getBoundingClientRect().top));
  check(tops[0] === tops[1], 'charts are not side by side on paper');
  await page.emulateMedia({media: 'screen'});
  await page.setViewportSize({width: 1280, height: 900});
  await page.evaluate(() => dispatchEvent(new Event('afterprint')));
  check(await open_now() === folded, 'what was folded stays open after printing');
  const pdf = await page.pdf({format: 'A4', ...(pictures ? {path: path.join(pictures, 'report.pdf')} : {})});
  check(pdf.length > 20_000, 'the printed report is empty');
}

const browser = await launch();
try {
  const page = await open(browser);
  const shown = await audit(page, report, 'report.html');
  check(shown > 0, 'report.html has no pictures of mistakes or doubted labels');
  for (const id of ['front', 'progress', 'stages', 'top', 'models', 'mistakes', 'labels', 'use', 'networks', 'settings'])
    check(await page.locator(`section#${id}`).count() === 1, `report.html has no section ${id}`);
  check(await page.locator('#front svg').count() === 4, 'there are not four fronts');
  await by_mouse(page);
  await by_keyboard(page);
  await tables(page);
  await on_paper(page);
  await picture(page, pictures, 'report');
  check(page.errors.length === 0, `report.html's console: ${page.errors.join('\n')}`);

  // Without scripts: every fold can be opened, every mark has its native text.
  const plain = await open(browser, {javaScriptEnabled: false});
  await plain.goto(pathToFileURL(report).href + '#networks');
  check(await plain.locator('#front svg circle > title').count() > 0, 'marks have no text without scripts');

  const check_page = await open(browser);
  const data_pictures = await audit(check_page, data, 'the page of data check');
  check(data_pictures > 0, 'the page of data check has no pictures');
  await check_page.setViewportSize({width: 360, height: 900});
  const tops = await check_page.locator('.group').first().locator('figure').evaluateAll(
    figures => figures.map(figure => figure.getBoundingClientRect().top));
  check(tops[0] === tops[1], 'on a phone the pictures of a group are one below the other');
  await picture(check_page, pictures, 'data');
  // A broken picture is what that page is about.
  check(check_page.errors.length === 0, `the console of the page of data check: ${check_page.errors.join('\n')}`);
  console.log(`Pages: report.html (${shown} pictures) and data check's (${data_pictures}) pass axe-core in light and dark; ` +
              'marks can be read by mouse and keyboard');
} finally {
  await browser.close();
}
